from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator.errors import ApiError
from batchkit.emulator.exchange import Body, FileSlice, json_reply

PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
NEXT_REQUEST = b"GET / HTTP/1.1\r\n"


def in_chunks(pieces: list[bytes]) -> bytes:
    chunks = b"".join(b"%x;note=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\nX-Trailer: 1\r\n\r\n"


def body(data: bytes, length: int | None = None) -> Body:
    return Body(io.BufferedReader(io.BytesIO(data)), length)


@settings(deadline=None)
@given(pieces=PIECES)
def test_a_body_in_chunks_is_read_whole_and_no_further(pieces: list[bytes]) -> None:
    stream = io.BufferedReader(io.BytesIO(in_chunks(pieces) + NEXT_REQUEST))
    assert b"".join(Body(stream, None).pieces()) == b"".join(pieces)
    assert stream.read() == NEXT_REQUEST


@settings(deadline=None)
@given(data=st.binary(max_size=100), read=st.booleans())
def test_a_body_of_known_length_is_read_whole_and_no_further(data: bytes, read: bool) -> None:  # noqa: FBT001
    stream = io.BufferedReader(io.BytesIO(data + NEXT_REQUEST))
    taken = Body(stream, len(data))
    if read:
        assert taken.read(len(data)) == data
    taken.drain()
    assert stream.read() == NEXT_REQUEST


@settings(deadline=None)
@given(pieces=PIECES, cut=st.integers(1, 400))
def test_a_body_cut_anywhere_is_a_connection_lost(pieces: list[bytes], cut: int) -> None:
    sent = in_chunks(pieces)[:-cut]
    with pytest.raises(ConnectionAbortedError):
        body(sent).drain()
    data = b"".join(pieces)
    if data:
        with pytest.raises(ConnectionAbortedError, match="before the end"):
            body(data[:-cut], len(data)).drain()


@pytest.mark.parametrize("length", [b"", b"-5", b"1_0", b"0x5", b"+5", b" ", b"f" * 16, b"five"])
def test_a_chunk_whose_length_is_no_number_is_a_connection_lost(length: bytes) -> None:
    with pytest.raises(ConnectionAbortedError, match="malformed"):
        body(length + b"\r\n" + b"x" * 100).drain()


def test_a_body_too_long_is_refused_and_can_still_be_drained() -> None:
    stream = io.BufferedReader(io.BytesIO(b"x" * 1_000_000 + NEXT_REQUEST))
    taken = Body(stream, 1_000_000)
    with pytest.raises(ApiError, match="exceeds the limit: 999999 bytes"):
        taken.read(999_999)
    taken.drain()
    assert stream.read() == NEXT_REQUEST


def test_a_slice_is_as_long_as_what_it_cuts_out() -> None:
    for start, stop in pairwise([0, 0, 5, 12]):
        assert len(FileSlice(Path("anywhere"), start, stop)) == stop - start


def test_a_json_reply_succeeds_and_takes_more_headers() -> None:
    reply = json_reply({"a": [1, None]}, ("X-More", "1"))
    assert (reply.status, orjson.loads(b"".join(map(bytes, reply.pieces)))) == (
        200,
        {"a": [1, None]},
    )
    assert dict(reply.headers) == {
        "Content-Type": "application/json; charset=UTF-8",
        "X-More": "1",
    }
