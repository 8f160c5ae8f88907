"""gcsfs, and pandas over it, unmodified, as witnesses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gcsfs
import pandas as pd
import pytest

from .client import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator import Emulator

TEXT = os.urandom(9 * 1024 * 1024 + 17)
BLOCK = 2**19


@pytest.fixture
def files(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield gcsfs.GCSFileSystem(token="anon")  # noqa: S106 - what says that there is none
    gcsfs.GCSFileSystem.clear_instance_cache()


@pytest.mark.parametrize("text", [b"", b"x\r\n--\r", b"\n--==0==x", TEXT[:900_000]], ids=len)
def test_contents_go_and_come_whole(files: Any, text: bytes) -> None:
    files.pipe(f"{BUCKET}/a b/ü.bin", text)
    assert files.cat(f"{BUCKET}/a b/ü.bin") == text
    assert files.info(f"{BUCKET}/a b/ü.bin")["size"] == len(text)


@pytest.mark.parametrize("size", [0, BLOCK, 3 * BLOCK, 3 * BLOCK + 5])
def test_files_are_written_and_read_in_blocks(files: Any, size: int) -> None:
    with files.open(f"{BUCKET}/a", "wb", block_size=BLOCK, content_type="text/csv") as stream:
        for start in range(0, size, 100_000):
            stream.write(TEXT[start : min(size, start + 100_000)])
    with files.open(f"{BUCKET}/a", "rb", block_size=BLOCK) as stream:
        assert stream.read(7) == TEXT[: min(size, 7)]
        stream.seek(max(0, size - 3))
        assert stream.read() == TEXT[max(0, size - 3) : size]
    assert files.info(f"{BUCKET}/a")["contentType"] == "text/csv"


def test_a_file_can_be_created_once(files: Any) -> None:
    files.pipe_file(f"{BUCKET}/a", b"first", mode="create")
    with pytest.raises(FileExistsError):
        files.pipe_file(f"{BUCKET}/a", b"second", mode="create")
    assert files.cat(f"{BUCKET}/a") == b"first"


def test_paths_are_listed_found_and_globbed(files: Any) -> None:
    for name in ("d/a.txt", "d/e/b.txt", "c.bin"):
        files.pipe(f"{BUCKET}/{name}", b"x")
    assert sorted(files.ls(BUCKET)) == [f"{BUCKET}/c.bin", f"{BUCKET}/d"]
    assert files.find(f"{BUCKET}/d") == [f"{BUCKET}/d/a.txt", f"{BUCKET}/d/e/b.txt"]
    assert files.glob(f"{BUCKET}/**/*.txt") == [f"{BUCKET}/d/a.txt", f"{BUCKET}/d/e/b.txt"]
    assert files.isdir(f"{BUCKET}/d")
    assert files.isfile(f"{BUCKET}/c.bin")
    assert not files.exists(f"{BUCKET}/missing")
    with pytest.raises(FileNotFoundError):
        files.cat(f"{BUCKET}/missing")


def test_files_are_copied_moved_joined_and_deleted(files: Any) -> None:
    files.pipe(f"{BUCKET}/a", b"one ")
    files.copy(f"{BUCKET}/a", f"{BUCKET}/b")
    files.mv(f"{BUCKET}/b", f"{BUCKET}/c")
    files.merge(f"{BUCKET}/d", [f"{BUCKET}/a", f"{BUCKET}/c"])
    files.setxattrs(f"{BUCKET}/d", k="v")
    assert files.cat(f"{BUCKET}/d") == b"one one "
    assert files.getxattr(f"{BUCKET}/d", "k") == "v"
    files.rm([f"{BUCKET}/a", f"{BUCKET}/c"])
    files.invalidate_cache()
    assert files.ls(BUCKET) == [f"{BUCKET}/d"]
    files.rm(f"{BUCKET}/", recursive=True)
    assert not files.exists(f"{BUCKET}/d")


def test_buckets_come_and_go(files: Any) -> None:
    files.mkdir("another-one", location="EU")
    assert files.info("another-one")["location"] == "EU"
    files.rmdir("another-one")
    assert not files.exists("another-one")


@pytest.mark.usefixtures("files")
def test_pandas_writes_and_reads_gs_paths() -> None:
    frame = pd.DataFrame({"n": range(1000), "text": [str(n) * 20 for n in range(1000)]})
    options = {"token": "anon"}
    for name in ("a.parquet", "a.csv", "a.jsonl.gz"):
        path = f"gs://{BUCKET}/dir/{name}"
        if name.endswith("parquet"):
            frame.to_parquet(path, storage_options=options)
            found = pd.read_parquet(path, storage_options=options)
        elif name.endswith("csv"):
            frame.to_csv(path, index=False, storage_options=options)
            found = pd.read_csv(path, dtype={"text": str}, storage_options=options)
        else:
            frame.to_json(path, orient="records", lines=True, storage_options=options)
            found = pd.read_json(path, lines=True, dtype={"text": str}, storage_options=options)
        pd.testing.assert_frame_equal(found, frame, check_dtype=False)
