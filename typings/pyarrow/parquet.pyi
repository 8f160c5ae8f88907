from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from . import RecordBatch, Schema, Table

class ColumnChunkMetaData:
    path_in_schema: str
    total_uncompressed_size: int

class RowGroupMetaData:
    num_rows: int
    num_columns: int
    total_byte_size: int
    def column(self, i: int) -> ColumnChunkMetaData: ...

class FileMetaData:
    num_rows: int
    num_row_groups: int
    metadata: dict[bytes, bytes] | None
    def row_group(self, i: int) -> RowGroupMetaData: ...

class ParquetFile:
    metadata: FileMetaData
    schema_arrow: Schema
    def __init__(
        self,
        source: str | Path | IO[bytes],
        *,
        memory_map: bool = ...,
        pre_buffer: bool = ...,
        buffer_size: int = ...,
    ) -> None: ...
    def __enter__(self) -> ParquetFile: ...
    def __exit__(self, *args: object) -> None: ...
    def iter_batches(
        self,
        batch_size: int = ...,
        row_groups: Sequence[int] | None = ...,
        columns: Sequence[str] | None = ...,
        use_threads: bool = ...,
    ) -> Iterator[RecordBatch]: ...
    def read_row_groups(self, row_groups: Sequence[int], columns: Sequence[str] | None = ...) -> Table: ...
    def read(self, columns: Sequence[str] | None = ...) -> Table: ...
    def close(self) -> None: ...

class ParquetWriter:
    def __init__(
        self,
        where: str | Path | IO[bytes],
        schema: Schema,
        *,
        compression: str = ...,
        use_dictionary: bool | Sequence[str] = ...,
        write_statistics: bool | Sequence[str] = ...,
    ) -> None: ...
    def __enter__(self) -> ParquetWriter: ...
    def __exit__(self, *args: object) -> None: ...
    def write_batch(self, batch: RecordBatch, row_group_size: int | None = ...) -> None: ...
    def write_table(self, table: Table, row_group_size: int | None = ...) -> None: ...
    def close(self) -> None: ...

def read_table(
    source: str | Path | IO[bytes],
    *,
    columns: Sequence[str] | None = ...,
    filters: Sequence[tuple[str, str, Any]] | None = ...,
) -> Table: ...
def read_schema(where: str | Path) -> Schema: ...
def read_metadata(where: str | Path) -> FileMetaData: ...
def write_table(table: Table, where: str | Path | IO[bytes], *, compression: str = ..., **kwargs: Any) -> None: ...
