from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit import jsonl
from batchkit.tables.broken_line import broken_line


@pytest.mark.parametrize(
    "line, said",
    [
        (
            b'{"key":"a","request":{"contents":[{"pa',
            "key 'a', $: the line ends in the middle of its JSON; write the line again, whole",
        ),
        (
            b'{"key":"a","request":{"generationConfig":{"topP":NaN}}}',
            (
                "key 'a', $.request.generationConfig.topP: NaN is not JSON; "
                "leave the field out, or write a number"
            ),
        ),
        (
            b'{"request":{"contents":[-Infinity]},"key":"b \\u00e9"}',
            (
                "key 'b \xe9', $.request.contents[0]: -Infinity is not JSON; "
                "leave the field out, or write a number"
            ),
        ),
        (
            b'{"key":"a","request":{"a":"\\ud83d"}}',
            (
                "key 'a', $.request.a: the text holds a lone surrogate, which is not UTF-8; "
                "write the whole character, or leave it out"
            ),
        ),
        (
            b'{"key":"a","request":{}},',
            ("key 'a', $: not JSON: …, at character 25; write one JSON object per line"),
        ),
        (
            b"{'key': 'a'}",
            ("$: not JSON: …, at character …; write one JSON object per line"),
        ),
        (
            b'{"key":"a","request":"caf\xe9"}',
            "key 'a', $: byte 26 of the line, 0xe9, is not UTF-8; save the file as UTF-8",
        ),
    ],
    ids=["cut", "NaN", "infinity", "surrogate", "comma", "quotes", "latin-1"],
)
def test_a_broken_line_is_told_with_its_key_and_a_remedy(line: bytes, said: str) -> None:
    """`…` stands for the parser's own words, which differ between its versions."""
    assert re.fullmatch(re.escape(said).replace("…", ".+"), str(broken_line(line)))


@pytest.mark.parametrize(
    "line",
    [
        b'{"key":"a\\q","request":{"con',
        b'{"key":"\\ud83d","request":{"con',
        b'{"key":"\xff","request":{"con',
        b'{"key":5,"request":{"con',
        b'{"request":{"key":"a","con',
        b'{"request":{"text":", \\"key\\": \\"a\\"}',
    ],
)
def test_a_key_that_cannot_be_made_out_is_none(line: bytes) -> None:
    assert broken_line(line).key is None


@given(
    st.binary(max_size=40) | st.text('{}[]",:\\ keyrqust01NaIfinity-', max_size=40).map(str.encode)
)
def test_any_line_that_is_not_json_can_be_told_of(line: bytes) -> None:
    try:
        jsonl.loads(line)
    except ValueError:
        problem = broken_line(line)
        assert problem.severity == "error"
        assert problem.message
        assert problem.remedy


def test_a_long_broken_line_takes_linear_time() -> None:
    problem = broken_line(b'{"key":"' + b'\\"' * 1_000_000)
    assert problem.key is None
    assert "ends in the middle" in problem.message
    assert broken_line(b', "key" : ' * 200_000).message
