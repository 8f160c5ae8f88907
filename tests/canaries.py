"""A service that repeats every secret it hears: it stands before an emulator, and fails on the way.

What lets anybody in is learnt from what passes: keys, tokens, addresses of uploads.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import traceback
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from tests.scripted import NO_REPLY, Asked, Said, Scripted, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator import Emulator

__all__ = ["Canaries", "Told", "canaries"]

SIGNATURE = "5ca1ab1e5ca1ab1e5ca1ab1e"
SIGNED = f"https://storage.googleapis.com/b/o?X-Goog-Signature={SIGNATURE}&X-Goog-Expires=60"
_UPLOAD = re.compile(r"upload_id=([^&\s\"]+)")
_HOP = frozenset({"host", "accept-encoding", "connection", "content-length"})
_KEPT = ("content-type", "location", "x-goog-upload-url", "x-goog-upload-status", "x-goog-hash")
_KEPT += ("x-goog-upload-size-received", "range", "content-range", "etag", "x-goog-generation")


@dataclass
class Canaries:
    """The emulator, what was heard, and how often each kind of call has failed so far."""

    emulator: Emulator
    secrets: set[str] = field(default_factory=lambda: {SIGNATURE})
    uploads: set[str] = field(default_factory=set[str])
    failures: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    server: Scripted | None = None

    def answer(self, asked: Asked) -> Said:
        self._hear(asked)
        kind = self._kind(asked)
        nth = self.failures[kind]
        self.failures[kind] += 1
        troubles = self._troubles(asked)
        return troubles[nth] if nth < len(troubles) else self._passed_on(asked)

    def _kind(self, asked: Asked) -> str:
        """Calls that fail on their own: the first parts of the path, without what names things."""
        path = asked.path.partition("?")[0]
        session = "session" if _UPLOAD.search(asked.path) else ""
        named = re.sub(r"(batches|files|batchPredictionJobs|o)/[^/:]+", r"\1/…", path)
        return f"{asked.method} {named} {session}"

    def _troubles(self, asked: Asked) -> list[Said]:
        """Refusals that quote all there is to quote, damaged replies, and no reply at all."""
        words = " ".join(
            [
                f"Denied for {asked.method} {asked.path} {SIGNED}",
                *(f"{name}: {value}" for name, value in asked.headers.items()),
                *(f"?upload_id={found}&x" for found in self.uploads),
            ]
        )
        error = {"message": words, "details": [{"metadata": {"consumer": words}}]}
        return [
            *(Said(code, {"error": {"code": code, **error}}) for code in (401, 403, 503)),
            Said(NO_REPLY),
            Said(200, b'{"cut": "sho', sent_bytes=5 if asked.method == "GET" else None),
            Said(500, words.encode()),
        ]

    def _hear(self, asked: Asked) -> None:
        known = [asked.headers.get("x-goog-api-key"), asked.headers.get("authorization")]
        self.secrets |= {value.rpartition(" ")[2] for value in known if value}
        self._hear_upload(asked.path)

    def _hear_upload(self, text: str) -> None:
        self.uploads |= {unquote(found) for found in _UPLOAD.findall(text)}
        self.secrets |= self.uploads

    def _passed_on(self, asked: Asked) -> Said:
        assert self.server is not None
        headers = {name: value for name, value in asked.headers.items() if name not in _HOP}
        url = self.emulator.url
        way = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)  # it logs nothing
        with contextlib.closing(way):
            way.request(asked.method, asked.path, asked.body, headers)
            reply = way.getresponse()
            content = reply.read()
        kept = {name: value for name, value in reply.getheaders() if name.lower() in _KEPT}
        for value in kept.values():
            self._hear_upload(value)
        here = {name: value.replace(url, self.server.url) for name, value in kept.items()}
        return Said(reply.status, content, here)

    def hear_account(self) -> None:
        """The private key of the account, line by line."""
        account = json.loads(self.emulator.credentials_file.read_bytes())
        self.secrets |= {line for line in account["private_key"].split("\n") if len(line) > 40}


@contextlib.contextmanager
def canaries(emulator: Emulator) -> Iterator[Canaries]:
    """Such a service, listening."""
    heard = Canaries(emulator)
    with scripted(heard.answer) as server:
        heard.server = server
        yield heard


@dataclass
class Told:
    """All that was said and written, to be looked through."""

    texts: list[str] = field(default_factory=list[str])

    def thing(self, value: Any) -> None:
        """How a thing shows itself, in a console and in a notebook."""
        self.texts += [str(value), repr(value)]
        shown = getattr(value, "_repr_html_", None)
        if shown is not None:
            self.texts.append(shown())

    def error(self, error: BaseException) -> None:
        """An error, its traceback, its fields, and all that was going on when it was raised."""
        self.texts += traceback.format_exception(error)
        seen: BaseException | None = error
        while seen is not None:
            shown = (str(seen), repr(seen), repr(vars(seen)))
            self.texts += [f"{type(seen).__name__} in {type(error).__name__}: {x}" for x in shown]
            seen = seen.__cause__ or seen.__context__

    def folder(self, folder: Path) -> None:
        """Every file, and what stands in Parquet when it is read."""
        for path in folder.rglob("*"):
            self.texts.append(str(path))
            if path.is_file():
                self.texts.append(path.read_bytes().decode("latin-1"))
            if path.suffix == ".parquet":
                self.texts.append(repr(pq.read_table(path).to_pylist()))

    def leaked(self, secrets: set[str]) -> list[str]:
        """Where a secret stands, with what is around it."""
        return [
            f"{text[:80]} … {text[max(0, text.find(secret) - 100) : text.find(secret) + 100]}"
            for secret in secrets
            for text in self.texts
            if secret in text
        ]
