"""google-cloud-storage, unmodified, as an independent witness that the emulator is faithful."""

from __future__ import annotations

import gzip
import io
import os
from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions
from google.cloud.storage import transfer_manager
from google.cloud.storage.retry import DEFAULT_RETRY

from .client import BUCKET, QUANTUM

if TYPE_CHECKING:
    from pathlib import Path

    from google.api_core.retry import Retry
    from google.cloud import storage

    from batchkit.emulator import Emulator

    from .conftest import Effects

TEXT = os.urandom(9 * 1024 * 1024 + 17)  # more than the client sends in one request
QUICK: Retry = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.05)


def test_buckets_come_and_go(bucket: storage.Bucket) -> None:
    client = bucket.client
    made = client.create_bucket("another", location="europe-west4", project="p")
    assert (made.location, made.location_type) == ("EUROPE-WEST4", "region")
    made.labels = {"a": "b"}
    made.storage_class = "NEARLINE"
    made.patch()
    found = client.get_bucket("another")
    assert (found.labels, found.storage_class) == ({"a": "b"}, "NEARLINE")
    assert [found.name for found in client.list_buckets()] == ["another", BUCKET]
    with pytest.raises(exceptions.Conflict):
        client.create_bucket("another", project="p")
    found.blob("x").upload_from_string("x")
    with pytest.raises(exceptions.Conflict):
        found.delete()
    found.delete(force=True)
    with pytest.raises(exceptions.NotFound):
        client.get_bucket("another")
    assert not found.exists()


@pytest.mark.parametrize(
    "text",
    [b"", b"x", b"a\r\n\0\r\n--\r\n", TEXT[: QUANTUM + 1]],
    ids=["empty", "short", "lines", "long"],
)
def test_small_contents_go_and_come(bucket: storage.Bucket, text: bytes) -> None:
    blob = bucket.blob("a b/ü?#%2F.txt")
    blob.metadata = {"k": "v"}
    blob.upload_from_string(text, content_type="text/plain", if_generation_match=0)
    assert blob.download_as_bytes() == text
    found = bucket.get_blob(blob.name)
    assert found is not None
    assert (found.size, found.content_type, found.metadata) == (len(text), "text/plain", {"k": "v"})
    assert (found.generation, found.crc32c) == (blob.generation, blob.crc32c)


@pytest.mark.parametrize("chunk_size", [None, QUANTUM, 4 * 1024 * 1024])
def test_large_contents_go_and_come_in_chunks(
    bucket: storage.Bucket, effects: Effects, chunk_size: int | None
) -> None:
    blob = bucket.blob("large", chunk_size=chunk_size)
    blob.upload_from_file(io.BytesIO(TEXT), size=len(TEXT), checksum="crc32c")
    requests = -(-len(TEXT) // chunk_size) if chunk_size else 1
    assert effects.heard.count(("upload.received", f"gs://{BUCKET}/large")) == requests
    assert blob.download_as_bytes(checksum="crc32c") == TEXT
    assert bucket.blob("large").download_as_bytes(checksum="md5") == TEXT


def test_contents_of_unknown_size_go_in_chunks(bucket: storage.Bucket) -> None:
    blob = bucket.blob("streamed", chunk_size=QUANTUM)
    blob.upload_from_file(io.BytesIO(TEXT[: 4 * QUANTUM]))
    assert bucket.blob("streamed").download_as_bytes() == TEXT[: 4 * QUANTUM]


def test_ranges_are_inclusive_and_end_at_the_end(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string(b"0123456789")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=8) == b"89"
    assert blob.download_as_bytes(start=-3) == b"789"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)


def test_files_are_written_and_read_as_streams(bucket: storage.Bucket) -> None:
    blob = bucket.blob("stream")
    with blob.open("wb", chunk_size=QUANTUM, ignore_flush=True) as stream:
        for start in range(0, 3 * QUANTUM, 10_000):
            stream.write(TEXT[start : start + 10_000])
    with blob.open("rb", chunk_size=QUANTUM) as stream:
        assert stream.read(5) == TEXT[:5]
        stream.seek(QUANTUM)
        assert stream.read(100) == TEXT[QUANTUM : QUANTUM + 100]
        stream.seek(0)
        assert len(stream.read()) == -(-3 * QUANTUM // 10_000) * 10_000
    with bucket.blob("text").open("w") as stream:
        stream.write("ü\nzwei\n")
    with bucket.blob("text").open("r") as stream:
        assert list(stream) == ["ü\n", "zwei\n"]
    with bucket.blob("empty").open("wb"):
        pass
    with bucket.blob("empty").open("rb") as stream:
        assert stream.read() == b""


def test_conditions_are_held_to(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string("first", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string("second", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_file(io.BytesIO(TEXT), size=len(TEXT), if_generation_match=0)
    with pytest.raises(exceptions.NotModified):
        blob.download_as_bytes(if_generation_not_match=blob.generation)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=1)
    blob.metadata = {"k": "v"}
    blob.patch(if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    assert blob.download_as_bytes() == b"first"
    blob.delete(if_generation_match=blob.generation)
    with pytest.raises(exceptions.NotFound):
        blob.reload()
    assert not blob.exists()


def test_a_wrong_checksum_is_refused(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(exceptions.BadRequest, match="doesn't match calculated"):
        blob.upload_from_string("x", checksum=None)
    assert not bucket.blob("a").exists()


def test_gzip_is_decompressed_by_either_side(bucket: storage.Bucket) -> None:
    packed = gzip.compress(TEXT[:100_000])
    blob = bucket.blob("a")
    blob.content_encoding = "gzip"
    blob.upload_from_string(packed)
    assert blob.download_as_bytes() == TEXT[:100_000]
    assert blob.download_as_bytes(raw_download=True) == packed


def test_lists_have_pages_prefixes_and_folders(bucket: storage.Bucket) -> None:
    for name in ("a/1", "a/2", "a/b/3", "c", "d"):
        bucket.blob(name).upload_from_string("")
    assert [blob.name for blob in bucket.list_blobs(prefix="a/")] == ["a/1", "a/2", "a/b/3"]
    listing = bucket.list_blobs(delimiter="/")
    assert [blob.name for blob in listing] == ["c", "d"]
    assert listing.prefixes == {"a/"}
    pages = bucket.list_blobs(page_size=2).pages
    assert [len(list(page)) for page in pages] == [2, 2, 1]
    between = bucket.list_blobs(start_offset="a/2", end_offset="d")
    assert [blob.name for blob in between] == ["a/2", "a/b/3", "c"]
    assert [blob.name for blob in bucket.list_blobs(match_glob="a/*")] == ["a/1", "a/2"]
    assert [blob.name for blob in bucket.list_blobs(max_results=3)] == ["a/1", "a/2", "a/b/3"]


def test_objects_are_copied_rewritten_renamed_and_composed(bucket: storage.Bucket) -> None:
    source = bucket.blob("a")
    source.metadata = {"k": "v"}
    source.upload_from_string("one ", content_type="text/plain")
    copy = bucket.copy_blob(source, bucket, "b", if_generation_match=0)
    assert (copy.metadata, copy.content_type) == ({"k": "v"}, "text/plain")
    token, done, size = bucket.blob("c").rewrite(source)
    assert (token, done, size) == (None, 4, 4)
    copy.update_storage_class("NEARLINE")
    assert bucket.get_blob("b").storage_class == "NEARLINE"
    moved = bucket.rename_blob(copy, "d")
    assert moved.download_as_bytes() == b"one "
    composed = bucket.blob("e")
    composed.compose([source, moved], if_generation_match=0)
    assert composed.download_as_bytes() == b"one one "
    assert composed.component_count == 2
    assert [blob.name for blob in bucket.list_blobs()] == ["a", "c", "d", "e"]


def test_many_calls_go_in_one_batch(bucket: storage.Bucket, effects: Effects) -> None:
    for name in "abc":
        bucket.blob(name).upload_from_string(name)
    with bucket.client.batch():
        bucket.delete_blob("a")
        found = bucket.get_blob("b")
        changed = bucket.blob("c")
        changed.metadata = {"k": "v"}
        changed.patch()
    assert found.name == "b"
    assert bucket.get_blob("c").metadata == {"k": "v"}
    assert ("object.deleted", f"gs://{BUCKET}/a") in effects.heard
    with pytest.raises(exceptions.NotFound), bucket.client.batch():
        bucket.delete_blob("missing")


def test_the_transfer_manager_sends_and_fetches_many_at_once(
    bucket: storage.Bucket, tmp_path: Path
) -> None:
    names = [f"{number}.bin" for number in range(6)]
    (tmp_path / "up").mkdir()
    for name in names:
        (tmp_path / "up" / name).write_bytes(name.encode() * 1000)
    workers = {"worker_type": transfer_manager.THREAD, "max_workers": 4}
    sent = transfer_manager.upload_many_from_filenames(
        bucket, names, source_directory=str(tmp_path / "up"), skip_if_exists=True, **workers
    )
    assert sent == [None] * 6
    again = transfer_manager.upload_many_from_filenames(
        bucket, names, source_directory=str(tmp_path / "up"), skip_if_exists=True, **workers
    )
    assert all(isinstance(result, exceptions.PreconditionFailed) for result in again)
    transfer_manager.download_many_to_path(
        bucket, names, destination_directory=str(tmp_path / "down"), **workers
    )
    for name in names:
        assert (tmp_path / "down" / name).read_bytes() == name.encode() * 1000


def test_the_transfer_manager_cuts_one_large_object(bucket: storage.Bucket, tmp_path: Path) -> None:
    workers = {"worker_type": transfer_manager.THREAD, "max_workers": 3}
    (tmp_path / "up").write_bytes(TEXT)
    blob = bucket.blob("a b/large")
    blob.metadata = {"k": "v"}
    size = 5 * 1024 * 1024
    transfer_manager.upload_chunks_concurrently(
        str(tmp_path / "up"), blob, chunk_size=size, **workers
    )
    blob.reload()
    assert (blob.size, blob.metadata, blob.md5_hash) == (len(TEXT), {"k": "v"}, None)
    transfer_manager.download_chunks_concurrently(
        blob, str(tmp_path / "down"), chunk_size=size, **workers
    )
    assert (tmp_path / "down").read_bytes() == TEXT


def test_an_upload_whose_reply_is_lost_ends_with_one_object_and_no_error(
    bucket: storage.Bucket, effects: Effects, emulator: Emulator
) -> None:
    effects.lost += ["upload.started", "upload.received", "upload.received", "object.created"]
    blob = bucket.blob("large", chunk_size=4 * 1024 * 1024)
    blob.upload_from_file(io.BytesIO(TEXT), size=len(TEXT), if_generation_match=0, retry=QUICK)
    assert effects.lost == []
    assert effects.heard.count(("object.created", f"gs://{BUCKET}/large")) == 1
    assert emulator.stats()["objects"] == 1
    assert bucket.blob("large").download_as_bytes() == TEXT


def test_a_small_upload_whose_reply_is_lost_is_told_that_the_object_exists(
    bucket: storage.Bucket, effects: Effects
) -> None:
    effects.lost.append("object.created")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string("x", if_generation_match=0, retry=QUICK)
    assert bucket.blob("a").download_as_bytes() == b"x"
