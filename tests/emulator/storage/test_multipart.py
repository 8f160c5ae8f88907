from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchkit.emulator.storage.errors import StorageError
from batchkit.emulator.storage.multipart import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes of which boundaries are made, too: what looks like one must not be taken for it.
texts = st.text("ab-\r\n", max_size=30).map(str.encode)
newlines = st.sampled_from([b"\r\n", b"\n"])


def cut(body: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(body), *(place % (len(body) + 1) for place in cuts)})
    return (body[start:stop] for start, stop in itertools.pairwise(places))


@given(st.lists(texts, max_size=4), newlines, texts, st.lists(st.integers(0, 10_000), max_size=20))
def test_parts_are_what_stands_between_boundaries_however_they_arrive(
    contents: list[bytes], newline: bytes, preamble: bytes, cuts: list[int]
) -> None:
    delimiter = newline + b"--ab"
    for content in (preamble, *contents):
        assume(delimiter not in newline + content)
    written = [
        delimiter[len(newline) :] + newline + b"X-Number: %d" % number + newline * 2 + content
        for number, content in enumerate(contents)
    ]
    body = newline.join([preamble, *written, b"--ab--", b"an epilogue"])
    assume(b"--ab" not in preamble)
    found = [
        (part.headers["x-number"], b"".join(part.pieces))
        for part in parts('multipart/mixed; boundary="ab"', cut(body, cuts))
    ]
    assert found == [(str(number), content) for number, content in enumerate(contents)]


def test_a_part_may_have_no_header_and_may_be_skipped() -> None:
    body = b"--b\r\n\r\nno: header\r\n\r\nfirst\r\n--b\r\n\r\nsecond\r\n--b--"
    arriving = parts("multipart/mixed; boundary=b", iter([body]))
    first = next(arriving)
    second = next(arriving)
    assert first.headers == second.headers == {}
    assert second.read(6) == b"second"
    assert next(arriving, None) is None


def test_a_part_that_is_longer_than_it_may_be_is_refused() -> None:
    body = b"--b\r\n\r\nfirst\r\n--b--"
    part = next(parts("multipart/mixed; boundary=b", iter([body])))
    with pytest.raises(StorageError, match="larger than 4 bytes"):
        part.read(4)


def test_a_body_without_boundaries_is_not_kept_in_memory() -> None:
    arrived = 0

    def pieces() -> Iterator[bytes]:
        nonlocal arrived
        while True:
            arrived += 1
            yield b"x" * 100_000

    with pytest.raises(StorageError, match="too long"):
        next(parts("multipart/mixed; boundary=b", pieces()))
    assert arrived < 20
