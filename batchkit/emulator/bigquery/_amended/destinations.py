"""Writing rows to a table as a job's dispositions say: all of them, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bqemulator.api.routes import tables
from bqemulator.api.routes.tables import _field_to_rest
from bqemulator.storage.sql_identifiers import quoted_table_ref

from .fields import Field, duckdb_type, legacy, quoted
from .parts import part
from .refusals import refuse, refuse_missing, refuse_present, refuse_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bqemulator.api.dependencies import AppContext

    from .sources import Source

__all__ = ["Destination", "Destinations"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A table, and what its job says about writing it."""

    project: str
    dataset: str
    table: str
    options: Mapping[str, Any]
    default_write: str

    @classmethod
    def of(cls, project: str, section: Mapping[str, Any], default_write: str) -> Destination:
        """What a section of a configuration says, in a job of this project."""
        table = section["destinationTable"]
        owner = table.get("projectId") or project
        return cls(owner, table["datasetId"], table["tableId"], section, default_write)

    @property
    def write(self) -> str:
        """WRITE_EMPTY, WRITE_TRUNCATE or WRITE_APPEND."""
        return self.options.get("writeDisposition") or self.default_write

    @property
    def name(self) -> str:
        """The table's name, as BigQuery's messages write it."""
        return f"{self.project}:{self.dataset}.{self.table}"

    @property
    def ref(self) -> str:
        """The table's name in DuckDB."""
        return quoted_table_ref(self.project, self.dataset, self.table)

    def allows(self, update: str) -> bool:
        """Whether the job may change the schema so."""
        return update in (self.options.get("schemaUpdateOptions") or ())


class Destinations:
    """The tables of a catalog, for jobs that write them."""

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx

    def fields(self, to: Destination) -> list[Field] | None:
        """The fields of a table, None when there is none."""
        self.check_dataset(to.project, to.dataset)
        meta = self._ctx.catalog.get_table(to.project, to.dataset, to.table)
        return None if meta is None else [legacy(_field_to_rest(f)) for f in meta.schema_.fields]

    def check_dataset(self, project: str, dataset: str) -> None:
        """NotFoundError when there is no such dataset."""
        if self._ctx.catalog.get_dataset(project, dataset) is None:
            refuse_missing(f"Dataset {project}:{dataset}")

    async def put(self, to: Destination, source: Source) -> int:
        """Write the rows, after creating or replacing the table if that is asked; how many.

        AlreadyExistsError for a table that has rows and must have none, ValidationError for rows
        that the table cannot take.
        """
        present = self.fields(to)
        if present is None and to.options.get("createDisposition") == "CREATE_NEVER":
            refuse_missing(f"Table {to.name}")
        if present is not None and to.write == "WRITE_EMPTY" and self._count(to):
            refuse_present(f"Table {to.name}")
        is_new = present is None or to.write == "WRITE_TRUNCATE"
        fields = list(source.fields) if is_new else _merged(present or [], source.fields, to)
        async with self._ctx.engine.write_lock():
            self._ctx.engine.execute("BEGIN TRANSACTION")
            try:
                if is_new:
                    self._create(to, fields)
                else:
                    self._widen(to, present or [], fields)
                rows = self._insert(to, source, fields)
                self._check_rows(to, fields)
                self._describe(to, fields)
            except BaseException:
                self._ctx.engine.execute("ROLLBACK")
                raise
            self._ctx.engine.execute("COMMIT")
            self._ctx.snapshots.record_change(to.project, to.dataset, to.table)
        return rows

    def _count(self, to: Destination) -> int:
        return self._ctx.engine.execute(f"SELECT count(*) FROM {to.ref}").fetchall()[0][0]

    def _create(self, to: Destination, fields: Sequence[Field]) -> None:
        columns = ", ".join(f"{quoted(field['name'])} {duckdb_type(field)}" for field in fields)
        self._ctx.engine.execute(f"DROP TABLE IF EXISTS {to.ref}")
        self._ctx.engine.execute(f"CREATE TABLE {to.ref} ({columns})")

    def _widen(self, to: Destination, present: Sequence[Field], fields: Sequence[Field]) -> None:
        for field in fields[len(present) :]:
            column = f"{quoted(field['name'])} {duckdb_type(field)}"
            self._ctx.engine.execute(f"ALTER TABLE {to.ref} ADD COLUMN {column}")

    def _insert(self, to: Destination, source: Source, fields: Sequence[Field]) -> int:
        given = {name.lower(): sql for name, sql in source.columns.items()}
        values = ", ".join(_value(field, given.get(field["name"].lower())) for field in fields)
        done = self._ctx.engine.execute(
            f"INSERT INTO {to.ref} SELECT {values} FROM ({source.sql})",
            list(source.parameters),
        )
        return done.fetchall()[0][0]

    def _check_rows(self, to: Destination, fields: Sequence[Field]) -> None:
        """What a column may not hold: a null where it is required, nulls in an array."""
        for field in fields:
            name = quoted(field["name"])
            if field.get("mode") == "REQUIRED":
                wrong, said = f"{name} IS NULL", f"Missing required field: {field['name']}."
            elif field.get("mode") == "REPEATED":
                wrong = f"list_count({name}) < len({name})"
                said = f"Array cannot have a null element; error in writing field {field['name']}"
            else:
                continue
            sql = f"SELECT count(*) FROM {to.ref} WHERE {wrong}"
            if self._ctx.engine.execute(sql).fetchall()[0][0]:
                refuse_rows(said)

    def _describe(self, to: Destination, fields: list[Field]) -> None:
        """Tell the catalog what the table is now."""
        catalog = self._ctx.catalog
        found = catalog.get_table(to.project, to.dataset, to.table)
        said: dict[str, Any] = {"schema": {"fields": fields}}
        said["tableReference"] = {"tableId": to.table}
        if found is None:
            said |= {name: part(to.options, name) for name in ("timePartitioning", "clustering")}
        # By way of the module: it is one of those that are amended.
        meta = tables._rest_to_table_meta(to.project, to.dataset, said, self._ctx.clock, found)  # noqa: SLF001
        meta = meta.model_copy(update={"num_rows": self._count(to)})
        if found is None:
            catalog.create_table(meta)
        else:
            catalog.update_table(meta)


def _value(field: Field, given: str | None) -> str:
    """A column's value; an array that is not there is empty, for BigQuery stores no other."""
    kind = duckdb_type(field)
    value = f"CAST({given or 'NULL'} AS {kind})"
    if field.get("mode") == "REPEATED":
        value = f"coalesce({value}, CAST([] AS {kind}))"
    return f"{value} AS {quoted(field['name'])}"


def _merged(present: list[Field], coming: Sequence[Field], to: Destination) -> list[Field]:
    """The table's fields, and those that the job may add."""
    by_name = {field["name"].lower(): field for field in present}
    problem = f"Provided Schema does not match Table {to.name}."
    added: list[Field] = []
    for field in coming:
        known = by_name.get(field["name"].lower())
        if known is None:
            if not to.allows("ALLOW_FIELD_ADDITION"):
                refuse(f"{problem} Cannot add fields (field: {field['name']})")
            added.append(field)
        elif _shape(known) != _shape(field):
            changed = f"has changed type from {known['type']} to {field['type']}"
            if known["type"] == field["type"]:
                changed = f"has changed mode from {known['mode']} to {field['mode']}"
            refuse(f"{problem} Field {field['name']} {changed}")
    return present + added


def _shape(field: Field) -> tuple[Any, ...]:
    """What two fields must have in common to hold the same values."""
    children = tuple((c["name"].lower(), _shape(c)) for c in field.get("fields") or ())
    return field["type"], field.get("mode") == "REPEATED", children
