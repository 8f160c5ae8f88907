"""Datasets and tables as the REST API describes them: names, types, places, expirations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bqemulator.api.routes.tables import _field_to_rest, _parse_schema_fields
from bqemulator.catalog import ddl_sync
from bqemulator.catalog.models import TableSchema
from bqemulator.storage.sql_identifiers import quoted_table_ref

from .fields import duckdb_type, fields_of, legacy, quoted
from .replacement import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from bqemulator.api.dependencies import AppContext
    from bqemulator.catalog.models import TableMeta

    from .places import Places

__all__ = ["amend_catalog", "amend_names", "refresh"]

_ROUTES = "bqemulator.api.routes.tables"


def amend_names() -> None:
    """Name things in errors as BigQuery does: `Not found: Table project:dataset.table`."""
    replace("bqemulator.domain.errors:ResourceRef", "format", lambda _: _named)


def refresh(ctx: AppContext, project: str, dataset: str, table: str) -> None:
    """Have the catalog know what a statement made of a table: its columns and its rows."""
    known = ctx.catalog.get_table(project, dataset, table)
    if known is None or known.table_type != "TABLE":
        return
    ref = quoted_table_ref(project, dataset, table)
    fields = {field.name: field for field in known.schema_.fields}
    found = ddl_sync._introspect_schema(project, dataset, table, ctx).fields  # noqa: SLF001
    schema = TableSchema(fields=tuple(fields.get(field.name, field) for field in found))
    rows = ctx.engine.execute(f"SELECT count(*) FROM {ref}").fetchall()[0][0]
    ctx.catalog.update_table(known.model_copy(update={"schema_": schema, "num_rows": rows}))


def amend_catalog(ctx: AppContext, places: Places) -> None:
    """Have tables say where they lie, when they expire, and have the columns that they say."""

    def with_place(describe: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def described(table: TableMeta) -> dict[str, Any]:
            said = {"location": places.of_dataset(table.project_id, table.dataset_id) or "US"}
            if table.expiration_time is not None:
                said["expirationTime"] = str(int(table.expiration_time.timestamp() * 1000))
            return describe(table) | said

        return described

    replace(_ROUTES, "_table_to_rest", with_place)

    def with_columns(parse: Callable[..., TableMeta]) -> Callable[..., TableMeta]:
        def parsed(project: str, dataset: str, body: dict[str, Any], *known: Any) -> TableMeta:
            table = parse(project, dataset, body, *known)
            existing: TableMeta | None = known[1] if len(known) > 1 else None
            _add_columns(ctx, table, existing)
            return table.model_copy(update={"expiration_time": _expiration(body, existing)})

        return parsed

    replace(_ROUTES, "_rest_to_table_meta", with_columns)
    replace(_ROUTES, "_parse_schema_fields", _with_legacy_names)
    replace(_ROUTES, "bq_schema_to_duckdb_columns", lambda _: _columns)
    replace("bqemulator.catalog.ddl_sync", "_introspect_schema", _with_json)


def _named(resource: Any) -> str:
    dataset = f":{resource.dataset_id}" if resource.dataset_id else ""
    inner = f"{'.' if dataset else ':'}{resource.resource_id}" if resource.resource_id else ""
    return f"{resource.kind.capitalize()} {resource.project_id}{dataset}{inner}"


def _add_columns(ctx: AppContext, table: TableMeta, existing: TableMeta | None) -> None:
    """Give a table that is updated the columns that its new schema adds."""
    if existing is None or existing.table_type != "TABLE":
        return
    ref = quoted_table_ref(table.project_id, table.dataset_id, table.table_id)
    known = {field.name for field in existing.schema_.fields}
    for field in table.schema_.fields:
        if field.name not in known:
            column = f"{quoted(field.name)} {duckdb_type(_field_to_rest(field))}"
            ctx.engine.execute(f"ALTER TABLE {ref} ADD COLUMN IF NOT EXISTS {column}")


def _expiration(body: dict[str, Any], existing: TableMeta | None) -> datetime | None:
    if "expirationTime" not in body:
        return existing.expiration_time if existing else None
    said = body["expirationTime"]
    return datetime.fromtimestamp(int(said) / 1000, UTC) if said else None


def _with_legacy_names(parse: Callable[..., Any]) -> Callable[..., Any]:
    def parsed(fields: list[dict[str, Any]]) -> Any:
        return parse([legacy(field) for field in fields])

    return parsed


def _columns(fields: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Columns whose records may have fields named as SQL's own words are."""
    return [(field["name"], duckdb_type(legacy(field))) for field in fields]


def _with_json(introspect: Callable[..., TableSchema]) -> Callable[..., TableSchema]:
    """Types from DuckDB's own description: in Arrow's a JSON column is text."""

    def introspected(project: str, dataset: str, table: str, ctx: AppContext) -> TableSchema:
        known = introspect(project, dataset, table, ctx)
        sql = f"SELECT * FROM {quoted_table_ref(project, dataset, table)}"
        fields = _parse_schema_fields(fields_of(ctx.engine, sql))
        modes = {field.name: field.mode for field in known.fields}
        return TableSchema(
            fields=tuple(
                field.model_copy(update={"mode": modes[field.name]})
                if modes.get(field.name) == "REQUIRED"
                else field
                for field in fields
            )
        )

    return introspected
