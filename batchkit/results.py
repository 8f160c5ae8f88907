"""The result of a run: each source row with its answer, streamed in source order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchkit.damage import reading
from batchkit.display.html import table_html, tally_html
from batchkit.errors import CapabilityError
from batchkit.joined import JoinedRows
from batchkit.pushed import PushedRows
from batchkit.service.client import cloud_of
from batchkit.tables.delivered import check_table, deliver_objects, deliver_table
from batchkit.tables.frame import frame_of_arrow
from batchkit.tables.written import write_csv, write_jsonl, write_parquet
from batchkit.warehouse import TableName, TableOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from batchkit.rundir import Run
    from batchkit.service.client import Client
    from batchkit.warehouse import IfExists

__all__ = ["Results"]

_SHOWN_ROWS = 5


class Results:
    """One row per source row, in source order: the source's columns, then the answer's.

    Nothing is held in memory until a method asks for it; `to_parquet`, `to_jsonl`, `to_csv` and
    the Arrow stream (`__arrow_c_stream__`) never hold more than a window. A row whose job has not
    ended has the status `pending`; `collect` again, later, for the rest. Of a run with pushdown the
    rows are in BigQuery: `to_bigquery` leaves them there, what reads them brings them here, by a
    query each time; `client` is a Vertex client for it.
    """

    def __init__(
        self,
        run: Run,
        source: Literal["table", "carried"] = "table",
        *,
        client: Client | None = None,
    ) -> None:
        self.run = run
        self._there: PushedRows | None = None
        if run.definition.resident is not None:
            self._there = PushedRows(run, cloud_of(client).warehouse)
        self._rows: JoinedRows | PushedRows = self._there or JoinedRows(run, source)
        self.schema: pa.Schema = self._rows.schema

    def __len__(self) -> int:
        return self.run.shards.rows

    def __repr__(self) -> str:
        counts = ", ".join(f"{n:,} {status}" for status, n in self.tally().items() if n)
        return f"Results({str(self.run.folder)!r}: {len(self):,} rows, {counts or 'none'})"

    def _repr_html_(self) -> str:
        """The tally and the first rows, for a notebook."""
        first = None if self._there else next(iter(self._rows.batches()), None)
        rows = first.slice(0, _SHOWN_ROWS).to_pylist() if first else []
        return tally_html(str(self.run.folder), self.tally()) + table_html(self.schema.names, rows)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The rows for whoever reads Arrow: `polars.from_arrow`, DuckDB, pyarrow."""
        return self.reader().__arrow_c_stream__(requested_schema)

    def tally(self) -> Mapping[str, int]:
        """Rows by status; they add up to the number of rows."""
        return self.run.tally()

    def reader(self) -> pa.RecordBatchReader:
        """The rows as a stream of record batches."""
        return pa.RecordBatchReader.from_batches(self.schema, self._rows.batches())

    def to_arrow(self) -> pa.Table:
        """All rows as one Arrow table."""
        return self.reader().read_all()

    def to_pandas(self) -> Any:
        """All rows as a pandas DataFrame, with the dtypes and the index of the one it came from.

        Token counts are of pandas' nullable Int64, since rows without an answer have none.
        """
        import pandas as pd  # noqa: PLC0415  # takes time to load, and not everybody uses it

        table = self.to_arrow()
        with reading(self.run.folder / "run.json"):  # it says what the frame was like
            frame = frame_of_arrow(table)
        for name in self._rows.integers:
            frame[name] = table.column(name).to_pandas(types_mapper=lambda _: pd.Int64Dtype()).array
        return frame

    def to_polars(self) -> Any:
        """All rows as a Polars DataFrame; needs polars."""
        try:
            import polars as pl  # noqa: PLC0415  # optional, and only here
        except ImportError:
            message = "to_polars needs polars: pip install polars"
            raise CapabilityError(message) from None
        return pl.from_arrow(self.to_arrow())

    def to_parquet(
        self, path: str | Path | None = None, *, client: Client | None = None
    ) -> Path | str:
        """Write the rows to a file (`.parquet`) or a new folder of files; returns the path.

        Without a path, to `results/` in the run directory, which is written anew. A gs:// address
        is one, too: objects are created there, and never written over; here and in `to_jsonl` and
        `to_csv`, `client` is a Vertex client to do so with, and the Application Default Credentials
        are used without.
        """
        own = self.run.folder / "results"

        def write(to: str | Path) -> Path:
            is_own = path is None
            return write_parquet(self.reader(), to, may_replace=is_own, is_private=is_own)

        return self._delivered(write, path or own, client)

    def to_jsonl(self, path: str | Path, *, client: Client | None = None) -> Path | str:
        """Write one JSON object per row: dates in ISO 8601, decimals as text, NaN as null."""
        return self._delivered(lambda to: write_jsonl(self.reader(), to), path, client)

    def to_csv(
        self,
        path: str | Path,
        *,
        escape_formulas: bool = False,
        client: Client | None = None,
    ) -> Path | str:
        """Write CSV with a header; lists, structs and vectors as JSON text.

        With `escape_formulas` a text that a spreadsheet would run as a formula (it begins with
        `=`, `+`, `-`, `@`, a tab or a line's end) gets an apostrophe before it.
        """

        def write(to: str | Path) -> Path:
            return write_csv(self.reader(), to, escape_formulas=escape_formulas)

        return self._delivered(write, path, client)

    def to_bigquery(
        self,
        table: str | None = None,
        *,
        if_exists: IfExists = "fail",
        partition_by: str | None = None,
        cluster_by: str | Sequence[str] = (),
        client: Client | None = None,
    ) -> str:
        """Write the rows into `bq://project.dataset.table` by one job; returns that address.

        Called again it loads nothing twice: the job's id follows from the run, the table, the
        options and the rows, so that more answers are another load. `partition_by` is a column of
        dates or timestamps, by day. A missing vector is an empty array, since BigQuery has no null
        ones. Of a run with pushdown it is a query, and without `table` the run's own table of
        results, `batchkit_<run>_results`, is written anew. Raises TableError, before anything is
        sent, for a column that BigQuery cannot hold, and SetupError for a table that is there.
        """
        clusters = (cluster_by,) if isinstance(cluster_by, str) else tuple(cluster_by)
        if table is None and self._there is not None:
            to, if_exists = self._there.table, "replace"
        else:
            to = TableName.parse(table or "")
        options = TableOptions(if_exists, partition_by, clusters)
        if self._there is not None:
            check_table(to, options, self.schema)
            self._there.fill(to, options)
            return str(to)
        prefix = f"batchkit-{self.run.definition.id}"
        warehouse = cloud_of(client).warehouse
        deliver_table(self.reader(), to, options, warehouse, self.run.folder, prefix)
        return str(to)

    def _delivered(
        self, write: Callable[[str | Path], Path], to: str | Path, client: Client | None
    ) -> Path | str:
        """Write to this machine, or to Cloud Storage by way of the run directory."""
        if not isinstance(to, str) or "://" not in to:
            return write(to)
        if not to.startswith("gs://"):
            message = f"{to}: files are written to this machine and to gs://"
            raise CapabilityError(message)
        return deliver_objects(write, to, cloud_of(client).objects, self.run.folder)

    def embeddings(self) -> NDArray[np.float32]:
        """The vectors as a float32 array of shape (rows, dimensions), NaN where there is none."""
        name = f"{self.run.definition.layout.prefix}embedding"
        if name not in self.schema.names:
            message = "this run generates text: it has no embeddings"
            raise CapabilityError(message)
        vectors: NDArray[np.float32] | None = None
        row = 0
        for batch in self._rows.batches():
            column = batch.column(name)
            present = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
            if len(present):
                values = _matrix(column, len(present))
                width = values.shape[1]
                if vectors is None:
                    vectors = np.full((len(self), width), np.nan, np.float32)
                if width != vectors.shape[1]:
                    raise _uneven(width, vectors.shape[1])
                vectors[row + present] = values
            row += batch.num_rows
        return np.empty((len(self), 0), np.float32) if vectors is None else vectors


def _matrix(column: pa.Array, rows: int) -> NDArray[np.float32]:
    """The vectors of a list column that are there, as one array; they must be equally long."""
    lengths = np.unique(pc.drop_null(pc.list_value_length(column)).to_numpy())
    if len(lengths) > 1:
        raise _uneven(*lengths[:2].tolist())
    values = pc.list_flatten(column).to_numpy()
    return values.reshape(rows, int(lengths[0]))


def _uneven(one: int, other: int) -> CapabilityError:
    return CapabilityError(f"vectors of {one} and of {other} values do not make one array")
