"""What a run is: table, spec and the choices it was built from; written once, as run.json."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from batchkit import jsonl
from batchkit.canonical import value_hash
from batchkit.damage import damaged
from batchkit.durable import write_whole
from batchkit.errors import RowsError, RunChangedError, RunDirectoryError, SetupError
from batchkit.label import run_tag
from batchkit.layout import Layout, result_fields
from batchkit.limits import Limits
from batchkit.shape import (
    Shape,
    check_shape,
    is_flag,
    is_number,
    is_plain_name,
    is_text,
    listed,
    optional,
)
from batchkit.specs.spec import Spec, spec_from_json, spec_hash
from batchkit.specs.stored import check_stored_schema, check_stored_spec
from batchkit.tables.pinned import PinnedTable
from batchkit.tables.resident import Resident
from batchkit.wire import DIALECTS, Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FORMAT", "Definition"]

FORMAT = 1
NAME = "run.json"
_UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    StopIteration,
    RecursionError,
    OverflowError,
    pa.ArrowException,
    RowsError,
    SetupError,
)


def _is_limit(value: Any) -> bool:
    return is_number(value) and value > 0


_SHAPE: Shape = {
    "batchkit": is_text,
    "id": is_plain_name,
    "created": is_text,
    "spec": {},
    "spec_hash": is_text,
    "dialect": is_text,
    "labelled": is_flag,
    "key": listed(is_text),
    "carry": listed(is_text),
    "on_bad_key": is_text,
    "target": optional(is_text),
    "output": optional(is_text),
    "limits": {
        "max_bytes": _is_limit,
        "max_rows": _is_limit,
        "max_tokens": _is_limit,
        "max_inline_bytes": _is_limit,
        "bytes_per_token": _is_limit,
    },
    "layout": {"prefix": is_text, "flatten": is_flag, "provenance": is_flag, "raw": is_flag},
    "salt": is_text,
    "resident": optional(
        {"source": is_text, "fields": listed({"name": is_text}), "location": optional(is_text)}
    ),
}


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything that `build` was given; the same definition builds the same requests.

    `carry` names the columns copied into the run for a table that stays outside; `target` is None
    until the requests are there to choose by; `output` is where a Vertex job writes, when that is
    not where its requests are; `resident` is the table for a run whose rows stay in BigQuery, None
    for all others; `salt` goes into the fingerprint of the account.
    """

    id: str
    created: str
    spec: Spec
    dialect: Dialect
    table: PinnedTable
    key: tuple[str, ...]
    carry: tuple[str, ...]
    on_bad_key: str
    target: str | None
    output: str | None
    limits: Limits
    layout: Layout
    salt: str
    made_by: str
    resident: Resident | None = None

    @property
    def tag(self) -> str:
        """What the labels of this run's rows begin with."""
        return run_tag(self.id)

    def fingerprint(self, account: str) -> str:
        """The account as this run writes it down: not the key, and not the same in another run."""
        return hashlib.sha256(f"{self.salt}:{account}".encode()).hexdigest()[:16]

    def differences(self, other: Definition) -> dict[str, tuple[Any, Any]]:
        """What `other` asks for otherwise, by name: ours and theirs; empty for the same run."""
        mine, theirs = self._compared(), other._compared()
        return {
            name: (mine.get(name), theirs.get(name))
            for name in {**mine, **theirs}
            if mine.get(name) != theirs.get(name)
        }

    def check_same(self, other: Definition) -> None:
        """Raise RunChangedError, naming what differs, unless `other` asks for the same run."""
        changes = self.differences(other)
        if changes:
            message = "the run was built from something else; use another directory (into=)"
            raise RunChangedError(message, changes)

    def _compared(self) -> dict[str, Any]:
        spec = self.spec.to_json()
        return {
            **{f"spec {name}": value for name, value in spec.items()},
            **self._compared_table(),
            "columns": [f"{field.name} {field.type}" for field in self.table.schema],
            "key": list(self.key),
            "carry": list(self.carry),
            "on_bad_key": self.on_bad_key,
            "limits": self.limits.of_shards(),
            "target service": self.dialect.name,
            "labels": self.dialect.labelled,
            "output": self.output,
            "pushdown": self.resident is not None,
            "layout": self.layout.to_json(),
        }

    def _compared_table(self) -> dict[str, Any]:
        """What tells one table from another, by name: its files, or what is in its columns."""
        origin, digest = self.table.origin, self.table.digest
        if origin is not None:
            return {f"source {name}": found for name, found in origin.items()}
        if digest is None:
            return {f"file {file.path}": (file.bytes, file.modified) for file in self.table.files}
        columns = {f"values of {name}": found for name, found in digest.columns.items()}
        return {"rows": digest.rows, **columns}

    def to_json(self) -> dict[str, Any]:
        """The definition as it stands in `run.json`."""
        return {
            "format": FORMAT,
            "batchkit": self.made_by,
            "id": self.id,
            "created": self.created,
            "spec": self.spec.to_json(),
            "spec_hash": spec_hash(self.spec),
            "dialect": self.dialect.name,
            "labelled": self.dialect.labelled,
            "table": self.table.to_json(),
            "key": list(self.key),
            "carry": list(self.carry),
            "on_bad_key": self.on_bad_key,
            "target": self.target,
            "output": self.output,
            "limits": self.limits.to_json(),
            "layout": self.layout.to_json(),
            "resident": self.resident.to_json() if self.resident else None,
            "salt": self.salt,
        }

    def write(self, folder: Path) -> None:
        """Write `run.json`."""
        write_whole(folder / NAME, jsonl.dumps_readable(self.to_json()))

    @classmethod
    def read(cls, folder: Path) -> Definition:
        """The definition of a run directory; RunDirectoryError when it is none we can read."""
        path = folder / NAME
        try:
            content = jsonl.loads(path.read_bytes())
            if content.get("format") == FORMAT:
                return cls._from_json(content).sound()
        except (FileNotFoundError, NotADirectoryError):
            message = f"{folder} is no run directory: it has no {NAME}"
            raise RunDirectoryError(message, folder) from None
        except _UNREADABLE as error:
            raise damaged(path, error) from error
        message = (
            f"{path} has format {content.get('format')}, this batchkit reads {FORMAT}: "
            f"use batchkit {content.get('batchkit')}"
        )
        raise RunDirectoryError(message, folder)

    def sound(self) -> Definition:
        """The definition, when its parts go together; ValueError or TableError when they do not.

        `run.json` may come from somebody else, and much later code relies on what it says.
        """
        if self.spec.answer_schema is not None:
            check_stored_schema(self.spec.answer_schema)
        result_fields(self.table.schema, self.spec, self.layout)
        unknown = {*self.key, *self.carry} - {*self.table.schema.names}
        if unknown:
            message = f"the table has no column {min(unknown)!r}"
            raise ValueError(message)
        return self

    @classmethod
    def _from_json(cls, content: Mapping[str, Any]) -> Definition:
        check_shape(content, _SHAPE)
        check_stored_spec(content["spec"])
        if value_hash(content["spec"]) != content["spec_hash"]:
            message = "the spec is not the one that was built, by its hash"
            raise ValueError(message)
        return cls(
            id=content["id"],
            created=content["created"],
            spec=spec_from_json(content["spec"]),
            dialect=_dialect(content["dialect"], labelled=content["labelled"]),
            table=PinnedTable.from_json(content["table"]),
            key=tuple(content["key"]),
            carry=tuple(content["carry"]),
            on_bad_key=content["on_bad_key"],
            target=content["target"],
            output=content["output"],
            limits=Limits(**content["limits"]),
            layout=Layout.from_json(content["layout"]),
            salt=content["salt"],
            made_by=content["batchkit"],
            resident=_resident(content.get("resident")),
        )


def _resident(content: Mapping[str, Any] | None) -> Resident | None:
    return Resident.from_json(content) if content else None


def _dialect(name: str, *, labelled: bool) -> Dialect:
    return replace(next(d for d in DIALECTS if d.name == name), labelled=labelled)
