"""The request hash, version 1: one number for all spellings of the same request.

A service may echo a request with its fields renamed, reordered, wrapped or padded with nulls.
Equal hashes mean the same request; the version is stored with the hash.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from batchkit import jsonl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.fields import FieldTable

__all__ = ["HASH_VERSION", "LABEL", "canonical_request", "request_hash", "value_hash"]

HASH_VERSION = 1
# The label that carries our row through Vertex; it is no part of what was asked.
LABEL = "batchkit"
_INT64_LIMIT = 2**63
_INT64 = re.compile(r"-?[0-9]{1,19}")


def request_hash(body: Mapping[str, Any], table: FieldTable, request_type: str) -> str:
    """Hash of a request body as 64 hex digits; `request_type` names its message in the table."""
    return value_hash(canonical_request(body, table, request_type))


def value_hash(value: Any) -> str:
    """Hash of a JSON value as 64 hex digits, whatever the order of its keys."""
    return hashlib.sha256(jsonl.dumps_sorted(value)).hexdigest()


def canonical_request(body: Mapping[str, Any], table: FieldTable, request_type: str) -> Any:
    """The body in camelCase, without nulls and our label, `parts` as lists, 1.0 as 1.

    Names inside user maps, schemas and function arguments are the user's and stay.
    """
    plain = _message(body, table, request_type)
    labels = plain.get("labels")
    if jsonl.is_object(labels):
        plain["labels"] = {name: value for name, value in labels.items() if name != LABEL}
        if not plain["labels"]:
            del plain["labels"]
    return plain


def _message(value: Mapping[str, Any], table: FieldTable, type_name: str) -> dict[str, Any]:
    known = table.message(type_name) or {}
    plain: dict[str, Any] = {}
    for name, item in value.items():
        if item is None:
            continue
        field = known.get(name)
        if field is None:
            plain[name] = _user_value(item)
        else:
            plain[field.name] = _typed(item, table, field.type)
    return plain


def _typed(value: Any, table: FieldTable, field_type: Any) -> Any:
    if jsonl.is_list(field_type):
        items = value if jsonl.is_list(value) else [value]
        return [_typed(item, table, field_type[0]) for item in items]
    if field_type == "int64" and isinstance(value, str) and _INT64.fullmatch(value):
        number = int(value)
        return number if -_INT64_LIMIT <= number < _INT64_LIMIT else value
    if jsonl.is_object(value) and field_type != "Schema" and table.message(field_type):
        return _message(value, table, field_type)
    return _user_value(value)


def _user_value(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _INT64_LIMIT:
        return int(value)
    if jsonl.is_object(value):
        return {name: _user_value(item) for name, item in value.items()}
    if jsonl.is_list(value):
        return [_user_value(item) for item in value]
    return value
