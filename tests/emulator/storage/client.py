"""Cloud Storage's own HTTP, by hand: what no official client would send can be sent, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import requests

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BUCKET", "QUANTUM", "XML_NAMESPACE", "Gcs", "multipart_body"]

BUCKET = "bucket"
XML_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
QUANTUM = 256 * 1024  # what a resumable upload keeps is a multiple of this


def multipart_body(*parts: tuple[str, bytes], newline: str = "\r\n") -> bytes:
    """Typed parts between boundaries `b`."""
    end = newline.encode()
    text = b""
    for content_type, content in parts:
        head = f"--b{newline}Content-Type: {content_type}{newline}{newline}"
        text += head.encode() + content + end
    return text + b"--b--"


class Gcs:
    """Calls one bucket of an emulator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        url = path if path.startswith("http") else f"{self.url}{path}"
        return self.session.request(method, url, timeout=60, **arguments)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """The JSON of a call below the bucket."""
        reply = self.send(method, f"/storage/v1/b/{BUCKET}{path}", **arguments)
        assert reply.status_code in {200, 204}, reply.text
        return reply.json() if reply.content else None

    def refused(self, method: str, path: str, **arguments: Any) -> tuple[int, str]:
        """Status and reason of a call below the bucket that must fail."""
        return self.refusal(self.send(method, f"/storage/v1/b/{BUCKET}{path}", **arguments))

    def refusal(self, reply: requests.Response) -> tuple[int, str]:
        """Status and reason of a refusal in the JSON API's envelope."""
        assert reply.status_code >= 400, reply.text
        error = reply.json()["error"]
        assert error["code"] == reply.status_code
        assert error["errors"][0]["message"] == error["message"]
        return reply.status_code, error["errors"][0]["reason"]

    def object(self, name: str, **query: Any) -> str:
        """The path of an object below the bucket."""
        parameters = "&".join(f"{key}={value}" for key, value in query.items())
        return f"/o/{quote(name, safe='')}" + (f"?{parameters}" if parameters else "")

    def upload(self, name: str, data: bytes = b"", **query: Any) -> dict[str, Any]:
        """Upload bare contents and return the object's resource."""
        reply = self.send_media(name, data, **query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def send_media(
        self, name: str, data: Any = b"", headers: dict[str, str] | None = None, **query: Any
    ) -> requests.Response:
        parameters = {"uploadType": "media", "name": name, **query}
        path = f"/upload/storage/v1/b/{BUCKET}/o"
        return self.send("POST", path, params=parameters, data=data, headers=headers)

    def send_multipart(
        self, resource: dict[str, Any], data: bytes, newline: str = "\r\n", **query: Any
    ) -> requests.Response:
        """Upload contents with their metadata."""
        return self.send(
            "POST",
            f"/upload/storage/v1/b/{BUCKET}/o",
            params={"uploadType": "multipart", **query},
            data=multipart_body(
                ("application/json", json.dumps(resource).encode()),
                ("text/plain", data),
                newline=newline,
            ),
            headers={"Content-Type": "multipart/related; boundary=b"},
        )

    def start(
        self,
        name: str,
        resource: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> str:
        """Begin a resumable upload and return the URL of its session."""
        reply = self.send_start(name, resource, headers, **query)
        assert reply.status_code == 200, reply.text
        return reply.headers["location"]

    def send_start(
        self,
        name: str,
        resource: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> requests.Response:
        parameters = {"uploadType": "resumable", "name": name, **query}
        path = f"/upload/storage/v1/b/{BUCKET}/o"
        return self.send("POST", path, params=parameters, json=resource or {}, headers=headers)

    def put(self, session: str, data: Any, content_range: str) -> requests.Response:
        """One request of a resumable upload."""
        return self.send("PUT", session, data=data, headers={"Content-Range": content_range})

    def received(self, session: str) -> int:
        """How many bytes of an upload have been received."""
        reply = self.put(session, b"", "bytes */*")
        assert reply.status_code == 308, reply.text
        span = reply.headers.get("range")
        return int(span.removeprefix("bytes=0-")) + 1 if span else 0

    def contents(self, name: str, headers: dict[str, str] | None = None) -> bytes:
        reply = self.download(name, headers)
        assert reply.status_code in {200, 206}, reply.text
        return reply.content

    def download(
        self, name: str, headers: dict[str, str] | None = None, **query: Any
    ) -> requests.Response:
        path = f"/download/storage/v1/b/{BUCKET}{self.object(name, alt='media', **query)}"
        return self.send("GET", path, headers=headers)

    def names(self, **query: Any) -> list[str]:
        """What a list shows on one page: objects, then folds."""
        page = self.call("GET", "/o", params=query)
        return [item["name"] for item in page.get("items", [])] + page.get("prefixes", [])

    def start_parts(self, name: str, **headers: str) -> str:
        """Begin a multipart upload of the XML API and return its id."""
        reply = self.send("POST", f"/{BUCKET}/{quote(name)}?uploads", headers=headers)
        assert reply.status_code == 200, reply.text
        root = ET.fromstring(reply.text)  # noqa: S314 - of our own emulator
        return root.findtext(f"{XML_NAMESPACE}UploadId") or ""

    def put_part(
        self, name: str, upload: str, number: object, data: bytes, **headers: str
    ) -> requests.Response:
        path = f"/{BUCKET}/{quote(name)}?uploadId={upload}&partNumber={number}"
        return self.send("PUT", path, data=data, headers=headers)

    def complete(self, name: str, upload: str, *parts: tuple[int, str]) -> requests.Response:
        """End a multipart upload: numbers and entity tags of its parts."""
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in parts
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
        return self.send("POST", f"/{BUCKET}/{quote(name)}?uploadId={upload}", data=body)

    def copy_all(self, name: str, copies: Iterable[str]) -> None:
        """Copy an object in one request, to up to a hundred names."""
        path = f"/storage/v1/b/{BUCKET}{self.object(name)}/copyTo/b/{BUCKET}"
        calls = [f"POST {path}{self.object(copy)} HTTP/1.1\r\n\r\n" for copy in copies]
        reply = self.send_batch(*calls)
        assert reply.text.count("HTTP/1.1 200 OK") == len(calls)

    def send_batch(self, *calls: str) -> requests.Response:
        body = multipart_body(*(("application/http", call.encode()) for call in calls))
        headers = {"Content-Type": "multipart/mixed; boundary=b"}
        return self.send("POST", "/batch/storage/v1", data=body, headers=headers)

    def upload_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.upload(name)
