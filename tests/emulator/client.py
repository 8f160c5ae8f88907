"""A small client of the emulator for its own tests: plain requests, nothing from batchkit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchkit.emulator import Emulator

__all__ = ["MODEL", "Address", "Client", "generate_line", "send_chunk", "text_request"]

MODEL = "gemini-3.8-flash"


def text_request(text: str, **generation_config: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return request | ({"generationConfig": generation_config} if generation_config else {})


def generate_line(key: str, text: str = "Hello") -> dict[str, Any]:
    return {"key": key, "request": text_request(text)}


@dataclass(frozen=True)
class Address:
    """Where an emulator answers that is not in this process."""

    url: str
    api_key: str = "emulator-key"


class Client:
    """Calls an emulator; every method returns the reply's JSON and fails on an error status."""

    def __init__(self, emulator: Emulator | Address, version: str = "v1beta") -> None:
        self.url = emulator.url
        self.version = version
        self.session = requests.Session()
        self.session.headers["x-goog-api-key"] = emulator.api_key

    def send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self.session.request(method, f"{self.url}{path}", timeout=60, **arguments)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        reply = self.send(method, f"/{self.version}/{path}", **arguments)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def refused(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """The error of a call that must fail."""
        reply = self.send(method, f"/{self.version}/{path}", **arguments)
        assert reply.status_code >= 400, reply.text
        error = reply.json()["error"]
        assert error["code"] == reply.status_code
        return error

    def start_upload(self, size: int | None, **file: Any) -> str:
        """Begin an upload and return the session's URL."""
        reply = self.send_start(size, **file)
        assert reply.status_code == 200, reply.text
        return reply.headers["x-goog-upload-url"]

    def send_start(self, size: int | None, **file: Any) -> requests.Response:
        headers = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        if size is not None:
            headers["X-Goog-Upload-Header-Content-Length"] = str(size)
        path = f"/upload/{self.version}/files"
        return self.send("POST", path, headers=headers, json={"file": file})

    def upload(self, data: bytes, **file: Any) -> dict[str, Any]:
        """Upload in one chunk and return the File."""
        reply = send_chunk(self.start_upload(len(data), **file), 0, data, "upload, finalize")
        assert reply.status_code == 200, reply.text
        assert reply.headers["x-goog-upload-status"] == "final"
        return reply.json()["file"]

    def upload_lines(self, lines: Iterable[Any]) -> str:
        """Upload JSON lines and return the file's name."""
        return self.upload(b"".join(json.dumps(line).encode() + b"\n" for line in lines))["name"]

    def create(self, source: dict[str, Any], *, model: str = MODEL, **batch: Any) -> dict[str, Any]:
        method = "asyncBatchEmbedContent" if "embedding" in model else "batchGenerateContent"
        body = {"batch": {"displayName": "test", "inputConfig": source, **batch}}
        return self.call("POST", f"models/{model}:{method}", json=body)

    def create_from_lines(self, lines: Iterable[Any], *, model: str = MODEL) -> dict[str, Any]:
        return self.create({"fileName": self.upload_lines(lines)}, model=model)

    def create_inline(self, items: list[dict[str, Any]], *, model: str = MODEL) -> dict[str, Any]:
        return self.create({"requests": {"requests": items}}, model=model)

    def get(self, operation: dict[str, Any]) -> dict[str, Any]:
        return self.call("GET", operation["name"])

    def state(self, operation: dict[str, Any]) -> str:
        return self.get(operation)["metadata"]["state"].removeprefix("BATCH_STATE_")

    def output(self, operation: dict[str, Any]) -> list[dict[str, Any]]:
        """The lines of a job's output file."""
        name = self.get(operation)["response"]["responsesFile"]
        reply = self.send("GET", f"/download/{self.version}/{name}:download?alt=media")
        assert reply.status_code == 200, reply.text
        return [json.loads(line) for line in reply.content.split(b"\n")[:-1]]


def send_chunk(url: str, offset: int, data: Any, command: str) -> requests.Response:
    """One request to an upload session: without the API key, as official clients do."""
    headers = {"X-Goog-Upload-Offset": str(offset), "X-Goog-Upload-Command": command}
    return requests.post(url, data=data, headers=headers, timeout=60)
