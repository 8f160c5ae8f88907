from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit import jsonl

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_what_json_can_hold_comes_back_as_it_was(value: Any) -> None:
    assert jsonl.unwritable(value) is None
    text = jsonl.dumps(value)
    assert jsonl.loads(text) == value
    assert json.loads(text) == value
    assert b"\n" not in text


def test_json_is_compact_and_not_escaped_without_need() -> None:
    assert jsonl.dumps({"a": [1, "é\u2028"]}) == '{"a":[1,"é\u2028"]}'.encode()


def test_keys_in_another_order_sort_to_the_same_bytes() -> None:
    assert jsonl.dumps_sorted({"b": 1, "a": {"d": 1, "c": 2}}) == b'{"a":{"c":2,"d":1},"b":1}'


def test_json_for_people_is_indented_and_ends_its_last_line() -> None:
    assert jsonl.dumps_readable({"a": 1}) == b'{\n  "a": 1\n}\n'


def test_what_json_does_not_know_can_be_replaced() -> None:
    assert jsonl.dumps_with({"a": Decimal(1)}, lambda value: f"<{value}>") == b'{"a":"<1>"}'


@pytest.mark.parametrize(
    "value, text",
    [
        (dt.date(1, 1, 1), '"0001-01-01"'),
        (
            dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5.5))),
            '"2026-01-02T00:00:00+05:30"',
        ),
        (pd.Timestamp("2026-01-02 00:00:00.000000001"), '"2026-01-02T00:00:00.000000001"'),
        (dt.time(1, 2, 3), '"01:02:03"'),
        (Decimal("12.50"), '"12.50"'),
        (Decimal("0E-10"), '"0.0000000000"'),
        (Decimal("1E+3"), '"1000"'),
        (b"\xff", '"/w=="'),
        (float("nan"), "null"),
        (float("inf"), "null"),
        (np.array([0.1], np.float32), "[0.1]"),
        ({dt.date(2026, 1, 2): 1, 3: 4}, '{"2026-01-02":1,"3":4}'),
        ([("a", 1)], '[["a",1]]'),
        (2**64 - 1, "18446744073709551615"),
        (dt.timedelta(days=1), '"1 day, 0:00:00"'),
    ],
    ids=repr,
)
def test_a_value_of_a_table_becomes_json(value: Any, text: str) -> None:
    assert jsonl.dumps_foreign(value).decode() == text


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"[1,]", b"\xef\xbb\xbf{}", b"", b"{'a':1}"])
def test_what_is_not_json_is_not_read(text: bytes) -> None:
    with pytest.raises(ValueError, match="line 1"):
        jsonl.loads(text)


def test_half_an_emoji_becomes_a_replacement_character() -> None:
    assert jsonl.loads_lenient(b'{"\\ud83d":["a\\ud83d","\\ud83d\\ude42"]}') == {
        "\ufffd": ["a\ufffd", "🙂"]
    }


@pytest.mark.parametrize(
    "text, said",
    [
        (b'{"a":"\\ud83d"', "Expecting ',' delimiter"),
        (b'["\\ud83d",NaN]', "NaN is not JSON"),
        (b"nonsense", "line 1 column"),
    ],
)
def test_beside_half_an_emoji_other_faults_are_still_faults(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        jsonl.loads_lenient(text)


@pytest.mark.parametrize(
    "text, path, reason",
    [
        (b'{"a":1,"b"', "$", "the line ends in the middle of its JSON"),
        (b'{"a":[1,NaN]}', "$.a[1]", "nan is not JSON"),
        (b'{"a":-Infinity}', "$.a", "-inf is not JSON"),
        (b'{"a":"\\ud800"}', "$.a", "the text holds a lone surrogate, which is not UTF-8"),
        (b"{} {}", "$", "not JSON: "),
        (b"\xff\xfe", "$", "not JSON: "),
        (b"{}", "$", "nothing is wrong with it"),
    ],
)
def test_a_fault_is_named_with_its_place(text: bytes, path: str, reason: str) -> None:
    found_path, found_reason = jsonl.fault(text)
    assert found_path == path
    assert found_reason.startswith(reason)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_of_a_line_that_is_too_long_only_the_beginning_is_held(end: bytes) -> None:
    text = b"ok\n" + b"x" * 25 + b"\n12345\n" + b"y" * 12 + end
    assert list(jsonl.lines(io.BytesIO(text), 5)) == [
        (1, b"ok"),
        (2, b"xxxxxx"),
        (3, b"12345"),
        (4, b"yyyyyy"),
    ]


@given(st.binary(max_size=60), st.integers(1, 80))
def test_lines_that_are_not_too_long_are_those_without_a_bound(text: bytes, longest: int) -> None:
    bounded = dict(jsonl.lines(io.BytesIO(text), longest))
    for number, line in jsonl.lines([piece + b"\n" for piece in text.split(b"\n")]):
        if len(line) == len(text.split(b"\n")[number - 1]) <= longest:
            assert bounded[number] == line
    assert all(len(line) <= longest + 1 for line in bounded.values())


def test_a_line_that_is_too_long_is_no_json() -> None:
    text = b"1" * (jsonl.LONGEST_LINE_BYTES + 1)
    with pytest.raises(ValueError, match="longer than 134,217,728 bytes"):
        jsonl.loads_lenient(text)
    assert jsonl.fault(text) == ("$", "the line is longer than 134,217,728 bytes")


def test_lines_end_at_newlines_and_nowhere_else() -> None:
    text = "a\u2028b\u0085c\x0bd\x1ce\r\n\n  \t\n f".encode()
    assert list(jsonl.lines(io.BytesIO(text))) == [
        (1, "a\u2028b\u0085c\x0bd\x1ce".encode()),
        (4, b"f"),
    ]


@pytest.mark.parametrize(
    "value, path, reason",
    [
        (float("nan"), "$", "nan is not JSON"),
        ({"a": [0, {"b": float("inf")}]}, "$.a[1].b", "inf is not JSON"),
        ({"a": 2**64}, "$.a", "18446744073709551616 does not fit 64 bits"),
        (-(2**63) - 1, "$", "-9223372036854775809 does not fit 64 bits"),
        ({1: 2}, "$", "the key 1 is not text"),
        ({"\ud800": 2}, "$", "the text holds a lone surrogate, which is not UTF-8"),
        (["\udfff"], "$[0]", "the text holds a lone surrogate, which is not UTF-8"),
        ((1,), "$", "a tuple is not JSON"),
        (dt.date(2026, 1, 2), "$", "a date is not JSON"),
        (np.int64(1), "$", "a int64 is not JSON"),
    ],
    ids=repr,
)
def test_what_json_cannot_hold_is_named_with_its_place(value: Any, path: str, reason: str) -> None:
    assert jsonl.unwritable(value) == (path, reason)


def test_a_value_nested_too_deep_is_refused_and_not_risked() -> None:
    value: Any = None
    for _ in range(200):
        value = [value]
    assert jsonl.unwritable(value) is None
    assert jsonl.loads(jsonl.dumps(value)) == value
    path, reason = jsonl.unwritable([value]) or ("", "")
    assert path == "$" + "[0]" * 201
    assert reason == "nested deeper than 200 levels"
