from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.errors import TableError
from batchkit.tables.request_lines import (
    file_kind,
    free_prefix,
    key_and_body,
    request_lines_table,
)

if TYPE_CHECKING:
    from pathlib import Path

HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def file_of(folder: Path, *items: Any) -> Path:
    """A file of these lines; bytes are a line as they stand."""
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in items]
    path = folder / "requests.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def rows(path: Path) -> list[tuple[str, Any]]:
    table = pa.Table.from_batches(request_lines_table(path).batches)
    return list(zip(table["key"].to_pylist(), table["request"].to_pylist(), strict=True))


def test_each_line_is_a_key_and_a_request_as_json_text(tmp_path: Path) -> None:
    path = file_of(
        tmp_path, {"key": "a", "request": HI}, b" ", {"request": HI}, HI, {"key": 7, **HI}
    )
    text = json.dumps(HI, separators=(",", ":"))
    assert rows(path) == [("a", text), ("line-3", text), ("line-4", text), ("7", text)]
    stream = request_lines_table(path)
    assert stream.schema.names == ["key", "request"]
    assert stream.description == f"request file {path}"


def test_a_key_that_is_made_up_is_none_that_is_there(tmp_path: Path) -> None:
    path = file_of(
        tmp_path, HI, {"key": "line-1", "request": HI}, {"key": "line2-9", "request": HI}
    )
    assert [key for key, _ in rows(path)] == ["line3-1", "line-1", "line2-9"]


@pytest.mark.parametrize(
    "item",
    [
        {"key": "a", "request": HI, "system_instruction": {"parts": []}},
        {"key": "a", "request": HI, "custom_id": "b"},
        {"key": ["a"], "request": HI},
        {"key": 1.5, "request": HI},
        {"key": True, "request": HI},
    ],
    ids=repr,
)
def test_a_line_of_which_something_would_be_lost_is_kept_whole(tmp_path: Path, item: Any) -> None:
    [(_, text)] = rows(file_of(tmp_path, item))
    assert json.loads(text) == item


def test_a_line_that_is_not_json_keeps_its_text(tmp_path: Path) -> None:
    path = file_of(
        tmp_path, b'{"key":"a","request":{"con', b"5", b'"\xff"', {"key": "b", "request": 5}
    )
    assert rows(path) == [
        ("line-1", '{"key":"a","request":{"con'),
        ("line-2", "5"),
        ("line-3", '"\\xff"'),
        ("b", '{"key":"b","request":5}'),
    ]


def test_large_requests_come_in_batches_that_can_be_held(tmp_path: Path) -> None:
    large = {"contents": [{"parts": [{"text": "x" * 6_000_000}]}]}
    path = file_of(tmp_path, *[{"key": str(i), "request": large} for i in range(7)])
    sizes = [batch.num_rows for batch in request_lines_table(path).batches]
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize(
    "item, expected",
    [
        ({"key": "a", "request": HI}, ("a", HI)),
        ({"key": 0, "request": HI}, ("0", HI)),
        ({"key": True, "request": HI}, (None, HI)),
        ({"key": None, **HI}, (None, HI)),
        ({"request": None}, (None, None)),
        ({"key": "a"}, ("a", {})),
        ([HI], (None, [HI])),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_key_and_body_of_a_line(item: Any, expected: tuple[str | None, Any]) -> None:
    assert key_and_body(item) == expected


@pytest.mark.parametrize(
    "items, kind",
    [
        ([{"key": "a", "request": HI}], "generate"),
        ([{"key": "a", "request": {"content": {"parts": []}}}], "embed"),
        ([{"content": "a"}], "embed"),
        ([b"broken", b"5", {"content": {}}], "embed"),
        ([b"broken"] * 200 + [{"content": {}}], "embed"),
        ([{"key": "a", "request": "hi"}], "generate"),
    ],
    ids=["contents", "content", "legacy", "after a broken line", "after many", "a text"],
)
def test_the_first_readable_request_says_what_is_asked(
    tmp_path: Path, items: list[Any], kind: str
) -> None:
    assert file_kind(file_of(tmp_path, *items)) == kind


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "holds no request"),
        (b"5\nbroken\n", "holds no request"),
        (codecs.BOM_UTF16_LE + "{}".encode("utf-16-le"), "the file is UTF-16; `batchkit convert`"),
        (codecs.BOM_UTF8 + b"{}", "the file has a byte order mark; `batchkit convert`"),
        (b"[\n{}\n]", "the file is one JSON array; `batchkit convert`"),
        (b'{\n"contents": []\n}', "a request is spread over several lines"),
    ],
    ids=["empty", "nothing readable", "utf-16", "a mark", "an array", "spread"],
)
def test_a_file_that_is_no_lines_of_requests_is_refused_with_what_to_do(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(content)
    with pytest.raises(TableError, match=said):
        file_kind(path)
    with pytest.raises(TableError, match=r"missing\.jsonl cannot be read: No such file"):
        file_kind(tmp_path / "missing.jsonl")
    with pytest.raises(TableError, match=r"missing\.jsonl cannot be read: No such file"):
        request_lines_table(tmp_path / "missing.jsonl")


KEYS = st.lists(st.none() | st.from_regex(r"line[0-9]{0,2}-?[0-9]?", fullmatch=True) | st.text())


@given(KEYS)
def test_a_free_prefix_begins_no_key(keys: list[str | None]) -> None:
    prefix = free_prefix(keys)
    assert not [key for key in keys if key and key.startswith(prefix)]
    assert free_prefix([]) == "line-"
