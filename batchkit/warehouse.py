"""Tables in BigQuery: read as Arrow, written by jobs that run once though asked for twice.

https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batchkit.errors import NotFoundError, SetupError
from batchkit.failures import google_errors, not_there
from batchkit.once import last_run, run_once

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

__all__ = ["IfExists", "TableInfo", "TableName", "TableOptions", "TableRows", "Warehouse"]

IfExists: TypeAlias = Literal["fail", "replace", "append"]

_NAME = re.compile(
    r"bq://((?:[a-z0-9.-]+:)?[a-z0-9-]+)\.([A-Za-z0-9_]+)(?:\.([^.`/\\\x00-\x1f]+))?"
)
_DISPOSITIONS: Mapping[IfExists, str] = {
    "fail": "WRITE_EMPTY",
    "replace": "WRITE_TRUNCATE",
    "append": "WRITE_APPEND",
}


@dataclass(frozen=True, slots=True)
class TableName:
    """`bq://project.dataset.table`, or without a table a dataset."""

    project: str
    dataset: str
    table: str = ""

    @classmethod
    def parse(cls, text: str) -> TableName:
        """The parts of a `bq://` address; SetupError when it is none."""
        found = _NAME.fullmatch(text)
        if found is None:
            message = f"{text!r} is no BigQuery name: it looks like bq://project.dataset.table"
            raise SetupError(message)
        return cls(found[1], found[2], found[3] or "")

    @property
    def path(self) -> str:
        """`project.dataset.table`."""
        return f"{self.project}.{self.dataset}" + (f".{self.table}" if self.table else "")

    @property
    def sql(self) -> str:
        """The name as SQL writes it."""
        return f"`{self.path}`"

    def beside(self, name: str) -> TableName:
        """A table of the same dataset; what a name may not hold becomes `_`."""
        return TableName(self.project, self.dataset, re.sub(r"\W", "_", name))

    def __str__(self) -> str:
        return f"bq://{self.path}"


@dataclass(frozen=True, slots=True)
class TableInfo:
    """What a table is: its fields as the REST API writes them, and rows (None for a view).

    `modified` is when that was last changed, data or fields.
    """

    name: TableName
    fields: Sequence[Mapping[str, Any]]
    rows: int | None
    location: str
    modified: dt.datetime


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What becomes of a table that exists; the days it is cut by, the columns it is sorted by."""

    if_exists: IfExists = "fail"
    partition_by: str | None = None
    cluster_by: tuple[str, ...] = ()

    def apply(self, config: Any) -> None:
        """Put them into the configuration of a job of Google's library."""
        from google.cloud import bigquery  # noqa: PLC0415  # slow to load, and only some need it

        config.write_disposition = _DISPOSITIONS[self.if_exists]
        config.clustering_fields = list(self.cluster_by) or None
        if self.partition_by:
            config.time_partitioning = bigquery.TimePartitioning(field=self.partition_by)


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of a table or a query, to be read once; `rows` is their number."""

    rows: int
    batches: Iterator[pa.RecordBatch]


class Warehouse:
    """The tables that one account reaches, through Google's own client.

    `reader` is a client of the BigQuery Storage API; without it rows come by REST, slower.
    """

    def __init__(self, client: Any, reader: Any = None) -> None:
        self._client = client
        self._reader = reader

    def location(self, name: TableName) -> str:
        """Where the dataset lies, in lower case; NotFoundError when there is none."""
        with google_errors("bigquery.dataset"):
            found = self._client.get_dataset(f"{name.project}.{name.dataset}")
        return str(found.location).lower()

    def find(self, name: TableName) -> TableInfo | None:
        """The table as it is now, None when there is none."""
        try:
            with google_errors("bigquery.table"):
                table = self._client.get_table(name.path)
        except NotFoundError:
            return None
        fields = [field.to_api_repr() for field in table.schema]
        is_stored = table.table_type == "TABLE"
        rows = table.num_rows if is_stored else None
        return TableInfo(name, fields, rows, str(table.location).lower(), table.modified)

    def read(self, name: TableName, columns: Sequence[str] | None = None) -> TableRows:
        """The rows of a table, or of a view by a query, with these columns (None: all)."""
        info = self.find(name)
        if info is None:
            message = f"there is no table {name}, or this account does not see it"
            raise not_there(message, "bigquery.table")
        if info.rows is None:
            wanted = "*" if columns is None else ", ".join(f"`{column}`" for column in columns)
            return self.query_rows(f"SELECT {wanted} FROM {name.sql}")  # noqa: S608  # names that were checked
        with google_errors("bigquery.read"):
            table = self._client.get_table(name.path)
            by_name = {field.name: field for field in table.schema}
            fields = None if columns is None else [by_name[column] for column in columns]
            return self._rows(self._client.list_rows(table, selected_fields=fields))

    def query_rows(self, sql: str) -> TableRows:
        """The rows that a query gives."""
        with google_errors("bigquery.query"):
            return self._rows(self._client.query(sql).result())

    def query_fields(self, sql: str) -> Sequence[Mapping[str, Any]]:
        """The fields that a query's rows would have; it is not run, and costs nothing."""
        from google.cloud import bigquery  # noqa: PLC0415  # slow to load, and only some need it

        config = bigquery.QueryJobConfig(dry_run=True)
        with google_errors("bigquery.query"):
            job = self._client.query(sql, job_config=config)
        return [field.to_api_repr() for field in job.schema or ()]

    def _rows(self, rows: Any) -> TableRows:
        stream: Iterator[pa.RecordBatch] = rows.to_arrow_iterable(bqstorage_client=self._reader)
        return TableRows(int(rows.total_rows or 0), _guarded(stream))

    def load(
        self,
        path: Path,
        to: TableName,
        job_id: str,
        *,
        fields: Sequence[Mapping[str, Any]],
        options: TableOptions | None = None,
    ) -> int:
        """Load a Parquet file as one job of this id; rows loaded.

        A job of this id that runs or is done is taken as ours: the file is loaded once, however
        often this is called. After a job that failed, or whose table is gone or was replaced by
        others since, another is tried under the next number.
        SetupError for a table that exists, unless the options say what to do with it.
        """
        from google.cloud import bigquery  # noqa: PLC0415  # slow to load, and only some need it

        make_field: Any = bigquery.SchemaField.from_api_repr  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        parquet = bigquery.ParquetOptions()
        parquet.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format="PARQUET",
            schema=[make_field(dict(field)) for field in fields],
            parquet_options=parquet,
        )
        wanted = options or TableOptions()
        wanted.apply(config)
        location = self.location(to)

        def begin(name: str) -> Any:
            self._check_free(to, wanted)
            with path.open("rb") as file:
                return self._client.load_table_from_file(
                    file,
                    to.path,
                    job_id=name,
                    job_config=config,
                    location=location,
                    size=path.stat().st_size,
                )

        done = run_once(
            self._client,
            job_id,
            location,
            begin,
            operation="bigquery.load",
            holds=lambda job: self._holds(job, to, wanted),
        )
        return int(done.output_rows or 0)

    def fill(
        self, sql: str, to: TableName, job_id: str, *, options: TableOptions | None = None
    ) -> int:
        """Write what a SELECT gives into a table as one job of this id, as `load` does; its rows.

        No row comes here.
        """
        from google.cloud import bigquery  # noqa: PLC0415  # slow to load, and only some need it

        config = bigquery.QueryJobConfig(destination=to.path)
        wanted = options or TableOptions()
        wanted.apply(config)
        location = self.location(to)

        def begin(name: str) -> Any:
            self._check_free(to, wanted)
            # The library's own retry would be another job; ours go by number.
            return self._client.query(
                sql, job_id=name, job_config=config, location=location, job_retry=None
            )

        run_once(
            self._client,
            job_id,
            location,
            begin,
            operation="bigquery.query",
            holds=lambda job: self._holds(job, to, wanted),
        )
        info = self.find(to)
        return info.rows or 0 if info else 0

    def _check_free(self, to: TableName, options: TableOptions) -> None:
        if options.if_exists == "fail" and self.find(to) is not None:
            message = f"{to} is there already: name another, or give if_exists='replace'"
            raise SetupError(message)

    def _holds(self, job: Any, to: TableName, options: TableOptions) -> bool:
        """Whether what an earlier job wrote is what the table has now."""
        info = self.find(to)
        ours = job.ended is not None and info and info.modified <= job.ended
        return info is not None and (ours or options.if_exists != "replace")

    def filled_by(self, to: TableName, job_id: str) -> str | None:
        """The SQL with which `fill` last filled a table under this id, None when it did not."""
        location = self.location(to)
        job = last_run(self._client, job_id, location, operation="bigquery.query")
        return None if job is None else str(job.query)

    def drop(self, name: TableName) -> None:
        """Delete a table; one that is gone is no error."""
        with google_errors("bigquery.delete"):
            self._client.delete_table(name.path, not_found_ok=True)


def _guarded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with google_errors("bigquery.read"):
        yield from batches
