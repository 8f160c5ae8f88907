"""What lets in whoever has it: keys, tokens, signatures and addresses of uploads, taken out."""

from __future__ import annotations

import logging
import re
from typing import Any, cast

__all__ = ["hide_secrets_in_logs", "without_secrets"]

_INSTEAD = "…"
# Loggers that tell of requests, and of what answers them.
_OF_GOOGLE = (
    "google.api_core.retry",
    "google.auth.transport.requests",
    "google.cloud.storage._bucket_metadata_cache",
    "google.cloud.storage._helpers",
    "google.cloud.storage._http",
    "google.cloud.storage.blob",
)
# What a value ends at, in an address, a header, JSON or a sentence.
_VALUE = r"[^\s&'\"<>,;\\)\]}]+"
# Names that stand before one, in an address or a header. Signed addresses of Cloud Storage:
# https://docs.cloud.google.com/storage/docs/authentication/signatures
_NAMED = (
    r"[?&](?:key|upload_id|sig|signature|access_token|refresh_token|id_token|token)="
    r"|x-goog-(?:signature|credential|security-token)="
    r"|googleaccessid=|upload_id=|upload_id%3d|api_key:"
    r"|x-goog-api-key['\"]?[:=]\s*['\"]?"
    r"|bearer\s"
)
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|AIza[\w-]{10,}|AQ\.[\w-]{10,}|ya29\.[\w.-]+|1//[\w-]{20,}|GOCSPX-[\w-]+"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]+\.[\w-]*"
    rf"|(?i:(?P<name>{_NAMED}){_VALUE})",
    re.DOTALL,
)


def without_secrets(value: Any) -> Any:
    """A text, or JSON with texts in it, where `…` stands for each secret by its form or name."""
    if isinstance(value, dict):
        return {n: without_secrets(v) for n, v in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in cast("list[Any]", value)]
    return _SECRET.sub(_named, value) if isinstance(value, str) else value


def _named(found: re.Match[str]) -> str:
    return (found["name"] or "") + _INSTEAD


def hide_secrets_in_logs() -> None:
    """Have libraries keep to themselves what they would write at DEBUG.

    For urllib3 that is each address, those of uploads, too; for Google's the headers of each
    request, and what the service says when a call is to be repeated. Doing it again changes
    nothing.
    """
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_shows_no_upload)
    for name in _OF_GOOGLE:
        logging.getLogger(name).addFilter(_shows_no_secret)


def _shows_no_upload(record: logging.LogRecord) -> bool:
    return "upload_id=" not in record.getMessage()


def _shows_no_secret(record: logging.LogRecord) -> bool:
    """Always true: the record itself loses what it must not tell."""
    record.msg, record.args = without_secrets(record.getMessage()), ()
    for name in ("httpRequest", "httpResponse"):
        vars(record).pop(name, None)
    return True
