from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator.blobs import Blobs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "deep" / "blobs")


def test_what_is_appended_is_there_before_the_stream_is_closed(blobs: Blobs) -> None:
    with blobs.append("a") as stream:
        for size in (1, 2, 3):
            stream.write(b"x")
            assert blobs.size("a") == size
    with blobs.append("a") as stream:
        stream.write(b"y")
    assert blobs.path("a").read_bytes() == b"xxxy"


def test_writing_starts_anew(blobs: Blobs) -> None:
    for text in (b"long text", b"short"):
        with blobs.write("a") as stream:
            stream.write(text)
    assert blobs.path("a").read_bytes() == b"short"
    assert blobs.sha256("a") == hashlib.sha256(b"short").hexdigest()


def test_a_linked_blob_outlives_the_one_it_was_made_from(blobs: Blobs) -> None:
    with blobs.write("source") as stream:
        stream.write(b"content")
    with blobs.write("taken") as stream:
        stream.write(b"half done")
    blobs.link("source", "taken")
    blobs.delete("source")
    assert list(blobs.names()) == ["taken"]
    assert blobs.path("taken").read_bytes() == b"content"


def test_a_blob_that_does_not_exist_has_no_size_and_can_be_deleted(blobs: Blobs) -> None:
    assert blobs.size("nothing") == 0
    blobs.delete("nothing", "nothing else")
    assert list(blobs.names()) == []
    with pytest.raises(FileNotFoundError):
        blobs.link("nothing", "something")
