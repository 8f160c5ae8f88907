from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.tables.json_array import array_items
from tests.proto_values import JSON


def items(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return list(array_items(file))


@settings(deadline=None)
@given(
    st.lists(JSON.filter(lambda value: value != ""), max_size=4),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
)
def test_each_item_of_an_array_is_cut_out_whole(
    values: list[Any],
    indent: int | None,
    ascii_only: bool,  # noqa: FBT001  # hypothesis passes it
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "array.json"
        text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
        path.write_bytes(f" {text}\r\n".encode("utf-8", "surrogatepass"))
        assert [json.loads(item.decode("utf-8", "surrogatepass")) for item in items(path)] == values


@pytest.mark.parametrize(
    "text, said",
    [
        ("[1, 2", "the array does not end"),
        ("[[1, 2]", "the array does not end"),
        ("[1] 2", "more follows the array"),
        ("[1],", "more follows the array"),
        ("[1]]", "more follows the array"),
        ("[1,]", "item 2 of the array is empty"),
        ("[,1]", "item 1 of the array is empty"),
        ("[1, ,2]", "item 2 of the array is empty"),
    ],
)
def test_an_array_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "array.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        items(path)


def test_items_come_before_the_array_has_ended_and_reading_may_stop(tmp_path: Path) -> None:
    path = tmp_path / "array.json"
    path.write_text('[{"a": 1}, "b", broken')
    with path.open("rb") as file:
        reading = array_items(file)
        assert [next(reading), next(reading)] == [b'{"a": 1}', b'"b"']
        reading.close()


def test_a_text_of_many_escapes_takes_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "array.json"
    value = '\\"[{,' * 500_000
    path.write_text(json.dumps([value, value]))
    assert [json.loads(item) for item in items(path)] == [value, value]
