"""Rows by the REST API: listed in pages that stay small, and inserted one by one.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bqemulator.api.routes.tabledata import (
    _build_arrow_schema,
    _fields_raw_from_schema,
    _parse_selected_fields,
    insert_all,
)
from bqemulator.storage.arrow_bridge import bq_rows_to_arrow
from bqemulator.storage.sql_identifiers import quoted_table_ref
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .refusals import refuse_missing
from .results import ANONYMOUS, page

if TYPE_CHECKING:
    from bqemulator.api.dependencies import AppContext
    from bqemulator.catalog.models import TableMeta
    from starlette.requests import Request

    from .results import Results

__all__ = ["Rows"]

_TABLE = "/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}"
_MOST_ROWS = 100_000
_SAMPLED_ROWS = 100


class Rows:
    """The rows of tables, those without a name too.

    They are listed on the event loop, where all else is done: bqemulator lists them in threads, and
    DuckDB's one connection refuses two at a time.
    """

    def __init__(self, ctx: AppContext, results: Results) -> None:
        self._ctx = ctx
        self._results = results

    def routes(self) -> list[Route]:
        """What is answered in place of bqemulator's own."""
        anonymous = _TABLE.replace("{dataset}", ANONYMOUS)
        return [
            Route(anonymous, self._anonymous, methods=["GET"]),
            Route(f"{anonymous}/data", self._list_anonymous, methods=["GET"]),
            Route(f"{_TABLE}/data", self._list, methods=["GET"]),
            Route(f"{_TABLE}/insertAll", self._insert, methods=["POST"]),
        ]

    async def _anonymous(self, request: Request) -> Response:
        project, table = request.path_params["project"], request.path_params["table"]
        rows, fields = self._results.of_table(table)
        named = {"projectId": project, "datasetId": ANONYMOUS, "tableId": table}
        return JSONResponse(
            {
                "kind": "bigquery#table",
                "id": f"{project}:{ANONYMOUS}.{table}",
                "tableReference": named,
                "type": "TABLE",
                "schema": {"fields": fields},
                "numRows": str(rows.num_rows),
                "numBytes": str(rows.nbytes),
            }
        )

    async def _list_anonymous(self, request: Request) -> Response:
        rows, _ = self._results.of_table(request.path_params["table"])
        start, most = _asked(request)
        names = request.query_params.get("selectedFields")
        chosen = rows.select(names.split(",")) if names else rows
        said, following = page(chosen, start, most)
        return _listed(said, rows.num_rows, following)

    async def _list(self, request: Request) -> Response:
        meta = self._table(request)
        start, most = _asked(request)
        ref = quoted_table_ref(meta.project_id, meta.dataset_id, meta.table_id)
        columns = _parse_selected_fields(request.query_params.get("selectedFields"), meta)
        total = self._ctx.engine.execute(f"SELECT count(*) FROM {ref}").fetchall()[0][0]
        # The rows there are, as far as one page can hold them, which their width decides.
        sql = f"SELECT {columns} FROM {ref} LIMIT {{}} OFFSET {start}"
        sample = self._ctx.engine.fetch_arrow(sql.format(min(most, _SAMPLED_ROWS)))
        said, following = page(sample, 0, None)
        if following is None and sample.num_rows == _SAMPLED_ROWS < most:
            rows = self._ctx.engine.fetch_arrow(sql.format(most))
            said, _ = page(rows, 0, None)
        end = start + len(said)
        return _listed(said, total, end if end < total and said else None)

    def _table(self, request: Request) -> TableMeta:
        project, dataset, table = (request.path_params[n] for n in ("project", "dataset", "table"))
        meta = self._ctx.catalog.get_table(project, dataset, table)
        if meta is None:
            refuse_missing(f"Table {project}:{dataset}.{table}")
        return meta

    async def _insert(self, request: Request) -> Response:
        meta = self._table(request)
        body: dict[str, Any] = await request.json()
        wrong = self._wrong_rows(meta, body)
        if wrong and not body.get("skipInvalidRows"):
            count = len(body["rows"])
            stopped = {"reason": "stopped", "location": "", "debugInfo": "", "message": ""}
            errors = [wrong.get(number, stopped) for number in range(count)]
            return _inserted(dict(enumerate(errors)))
        body["rows"] = [row for n, row in enumerate(body.get("rows", ())) if n not in wrong]
        await insert_all(meta.project_id, meta.dataset_id, meta.table_id, request, self._ctx)
        return _inserted(wrong)

    def _wrong_rows(self, meta: TableMeta, body: dict[str, Any]) -> dict[int, dict[str, str]]:
        """What is wrong with each row that cannot be inserted, by its number."""
        fields: Any = meta.schema_.fields
        raw: Any = _fields_raw_from_schema(fields)
        columns = _build_arrow_schema(raw)
        known = {field.name.lower() for field in meta.schema_.fields}
        required = [field.name for field in meta.schema_.fields if field.mode == "REQUIRED"]
        wrong: dict[int, dict[str, str]] = {}
        for number, row in enumerate(body.get("rows", ())):
            values: dict[str, Any] = row.get("json", {})
            unknown = [name for name in values if name.lower() not in known]
            missing = [name for name in required if values.get(name) is None]
            try:
                bq_rows_to_arrow([row], columns)
            except (ArithmeticError, TypeError, ValueError) as error:
                wrong[number] = _problem("", f"Cannot convert value: {error}")
            if unknown and not body.get("ignoreUnknownValues"):
                wrong[number] = _problem(unknown[0], f"no such field: {unknown[0]}.")
            elif missing:
                wrong[number] = _problem(missing[0], f"Missing required field: {missing[0]}.")
        return wrong


def _problem(location: str, message: str) -> dict[str, str]:
    return {"reason": "invalid", "location": location, "debugInfo": "", "message": message}


def _inserted(wrong: dict[int, dict[str, str]]) -> Response:
    errors = [{"index": number, "errors": [error]} for number, error in sorted(wrong.items())]
    reply: dict[str, Any] = {"kind": "bigquery#tableDataInsertAllResponse"}
    return JSONResponse(reply | ({"insertErrors": errors} if errors else {}))


def _asked(request: Request) -> tuple[int, int]:
    """Where a page starts, and how many rows it may have."""
    asked = request.query_params
    start = int(asked.get("pageToken") or asked.get("startIndex") or 0)
    return start, min(_MOST_ROWS, int(asked.get("maxResults") or _MOST_ROWS))


def _listed(rows: list[dict[str, Any]], total: int, following: int | None) -> Response:
    reply = {"kind": "bigquery#tableDataList", "totalRows": str(total), "rows": rows}
    return JSONResponse(reply | ({"pageToken": str(following)} if following is not None else {}))
