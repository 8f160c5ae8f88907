"""A run before it exists: table, spec and choices held against each other, then pinned."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import logging
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from batchkit.clients import wanted_service
from batchkit.definition import Definition
from batchkit.errors import BadRequestError, CapabilityError, SetupError, TableError
from batchkit.fields import nearest
from batchkit.key import check_key_columns
from batchkit.layout import result_fields
from batchkit.limits import default_limits, ending_model
from batchkit.pushed import check_pushdown, planned
from batchkit.specs.ready import ready
from batchkit.tables.opened import open_table
from batchkit.tables.pinned import PinnedTable
from batchkit.tables.request_lines import KEY, file_kind, request_lines_table
from batchkit.tables.resident import resident_table
from batchkit.tables.stream import digest_stream, pin_stream
from batchkit.targets.target import target_named
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from batchkit.layout import Layout
    from batchkit.limits import Limits
    from batchkit.pushdown.statements import Statements
    from batchkit.specs.spec import Spec
    from batchkit.tables.opened import TableLike
    from batchkit.tables.reach import Reach
    from batchkit.tables.resident import Resident
    from batchkit.tables.stream import TableStream
    from batchkit.warehouse import Warehouse
    from batchkit.wire import Dialect

__all__ = ["Choices", "Draft", "OnBadKey", "plan_pushdown"]

_LOG = logging.getLogger("batchkit")

OnBadKey: TypeAlias = Literal["raise", "reject"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose about a run beside its table and spec.

    `run_id` is that of a lost run which is built again, None for a new one.
    """

    key: tuple[str, ...]
    carry: tuple[str, ...]
    on_bad_key: OnBadKey
    target: str | None
    limits: Mapping[str, float]
    layout: Layout
    output: str | None = None
    labels: bool = True
    pushdown: bool = False
    run_id: str | None = None


class Draft:
    """One table, one spec and the choices, checked against each other before anything is written.

    Raises RowsError or SetupError when they do not fit: a missing column, a name that clashes, a
    key that cannot name rows, a field that the service does not know.
    """

    def __init__(
        self,
        opened: TableStream | PinnedTable,
        spec: Spec,
        choices: Choices,
        resident: Resident | None = None,
    ) -> None:
        self.spec = spec
        self._opened = opened
        self._resident = resident
        self._choices = choices
        self._dialect = _dialect(spec, choices)
        self._limits = _limits(spec, choices, self._dialect)
        check_key_columns(opened.schema, choices.key)
        _check_carry(opened.schema, choices.carry)
        result_fields(opened.schema, spec, choices.layout)
        spec.bind(opened.schema, self._dialect)
        _check_spec(spec, self._dialect)

    @classmethod
    def of_table(
        cls, table: TableLike, spec: Spec, choices: Choices, reach: Reach | None = None
    ) -> Draft:
        """The draft of anything that is a table."""
        resident = None
        if choices.pushdown and reach is not None:
            resident = plan_pushdown(table, spec, choices, reach.cloud.warehouse).resident
        return cls(open_table(table, choices.key, reach), spec, choices, resident)

    @classmethod
    def of_requests(cls, path: str | Path, model: str, choices: Choices) -> Draft:
        """The draft of a ready request file, whose lines are the rows and carry the keys."""
        file = Path(path)
        spec = ready(model, file_kind(file))
        return cls(request_lines_table(file), spec, replace(choices, key=(KEY,)))

    @property
    def description(self) -> str:
        """What the table is."""
        return self._opened.description

    def define(self, folder: Path) -> Definition:
        """Pin the table in the run directory and settle the run's identity; nothing is sent."""
        now = dt.datetime.now(dt.UTC)
        opened = self._opened
        if isinstance(opened, PinnedTable):
            pinned = opened
        elif self._resident is not None:
            pinned = PinnedTable(opened.description, opened.schema, (), None, opened.origin)
        else:
            pinned = pin_stream(opened, folder)
        run_id = self._choices.run_id or f"{now:%Y%m%d%H%M%S}-{secrets.token_hex(4)}"
        return self._definition(
            pinned, run_id, now.isoformat(timespec="seconds"), secrets.token_hex(8)
        )

    def same_as(self, existing: Definition) -> Definition:
        """What `define` would give for a run that exists, without writing, to compare the two."""
        opened = self._opened
        if isinstance(opened, PinnedTable):
            pinned = opened
        else:
            digest = None if opened.origin else digest_stream(opened)
            pinned = PinnedTable(
                opened.description, opened.schema, existing.table.files, digest, opened.origin
            )
        return self._definition(pinned, existing.id, existing.created, existing.salt)

    def _definition(self, table: PinnedTable, run_id: str, created: str, salt: str) -> Definition:
        return Definition(
            id=run_id,
            created=created,
            spec=self.spec,
            dialect=self._dialect,
            table=table,
            key=self._choices.key,
            carry=self._carried(table),
            on_bad_key=self._choices.on_bad_key,
            target=self._choices.target,
            output=self._choices.output,
            limits=self._limits,
            layout=self._choices.layout,
            salt=salt,
            made_by=importlib.metadata.version("batchkit"),
            resident=self._resident,
        )

    def _carried(self, table: PinnedTable) -> tuple[str, ...]:
        """A table that stays outside lends the run its key columns, and those in `carry`."""
        names = dict.fromkeys([*self._choices.key, *self._choices.carry])
        return tuple(names) if table.is_outside else ()


def plan_pushdown(
    table: TableLike, spec: Spec, choices: Choices, warehouse: Warehouse
) -> Statements:
    """The SQL of a run with pushdown; raises for what SQL cannot do or reach."""
    resident = resident_table(table, warehouse)
    statements = planned(resident, spec, choices.key, choices.layout, choices.target)
    check_pushdown(statements, choices.output, warehouse)
    return statements


def _check_carry(schema: pa.Schema, carry: Sequence[str]) -> None:
    unknown = next((name for name in carry if name not in schema.names), None)
    if unknown is not None:
        near = nearest(unknown, schema.names)
        hint = f"did you mean {near!r}?" if near else f"the columns are {', '.join(schema.names)}"
        message = f"carry names {unknown!r}; {hint}"
        raise TableError(message, column=unknown)


def _dialect(spec: Spec, choices: Choices) -> Dialect:
    """The format in which the target's service reads the requests."""
    if choices.target is None:
        if wanted_service() == "vertex":
            message = (
                "the environment asks for Vertex AI, whose batches read gs:// and bq://: give "
                "target='gs://bucket/folder', or 'bq://project.dataset'"
            )
            raise SetupError(message)
        way = target_named("file")
    else:
        way = target_named(choices.target)
    if choices.output is not None:
        way.check_output(choices.output)
    dialect = dialect_for(way.service, spec.kind, spec.model, table=way.is_table)
    if way.is_table and dialect.name == "vertex-embed":
        message = f"{spec.model} embeds from objects only: give target='gs://bucket/folder'"
        raise CapabilityError(message)
    return dialect if choices.labels else replace(dialect, labelled=False)


def _limits(spec: Spec, choices: Choices, dialect: Dialect) -> Limits:
    limits = default_limits(dialect, spec.model, choices.limits)
    if choices.target is None:
        return limits
    largest = target_named(choices.target).largest_shard(limits)
    return replace(limits, max_bytes=min(limits.max_bytes, largest))


def _check_spec(spec: Spec, dialect: Dialect) -> None:
    """Raise for what the service would refuse; warn of what it is known to get wrong."""
    problems = spec.problems(dialect)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        message = f"{spec.model} would refuse every request of this spec"
        raise BadRequestError(message, errors)
    for problem in problems:
        _LOG.warning("%s", problem)
    ending = ending_model(spec.model, dt.datetime.now(dt.UTC).date())
    if ending:
        _LOG.warning("%s", ending)
