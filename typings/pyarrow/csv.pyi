from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from . import DataType, NativeFile, RecordBatch, Schema

class ReadOptions:
    def __init__(self, *, block_size: int | None = ...) -> None: ...

class ParseOptions:
    def __init__(self, *, delimiter: str = ..., newlines_in_values: bool = ...) -> None: ...

class ConvertOptions:
    def __init__(
        self,
        *,
        column_types: Mapping[str, DataType] | None = ...,
        strings_can_be_null: bool = ...,
        null_values: Sequence[str] | None = ...,
        quoted_strings_can_be_null: bool = ...,
    ) -> None: ...

class CSVStreamingReader:
    schema: Schema
    def __iter__(self) -> Iterator[RecordBatch]: ...
    def close(self) -> None: ...

class CSVWriter:
    def __init__(self, sink: IO[bytes], schema: Schema, *, write_options: WriteOptions = ...) -> None: ...
    def __enter__(self) -> CSVWriter: ...
    def __exit__(self, *args: object) -> None: ...
    def write_batch(self, batch: RecordBatch) -> None: ...

class WriteOptions:
    def __init__(self, *, include_header: bool = ..., quoting_style: str = ...) -> None: ...

def open_csv(
    input_file: NativeFile | IO[bytes] | str,
    read_options: ReadOptions | None = ...,
    parse_options: ParseOptions | None = ...,
    convert_options: ConvertOptions | None = ...,
) -> CSVStreamingReader: ...
