"""What the service answers when it refuses, and what an answerer raises to refuse a request.

AnswerError   an answerer's: this request gets an error instead of a response
ApiError      the service's: this call gets an error instead of a reply
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AnswerError", "ApiError", "Rpc", "http_status", "status_name"]


class Rpc(enum.IntEnum):
    """The codes of google.rpc.Code that the service uses."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    INTERNAL = 13
    UNAUTHENTICATED = 16


# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_CODES = {
    1: ("CANCELLED", 499),
    2: ("UNKNOWN", 500),
    3: ("INVALID_ARGUMENT", 400),
    4: ("DEADLINE_EXCEEDED", 504),
    5: ("NOT_FOUND", 404),
    6: ("ALREADY_EXISTS", 409),
    7: ("PERMISSION_DENIED", 403),
    8: ("RESOURCE_EXHAUSTED", 429),
    9: ("FAILED_PRECONDITION", 400),
    10: ("ABORTED", 409),
    11: ("OUT_OF_RANGE", 400),
    12: ("UNIMPLEMENTED", 501),
    13: ("INTERNAL", 500),
    14: ("UNAVAILABLE", 503),
    15: ("DATA_LOSS", 500),
    16: ("UNAUTHENTICATED", 401),
}
_SECOND_CHOICES = {2, 9, 10, 11, 15}  # codes that share their HTTP status with a better known one
_HTTP_NAMES = {
    status: name for code, (name, status) in _CODES.items() if code not in _SECOND_CHOICES
}


def status_name(code: int) -> str:
    """The name of a google.rpc code, or of an HTTP status when the number is one."""
    return _CODES[code][0] if code in _CODES else _HTTP_NAMES.get(code, "UNKNOWN")


def http_status(code: int) -> int:
    """The HTTP status of a google.rpc code; an HTTP status is its own."""
    if code in _CODES:
        return _CODES[code][1]
    return code if 400 <= code < 600 else 500  # noqa: PLR2004 - the error statuses of HTTP


def _no_details() -> list[dict[str, Any]]:
    return []


@dataclass(eq=False)
class AnswerError(Exception):
    """This request is refused: a batch row gets the error, an interactive call its HTTP status.

    `code` is a google.rpc code (13 INTERNAL, 8 RESOURCE_EXHAUSTED, …); an HTTP status is passed on
    as it is.
    """

    code: int
    message: str
    details: Sequence[dict[str, Any]] = field(default_factory=_no_details)

    def __str__(self) -> str:
        return f"{self.code} {status_name(self.code)}: {self.message}"

    def row(self) -> dict[str, Any]:
        """The error as a batch output line carries it."""
        details = {"details": list(self.details)} if self.details else {}
        return {"code": self.code, "message": self.message, **details}


class ApiError(AnswerError):
    """This call is refused."""

    @property
    def http_status(self) -> int:
        """The status line's number."""
        return http_status(self.code)

    def body(self) -> bytes:
        """Google's error envelope.

        https://cloud.google.com/apis/design/errors#http_mapping
        """
        error: dict[str, Any] = {
            "code": self.http_status,
            "message": self.message,
            "status": status_name(self.code),
        }
        if self.details:
            error["details"] = list(self.details)
        return orjson.dumps({"error": error})
