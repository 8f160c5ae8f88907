"""A service of a few jobs and files that behaves as a test has it behave, where Google might."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.scripted import NO_REPLY, Asked, Said, scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import batchkit as bk
    from tests.scripted import Scripted

__all__ = ["UPLOAD_SECRET", "Google", "answered_lines", "google", "refusal", "unanswered"]

UPLOAD_SECRET = "session-of-a-test"  # noqa: S105  # of a test


def refusal(status: int, message: str, reason: str = "REFUSED") -> Said:
    """An error in Google's form."""
    return Said(status, {"error": {"code": status, "message": message, "status": reason}})


@dataclass
class Google:
    """Jobs by name as they are told, and what is done otherwise than by a service that works.

    `hidden_lists` is how many lists do not show the jobs that exist; `answers` are replies to be
    given in place of the usual one (None: the usual one), by the start of what was asked.
    """

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict[str, Any])
    files: dict[str, dict[str, Any]] = field(default_factory=dict[str, Any])
    outputs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    hidden_lists: int = 0
    answers: dict[str, list[Said | None]] = field(default_factory=dict[str, Any])
    page_size: int = 100
    server: Scripted | None = None

    def client(self, **options: Any) -> bk.Gemini:
        assert self.server is not None
        return self.server.client(**options)

    def asked(self, method: str, part: str = "") -> list[Asked]:
        """The requests so far of this method whose path has this part."""
        assert self.server is not None
        return [a for a in self.server.asked if a.method == method and part in a.path]

    def add_job(self, display_name: str, state: str = "PENDING") -> str:
        name = f"batches/j{len(self.jobs)}"
        metadata = {
            "displayName": display_name,
            "state": f"BATCH_STATE_{state}",
            "createTime": f"2026-11-23T10:00:{len(self.jobs):02d}Z",
        }
        self.jobs[name] = {"name": name, "metadata": metadata}
        return name

    def add_file(self, display_name: str, content: bytes) -> str:
        name = f"files/f{len(self.files)}"
        digest = hashlib.sha256(content).hexdigest().encode()
        self.files[name] = {
            "name": name,
            "displayName": display_name,
            "sizeBytes": str(len(content)),
            "sha256Hash": base64.b64encode(digest).decode(),
            "state": "ACTIVE",
        }
        return name

    def end(self, name: str, state: str = "SUCCEEDED", output: bytes | None = None) -> None:
        """A job ends; with its output, unless that is still on its way."""
        metadata = self.jobs[name]["metadata"]
        metadata["state"] = f"BATCH_STATE_{state}"
        if output is not None:
            file = name.replace("batches/", "files/batch-")
            metadata["output"] = {"responsesFile": file}
            self.outputs[file] = output

    def __call__(self, asked: Asked) -> Said:
        line = f"{asked.method} {asked.path}"
        for start, replies in self.answers.items():
            if line.startswith(start) and replies and (reply := replies.pop(0)):
                return reply
        found = next((do for start, do in self._routes() if line.startswith(start)), None)
        return found(asked) if found else refusal(404, f"{line} is not known here", "NOT_FOUND")

    def _routes(self) -> list[tuple[str, Callable[[Asked], Said]]]:
        return [
            ("POST /v1beta/models/", self._create),
            ("GET /v1beta/batches?", self._list),
            ("GET /v1beta/batches/", self._get),
            ("POST /upload/v1beta/files", self._start_upload),
            ("POST /session", self._take_upload),
            ("GET /v1beta/files?", self._list_files),
            ("GET /download/v1beta/", self._download),
            ("GET /v1beta/files/", self._download),
        ]

    def _create(self, asked: Asked) -> Said:
        batch = asked.json()["batch"]
        file = batch["inputConfig"].get("fileName")
        if file is not None and file not in self.files:
            return refusal(403, f"You do not have permission to access {file} or it may not exist.")
        return Said(body=self.jobs[self.add_job(batch["displayName"])])

    def _list(self, asked: Asked) -> Said:
        if self.hidden_lists:
            self.hidden_lists -= 1
            return Said()
        start = int(parse_qs(urlsplit(asked.path).query).get("pageToken", ["0"])[0])
        shown = list(self.jobs.values())[start : start + self.page_size]
        more = start + self.page_size < len(self.jobs)
        token = {"nextPageToken": str(start + self.page_size)} if more else {}
        return Said(body={"operations": shown, **token})

    def _get(self, asked: Asked) -> Said:
        job = self.jobs.get(asked.path.removeprefix("/v1beta/"))
        return Said(body=job) if job else refusal(404, "no such job", "NOT_FOUND")

    def _start_upload(self, asked: Asked) -> Said:
        assert self.server is not None
        name = asked.json()["file"]["displayName"]
        address = f"{self.server.url}/session?upload_id={UPLOAD_SECRET}&name={name}"
        return Said(headers={"x-goog-upload-url": address})

    def _take_upload(self, asked: Asked) -> Said:
        name = self.add_file(parse_qs(urlsplit(asked.path).query)["name"][0], asked.body)
        return Said(body={"file": self.files[name]}, headers={"x-goog-upload-status": "final"})

    def _list_files(self, _: Asked) -> Said:
        return Said(body={"files": list(self.files.values())})

    def _download(self, asked: Asked) -> Said:
        name = asked.path.partition("v1beta/")[2].partition(":")[0]
        content = self.outputs.get(name)
        return refusal(404, "no such file", "NOT_FOUND") if content is None else Said(body=content)


@contextlib.contextmanager
def google(**behaviour: Any) -> Iterator[Google]:
    """The service, listening; what it does may be changed while it runs."""
    service = Google(**behaviour)
    with scripted(service) as server:
        service.server = server
        yield service


def unanswered() -> Said:
    """No reply: the connection is cut."""
    return Said(NO_REPLY)


def answered_lines(keys: list[str]) -> bytes:
    """An output file with an answer for each key."""
    content = {"role": "model", "parts": [{"text": "hello"}]}
    response = {"candidates": [{"content": content, "finishReason": "STOP"}]}
    return b"".join(json.dumps({"key": key, "response": response}).encode() + b"\n" for key in keys)
