from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from batchkit.errors import TableError
from batchkit.tables.request_form import Form, read_form

if TYPE_CHECKING:
    from pathlib import Path

LINE = '{"key": "é", "request": {}}\n'


@pytest.mark.parametrize(
    "encoding, name",
    [
        ("utf-8", None),
        ("utf-8-sig", "byte-order-mark"),
        ("utf-16", "not-utf8"),
        ("utf-16-le", "not-utf8"),
        ("utf-16-be", "not-utf8"),
        ("utf-32", "not-utf8"),
    ],
)
def test_an_encoding_is_told_by_the_first_bytes(encoding: str, name: str | None) -> None:
    form = Form.of(LINE.encode(encoding))
    assert form.encoding == encoding
    assert (form.fault and form.fault[0]) == name


def test_a_mark_of_either_byte_order_is_known() -> None:
    assert Form.of("\ufeff{".encode("utf-16-be")) == Form("utf-16")
    assert Form.of("\ufeff{".encode("utf-32-be")) == Form("utf-32")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_an_array_is_one_in_every_encoding(encoding: str) -> None:
    assert Form.of(' \n [{"a": 1}]'.encode(encoding)).is_array
    assert not Form.of(LINE.encode(encoding)).is_array
    assert Form.of('{\r\n  "key"'.encode(encoding)).is_spread


@pytest.mark.parametrize("start", [b"", b"{", b"{}\n", b'{"a":\n', LINE.encode() * 500])
def test_lines_have_no_fault_as_a_whole(start: bytes) -> None:
    assert Form.of(start).fault is None


def test_the_form_of_a_file_is_that_of_its_start(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl.gz"
    path.write_bytes(gzip.compress(LINE.encode()))
    form = read_form(path)
    assert form.is_compressed
    assert form.fault == ("compressed", "the file is gzip-compressed", "unpack it first")
    with pytest.raises(TableError, match=r"missing cannot be read: No such file"):
        read_form(tmp_path / "missing")


def test_a_character_cut_by_the_end_of_the_start_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b'{"key": "' + "é".encode() * 4_000 + b'"}')
    assert read_form(path) == Form()
