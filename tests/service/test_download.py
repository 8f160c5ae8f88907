from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.errors import NotFoundError, ServiceFailureError
from tests.scripted import NO_REPLY, Asked, Said, scripted

if TYPE_CHECKING:
    from pathlib import Path

QUICK = bk.Retries(first_seconds=0.001, longest_seconds=0.02, total_seconds=1)
CONTENT = b"".join(b"%09d\n" % number for number in range(500_000))


def ranged(content: bytes, *sent_bytes: int | None, **said: Any) -> Any:
    """Answers downloads with ranges, cut after so many bytes of each reply."""
    cuts = list(sent_bytes)

    def answer(asked: Asked) -> Said:
        start = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start >= len(content) > 0:
            return Said(416)
        cut = cuts.pop(0) if cuts else None
        return Said(206 if start else 200, content[start:], sent_bytes=cut, **said)

    return answer


def test_a_download_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old and longer")
    with scripted(Said(body=b"new")) as server:
        server.client().files.download("files/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"new"


def test_both_forms_of_the_address_are_tried(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Said:
        return Said(404) if asked.path.startswith("/download") else Said(body=b"content")

    with scripted(answer) as server:
        path = server.client().files.download("files/a", tmp_path / "out")
        assert [asked.path for asked in server.asked] == [
            "/download/v1beta/files/a:download?alt=media",
            "/v1beta/files/a:download?alt=media",
        ]
    assert path.read_bytes() == b"content"


def test_the_second_form_is_not_tried_when_the_first_works(tmp_path: Path) -> None:
    with scripted(Said(body=b"content")) as server:
        server.client().files.download("files/a", tmp_path / "out")
        assert len(server.asked) == 1


def test_a_file_under_neither_address_is_not_found_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    with scripted(Said(404)) as server:
        with pytest.raises(NotFoundError):
            server.client().files.download("files/a", tmp_path / "out")
        assert len(server.asked) == 2
    assert (tmp_path / "out").read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_progress_of_a_download_reaches_the_size(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with scripted(Said(body=CONTENT)) as server:
        server.client().files.download(
            "a", tmp_path / "out", on_progress=lambda got, total: told.append((got, total))
        )
    assert told[-1] == (5_000_000, 5_000_000)
    assert len(told) > 1
    assert [got for got, _ in told] == sorted({got for got, _ in told})


def test_what_is_missing_is_asked_for_by_range(tmp_path: Path) -> None:
    with scripted(ranged(CONTENT, 1_500_000, 2_000_000, 0)) as server:
        path = server.client().files.download("a", tmp_path / "out")
        first, *others = [asked.headers.get("range") for asked in server.asked]
    starts = [int((each or "").removeprefix("bytes=").removesuffix("-")) for each in others]
    assert path.read_bytes() == CONTENT
    assert first is None
    assert len(starts) == 3
    assert 1_500_000 - 65_536 <= starts[0] <= 1_500_000
    assert starts[0] + 2_000_000 - 65_536 <= starts[1] <= starts[0] + 2_000_000
    assert starts[2] == starts[1]


def test_a_service_without_ranges_is_asked_again_from_the_start(tmp_path: Path) -> None:
    with scripted(Said(body=CONTENT, sent_bytes=2_000_000), Said(body=CONTENT)) as server:
        path = server.client().files.download("a", tmp_path / "out")
    assert path.read_bytes() == CONTENT


def test_a_download_of_unknown_length_that_is_cut_at_its_end_is_whole(tmp_path: Path) -> None:
    with scripted(ranged(CONTENT, len(CONTENT), chunked=True)) as server:
        path = server.client().files.download("a", tmp_path / "out")
    assert path.read_bytes() == CONTENT


def test_a_download_is_asked_for_as_it_is(tmp_path: Path) -> None:
    """Part of a compressed reply and the rest of a plain one would not be the file."""

    packed = gzip.compress(CONTENT)
    plain_answer = ranged(CONTENT, 1000)
    packed_answer = ranged(packed, 500_000, headers={"Content-Encoding": "gzip"})

    def answer(asked: Asked) -> Said:
        takes_gzip = "gzip" in asked.headers.get("accept-encoding", "")
        return packed_answer(asked) if takes_gzip else plain_answer(asked)

    told: list[tuple[int, int | None]] = []
    with scripted(answer) as server:
        path = server.client().files.download(
            "a", tmp_path / "out", on_progress=lambda got, total: told.append((got, total))
        )
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("failure", [Said(503), Said(NO_REPLY), Said(429)])
def test_a_download_waits_out_a_failure_before_its_first_byte(
    tmp_path: Path, failure: Said
) -> None:
    with scripted(failure, failure, Said(body=b"content")) as server:
        assert server.client().files.download("a", tmp_path / "o").read_bytes() == b"content"
        assert len(server.asked) == 3


def test_a_download_that_gets_no_further_ends_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        scripted(ranged(CONTENT, 1000, *[0] * 50)) as server,
        pytest.raises(ServiceFailureError, match=r"files\.download: CONNECTION"),
    ):
        server.client(retries=QUICK).files.download("a", tmp_path / "out")
    assert 6 <= len(server.asked) <= 8
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_gets_on_may_be_cut_often(tmp_path: Path) -> None:
    with scripted(ranged(CONTENT, *[400_000] * 12)) as server:
        path = server.client(retries=QUICK).files.download("a", tmp_path / "out")
        assert len(server.asked) > 12
    assert path.read_bytes() == CONTENT


def test_an_empty_file_is_downloaded(tmp_path: Path) -> None:
    with scripted(Said(body=b"")) as server:
        assert server.client().files.download("a", tmp_path / "out").read_bytes() == b""
