"""A job's tables in BigQuery, read and written through Google's own client.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-bigquery
"""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from batchkit.emulator.answering import dumps_answer
from batchkit.emulator.errors import Rpc
from batchkit.emulator.life import WorkError
from batchkit.emulator.models import is_legacy
from batchkit.emulator.rows import Row, Rows, RowsWriter
from batchkit.emulator.vertex.intake import check_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from batchkit.emulator.jobs import Job
    from batchkit.emulator.models import Model
    from batchkit.emulator.vertex.answers import Answer, AnsweredRow
    from batchkit.emulator.vertex.orders import Order
    from batchkit.emulator.workspace import Workspace

__all__ = ["Tables"]

_MULTI_REGIONS = frozenset({"US", "EU"})
# "Additional columns can use any BigQuery data types except …"
_REFUSED_TYPES = frozenset({"ARRAY", "STRUCT", "RECORD", "RANGE", "DATETIME", "GEOGRAPHY"})
_RESERVED = frozenset({"response", "status", "processed_time", "predictions"})
_NOT_FOUND = 404
_RENAMING = frozenset({"unkey", "stray"})
_STRINGS = pa.string()


class Tables:
    """The tables that one emulator's jobs read and write."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._client: Any = None

    def use(self, environment: Mapping[str, str]) -> None:
        """Have bq:// mean the BigQuery that these variables name."""
        self.close()
        credentials = importlib.import_module("google.auth.credentials")
        self._client = _library("bigquery").Client(
            project=environment["GOOGLE_CLOUD_PROJECT"],
            credentials=credentials.AnonymousCredentials(),
            client_options={"api_endpoint": environment["BIGQUERY_EMULATOR_HOST"]},
        )

    def close(self) -> None:
        """Close the connections to BigQuery, if there are any."""
        if self._client is not None:
            self._client.close()

    def check_output(self, order: Order) -> None:
        """WorkError when the output has no place, or its table is there already."""
        dataset, _, _ = order.output_table.rpartition(".")
        if order.makes_dataset:
            made = _library("bigquery").Dataset(dataset)
            made.location = order.location
            self._asked(dataset, lambda: self._open.create_dataset(made, exists_ok=True))
        self._check_region(dataset, order)
        if self._found(order.output_table) is not None:
            text = f"Already Exists: Table {order.output_table}"
            raise WorkError(Rpc.ALREADY_EXISTS, text)

    def take(self, order: Order, job: Job, rows: Rows, model: Model) -> int:
        """Write the rows of a table as rows and their other columns; how many there are."""
        name = order.input_table
        self._check_region(name.rpartition(".")[0], order)
        table = self._found(name)
        if table is None:
            raise WorkError(Rpc.NOT_FOUND, f"Not found: Table {name}")
        column = "content" if is_legacy(model.name) else "request"
        _check_fields(name, table.schema, column)
        check_count(table.num_rows or 0, model, self._workspace.limits)
        arrow: pa.Table = self._asked(
            name, lambda: self._open.list_rows(table).to_arrow(create_bqstorage_client=False)
        )
        with RowsWriter(rows) as writer:
            for key, text in zip(_keys(arrow), arrow[column].to_pylist(), strict=True):
                tag = {"key": key} if key else {}
                writer.add(Row({"content": text} if column == "content" else _request(text), tag))
        if not len(arrow):
            raise WorkError(Rpc.INVALID_ARGUMENT, f"There are no requests in {name}.")
        fields = orjson.dumps([field.to_api_repr() for field in table.schema])
        arrow = arrow.replace_schema_metadata({b"fields": fields})
        pq.write_table(arrow, self._workspace.blobs.path(job.columns_blob))
        return len(arrow)

    def write(
        self,
        order: Order,
        job: Job,
        answered: Iterable[AnsweredRow],
        *,
        at: int,
    ) -> int:
        """Write answers as a table, beside the columns of their rows.

        How many failed. A table of that name is replaced: this job made it, before it was killed.
        """
        answered = list(answered)
        columns, fields = self._columns(job, answered)
        answers = [each.answer for each in answered]
        for name, kind, array in _answer_columns(job, answers, fields, at):
            columns = columns.append_column(name, array)
            fields.append({"name": name, "type": kind, "mode": "NULLABLE"})
        self._load(order, columns.replace_schema_metadata(None), fields)
        return len({each.number for each in answered if each.answer.status})

    def _columns(
        self, job: Job, answered: list[AnsweredRow]
    ) -> tuple[pa.Table, list[dict[str, Any]]]:
        """What stands beside the answers: all columns of the input, of objects their requests."""
        path = self._workspace.blobs.path(job.columns_blob)
        if path.exists():
            table = pq.read_table(path)
            fields: list[dict[str, Any]] = orjson.loads((table.schema.metadata or {})[b"fields"])
            table = table.take(pa.array([each.number for each in answered], pa.int64()))
            return _renamed(table, answered), [each | {"mode": "NULLABLE"} for each in fields]
        requests = [each.row.request for each in answered]
        if is_legacy(job.model):
            texts, name, kind = [request["content"] for request in requests], "content", "STRING"
        else:
            texts = [orjson.dumps(request).decode() for request in requests]
            name, kind = "request", "JSON"
        table = pa.table({name: pa.array(texts, _STRINGS)})
        return table, [{"name": name, "type": kind, "mode": "NULLABLE"}]

    def _load(self, order: Order, table: pa.Table, fields: list[dict[str, Any]]) -> None:
        bigquery = _library("bigquery")
        config = bigquery.LoadJobConfig(
            source_format="PARQUET",
            schema=[bigquery.SchemaField.from_api_repr(field) for field in fields],
            write_disposition="WRITE_TRUNCATE",
        )
        stream = io.BytesIO()
        pq.write_table(table, stream)

        def load() -> Any:
            return self._open.load_table_from_file(
                stream,
                order.output_table,
                rewind=True,
                job_config=config,
                location=order.location,
            ).result()

        self._asked(order.output_table, load)

    def _check_region(self, dataset: str, order: Order) -> None:
        """WorkError when a dataset is not there, or not where the job runs."""
        found = self._asked(dataset, lambda: self._open.get_dataset(dataset))
        region: str = found.location
        if region.upper() in _MULTI_REGIONS:
            text = f"Dataset {dataset} is in the multi-region {region}, which is not supported."
            raise WorkError(Rpc.INVALID_ARGUMENT, text)
        if region.lower() != order.location:
            text = f"Not found: Dataset {dataset} was not found in location {order.location}"
            raise WorkError(Rpc.NOT_FOUND, text)

    def _found(self, table: str) -> Any:
        """A table, None when there is none."""
        exceptions = importlib.import_module("google.api_core.exceptions")

        def get() -> Any:
            try:
                return self._open.get_table(table)
            except exceptions.NotFound:
                return None

        return self._asked(table, get)

    @property
    def _open(self) -> Any:
        if self._client is None:
            text = "The emulator has no BigQuery: start it with serve(bigquery=…)."
            raise WorkError(Rpc.FAILED_PRECONDITION, text)
        return self._client

    def _asked(self, name: str, ask: Callable[[], Any]) -> Any:
        """What BigQuery says; WorkError when it refuses, or does not answer."""
        errors: Any = importlib.import_module("google.api_core.exceptions").GoogleAPIError
        try:
            return ask()
        except (errors, OSError) as error:
            code = Rpc.NOT_FOUND if getattr(error, "code", 0) == _NOT_FOUND else Rpc.INTERNAL
            text = f"BigQuery refused {name}: {getattr(error, 'message', '') or error}"
            raise WorkError(code, text) from error


def _library(name: str) -> Any:
    """One of Google's libraries: slow to load, and only some need it."""
    return importlib.import_module(f"google.cloud.{name}")


def _check_fields(name: str, fields: list[Any], column: str) -> None:
    """WorkError for a table without the column of requests, or with one that is not taken."""
    types = {field.name: field.field_type for field in fields}
    wanted = {"STRING"} if column == "content" else {"STRING", "JSON"}
    if types.get(column) not in wanted:
        text = f"Table {name} must have a column {column} of type {' or '.join(sorted(wanted))}."
        raise WorkError(Rpc.INVALID_ARGUMENT, text)
    for field in fields:
        kind = "ARRAY" if field.mode == "REPEATED" else field.field_type
        if kind in _REFUSED_TYPES or field.name in _RESERVED:
            reason = "name is reserved" if field.name in _RESERVED else f"type {kind} is not taken"
            text = f"Table {name} has the column {field.name}, whose {reason}."
            raise WorkError(Rpc.INVALID_ARGUMENT, text)


def _keys(table: pa.Table) -> list[str | None]:
    """The keys of rows, where a column of texts has them."""
    if "key" in table.column_names and pa.types.is_string(table.schema.field("key").type):
        return table["key"].to_pylist()
    return [None] * len(table)


def _renamed(table: pa.Table, answered: list[AnsweredRow]) -> pa.Table:
    """The columns of rows, with the keys of those whose fault has changed them."""
    if not any(each.fault and each.fault.kind in _RENAMING for each in answered):
        return table
    if not any(_keys(table)):
        return table
    keys = [
        each.row.tag.get("key") if each.fault and each.fault.kind in _RENAMING else key
        for key, each in zip(table["key"].to_pylist(), answered, strict=True)
    ]
    place = table.column_names.index("key")
    return table.set_column(place, "key", pa.array(keys, _STRINGS))


def _request(text: Any) -> dict[str, Any]:
    """A request in a column; what is no JSON object has no contents, and fails its row."""
    try:
        value = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return value if value.__class__ is dict else {}


def _answer_columns(
    job: Job, answers: list[Answer], fields: list[dict[str, Any]], at: int
) -> Iterator[tuple[str, str, pa.Array]]:
    """Name, type and values of each column that a job adds: JSON, if its requests are."""
    legacy = is_legacy(job.model)
    kinds = {field["name"]: field["type"] for field in fields}
    responses = ([answer.response] if legacy else answer.response for answer in answers)
    texts = [dumps_answer(response).decode() for response in responses]
    yield (
        "predictions" if legacy else "response",
        kinds.get("request", "JSON"),
        pa.array(texts, _STRINGS),
    )
    yield "status", "STRING", pa.array([answer.status for answer in answers], _STRINGS)
    if not legacy:
        moments = pa.array([at // 1000] * len(answers), pa.timestamp("us", "UTC"))
        yield "processed_time", "TIMESTAMP", moments
