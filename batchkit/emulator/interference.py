"""What call faults make of a call: refused, its reply lost, or either of them cut in the middle."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchkit.emulator.errors import ApiError
from batchkit.emulator.exchange import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchkit.emulator.fate import Fate
    from batchkit.emulator.faults import CallFault

__all__ = ["Interference"]

_JOBS = "/[^/]+/(?:batches|projects/.+/batchPredictionJobs)"
_OBJECT = "/storage/v1/b/[^/]+/o/[^/]+"
_CALLS = tuple(
    (name, methods, re.compile(path))
    for name, methods, path in (
        ("create", "POST", "/.+:(?:batchGenerateContent|asyncBatchEmbedContent)"),
        ("create", "POST", "/[^/]+/projects/.+/batchPredictionJobs"),
        ("list", "GET", _JOBS),
        ("get", "GET", f"{_JOBS}/[^/:]+"),
        ("cancel", "POST", f"{_JOBS}/[^/:]+:cancel"),
        ("delete", "DELETE", f"{_JOBS}/[^/:]+"),
        ("upload", "POST PUT", "/upload/.+"),
        ("download", "GET", f"/.+/files/[^/]+:download|/download{_OBJECT}"),
        ("answer", "POST", "/.+:(?:generateContent|embedContent|batchEmbedContents|countTokens)"),
    )
)
_MESSAGES = {
    429: "Resource has been exhausted (e.g. check quota).",
    500: "An internal error has occurred. Please retry.",
    503: "The service is currently unavailable.",
}
_FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class Interference:
    """The application, for calls that nothing befalls; else what befalls them."""

    fate: Fate
    application: Callable[[Request], Reply]

    def __call__(self, request: Request) -> Reply:
        """The reply to a request; ConnectionError when its connection is to be cut instead."""
        name = _name(request)
        fault = self.fate.of_call(name) if name else None
        if fault is None:
            return self.application(request)
        if fault.kind == "refuse":
            return _refusal(fault)
        if fault.kind == "interrupt":
            return self.application(replace(request, body=request.body.broken()))
        reply = self.application(request)
        if fault.kind == "cut" or reply.status >= _FIRST_ERROR:
            return replace(reply, is_cut=fault.kind == "cut")
        reply.close()
        return _refusal(fault)


def _name(request: Request) -> str:
    """What kind of call it is; empty when it is none that faults know."""
    is_media = request.query.get("alt") == "media" and request.path.startswith("/storage/")
    path = f"/download{request.path}" if is_media else request.path
    for name, methods, pattern in _CALLS:
        if request.method in methods.split() and pattern.fullmatch(path):
            return name
    return ""


def _refusal(fault: CallFault) -> Reply:
    error = ApiError(fault.code, fault.message)
    status = error.http_status
    text = fault.message or _MESSAGES.get(status, "The emulator was told to refuse this.")
    return Reply(status, (ApiError(fault.code, text).body(),))
