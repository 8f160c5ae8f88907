from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchkit.emulator.blobs import Blobs
from batchkit.emulator.clock import Clock
from batchkit.emulator.errors import ApiError
from batchkit.emulator.fate import Fate
from batchkit.emulator.limits import Limits
from batchkit.emulator.state import State
from batchkit.emulator.storage import Access, Storage
from batchkit.emulator.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    clock = Clock()
    blobs = Blobs(tmp_path / "blobs")
    state = State(tmp_path / "state.sqlite", clock, 0)

    def unexpected(kind: str, name: str) -> None:
        raise AssertionError(kind, name)

    workspace = Workspace(state, blobs, clock, Limits(), "http://x", 0, unexpected, Fate(state))
    yield Storage(workspace, ("one", "other"))
    state.close()


@pytest.fixture
def access(storage: Storage) -> Access:
    return storage.access


def write(access: Access, uri: str, text: bytes) -> None:
    with access.create(uri, content_type="application/jsonl") as stream:
        stream.write(text)


def read(access: Access, uri: str) -> bytes:
    with access.open(uri) as stream:
        return stream.read()


def test_what_was_written_is_read_and_listed_by_prefix(access: Access) -> None:
    for name in ("in/2", "in/1", "in1", "out/1"):
        write(access, f"gs://one/{name}", name.encode())
    assert access.list("gs://one/in/") == ["gs://one/in/1", "gs://one/in/2"]
    assert access.list("gs://one/in") == ["gs://one/in/1", "gs://one/in/2", "gs://one/in1"]
    assert len(access.list("gs://one")) == len(access.list("gs://one/")) == 4
    assert access.list("gs://other/") == []
    assert read(access, "gs://one/in/2") == b"in/2"


def test_long_lists_are_whole(access: Access) -> None:
    for number in range(2001):
        write(access, f"gs://one/{number:05d}", b"")
    write(access, "gs://one/00999a", b"")  # the first of the second thousand
    assert len(set(access.list("gs://one/"))) == 2002


def test_an_object_is_there_once_its_block_has_ended_well(access: Access, storage: Storage) -> None:
    write(access, "gs://one/a", b"old")
    with access.create("gs://one/a") as stream:
        stream.write(b"new")
        assert read(access, "gs://one/a") == b"old"
    assert read(access, "gs://one/a") == b"new"

    def fail() -> None:
        with access.create("gs://one/b") as stream:
            stream.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert access.list("gs://one/") == ["gs://one/a"]
    assert storage.stats()["object_bytes"] == 3
    assert len(list(storage.blobs())) == 1


def test_what_is_being_read_may_be_replaced(access: Access) -> None:
    write(access, "gs://one/a", b"old")
    with access.open("gs://one/a") as stream:
        write(access, "gs://one/a", b"new")
        assert stream.read() == b"old"


def test_a_bucket_has_its_location(access: Access) -> None:
    assert access.location("one") == "US"


def test_what_is_not_there_is_an_api_error(access: Access) -> None:
    calls = [
        lambda: access.open("gs://one/missing"),
        lambda: access.open("gs://nowhere/a"),
        lambda: access.list("gs://nowhere/"),
        lambda: access.location("nowhere"),
        lambda: access.create("gs://nowhere/a").__enter__(),
    ]
    for call in calls:
        with pytest.raises(ApiError) as caught:
            call()
        assert caught.value.http_status == 404


@pytest.mark.parametrize("uri", ["one/a", "s3://one/a", "gs://", "gs:///a"])
def test_what_is_no_uri_is_an_api_error(access: Access, uri: str) -> None:
    for call in (access.open, access.list):
        with pytest.raises(ApiError) as caught:
            call(uri)
        assert caught.value.http_status == 400
    with pytest.raises(ApiError):
        access.create("gs://one/").__enter__()
