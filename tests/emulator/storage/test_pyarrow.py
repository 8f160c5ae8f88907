"""pyarrow's own client of Cloud Storage, unmodified, as a witness.

The emulator is in a process of its own: pyarrow 26 keeps Python's lock while `NativeFile.closed`
waits for the network, and nothing else in its process can answer then.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq
import pytest

from .client import BUCKET, Gcs
from .process import emulator_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = os.urandom(9 * 1024 * 1024 + 17)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator_elsewhere(tmp_path_factory.mktemp("emulator")) as elsewhere:
        yield elsewhere.url


@pytest.fixture
def files(url: str) -> Iterator[pa_fs.GcsFileSystem]:
    yield pa_fs.GcsFileSystem(
        anonymous=True, scheme="http", endpoint_override=url.removeprefix("http://")
    )
    gcs = Gcs(url)
    for item in gcs.call("GET", "/o").get("items", []):
        gcs.call("DELETE", gcs.object(item["name"]))
    gcs.session.close()


def test_the_environment_is_enough(
    url: str, files: pa_fs.GcsFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    with files.open_output_stream(f"{BUCKET}/a") as stream:
        stream.write(b"text")
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", url)
    found, path = pa_fs.FileSystem.from_uri(f"gs://anonymous@{BUCKET}/a?retry_limit_seconds=5")
    assert found.get_file_info(path).size == 4


@pytest.mark.parametrize("size", [0, 1, 262_144, len(TEXT)])
def test_contents_go_and_come(files: pa_fs.GcsFileSystem, size: int) -> None:
    path = f"{BUCKET}/a b/ü.bin"
    with files.open_output_stream(path) as stream:
        for start in range(0, size, 1_000_000):
            stream.write(TEXT[start : min(size, start + 1_000_000)])
    with files.open_input_stream(path) as stream:
        assert stream.read() == TEXT[:size]
    assert files.get_file_info(path).size == size


def test_a_file_is_read_from_any_place(files: pa_fs.GcsFileSystem) -> None:
    with files.open_output_stream(f"{BUCKET}/a") as stream:
        stream.write(TEXT)
    with files.open_input_file(f"{BUCKET}/a") as file:
        assert file.size() == len(TEXT)
        for start, size in ((5, 10), (len(TEXT) - 3, 100), (0, 1), (4_000_000, 3_000_000)):
            file.seek(start)
            assert file.read(size) == TEXT[start : start + size]


def test_what_is_there_and_what_is_not(files: pa_fs.GcsFileSystem) -> None:
    for name in ("d/a", "d/e/b", "c"):
        with files.open_output_stream(f"{BUCKET}/{name}") as stream:
            stream.write(b"x")
    selector = pa_fs.FileSelector(BUCKET, recursive=True)
    found = [info.path for info in files.get_file_info(selector) if info.is_file]
    assert sorted(found) == [f"{BUCKET}/c", f"{BUCKET}/d/a", f"{BUCKET}/d/e/b"]
    assert files.get_file_info(f"{BUCKET}/missing").type == pa_fs.FileType.NotFound
    with pytest.raises(FileNotFoundError):
        files.open_input_file(f"{BUCKET}/missing")
    with pytest.raises(FileNotFoundError):
        files.open_output_stream("nowhere-at-all/a").close()


def test_files_are_copied_moved_and_deleted(files: pa_fs.GcsFileSystem) -> None:
    with files.open_output_stream(f"{BUCKET}/a") as stream:
        stream.write(b"text")
    files.copy_file(f"{BUCKET}/a", f"{BUCKET}/b")
    files.move(f"{BUCKET}/a", f"{BUCKET}/c")
    files.delete_file(f"{BUCKET}/b")
    selector = pa_fs.FileSelector(BUCKET, recursive=True)
    assert [info.path for info in files.get_file_info(selector)] == [f"{BUCKET}/c"]
    with files.open_input_stream(f"{BUCKET}/c") as stream:
        assert stream.read() == b"text"


def test_directories_are_objects_that_end_with_a_slash(files: pa_fs.GcsFileSystem) -> None:
    files.create_dir(f"{BUCKET}/d/e", recursive=True)
    with files.open_output_stream(f"{BUCKET}/d/e/f") as stream:
        stream.write(b"x")
    assert files.get_file_info(f"{BUCKET}/d").type == pa_fs.FileType.Directory
    selector = pa_fs.FileSelector(f"{BUCKET}/d")
    assert [info.path for info in files.get_file_info(selector)] == [f"{BUCKET}/d/e"]
    files.delete_dir(f"{BUCKET}/d")
    assert files.get_file_info(f"{BUCKET}/d/e/f").type == pa_fs.FileType.NotFound


def test_tables_are_written_and_read_as_parquet(files: pa_fs.GcsFileSystem) -> None:
    table = pa.table({"n": list(range(100_000)), "text": [str(n) for n in range(100_000)]})
    pq.write_table(table, f"{BUCKET}/t.parquet", filesystem=files, row_group_size=10_000)
    assert pq.read_table(f"{BUCKET}/t.parquet", filesystem=files).equals(table)
    file = pq.ParquetFile(f"{BUCKET}/t.parquet", filesystem=files)
    assert file.read_row_group(3, columns=["n"])["n"][0].as_py() == 30_000
    file.close()
    ds.write_dataset(table, f"{BUCKET}/set", format="parquet", filesystem=files)
    assert ds.dataset(f"{BUCKET}/set", filesystem=files).count_rows() == 100_000
