from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.genai import types

from batchkit.errors import RowsError, SetupError
from batchkit.service.defaults import RequestDefaults

if TYPE_CHECKING:
    from pathlib import Path

CONTENTS = [{"role": "user", "parts": [{"text": "Hello"}]}]
BRIEF = {"parts": [{"text": "Be brief."}]}
LONG = {"parts": [{"text": "Be long."}]}


def merged(request: dict[str, Any], config: Any = None, system: Any = None) -> dict[str, Any]:
    return RequestDefaults(config, system).merged({"contents": CONTENTS, **request})


def merged_lines(path: Path, text: bytes, defaults: RequestDefaults) -> list[Any]:
    path.write_bytes(text)
    lines = list(defaults.lines(path))
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


def test_without_options_there_is_nothing_to_merge() -> None:
    assert not RequestDefaults().are_given
    assert not RequestDefaults({}).are_given
    assert merged({}) == {"contents": CONTENTS}


def test_either_option_is_something_to_merge() -> None:
    assert RequestDefaults({"temperature": 0}).are_given
    assert RequestDefaults(system_instruction="Be brief.").are_given


def test_a_request_gets_what_it_lacks() -> None:
    assert merged({}, {"temperature": 0.5}, "Be brief.") == {
        "contents": CONTENTS,
        "generationConfig": {"temperature": 0.5},
        "systemInstruction": BRIEF,
    }


def test_the_values_of_a_request_win_one_by_one() -> None:
    own = {"generationConfig": {"temperature": 0.9}, "systemInstruction": LONG}
    assert merged(own, {"temperature": 0.1, "topK": 5}, "Be brief.") == {
        "contents": CONTENTS,
        "generationConfig": {"temperature": 0.9, "topK": 5},
        "systemInstruction": LONG,
    }


def test_the_values_of_a_request_win_in_either_spelling() -> None:
    own = {"generation_config": {"max_output_tokens": 9}, "system_instruction": LONG}
    given = {"maxOutputTokens": 5, "top_k": 3}
    assert merged(own, given, "Be brief.") == {
        "contents": CONTENTS,
        "generation_config": {"max_output_tokens": 9, "top_k": 3},
        "system_instruction": LONG,
    }
    assert merged({"generationConfig": {"maxOutputTokens": 9}}, {"max_output_tokens": 5}) == {
        "contents": CONTENTS,
        "generationConfig": {"maxOutputTokens": 9},
    }


def test_a_request_whose_config_is_null_gets_all_of_it() -> None:
    assert merged({"generationConfig": None}, {"topK": 5})["generationConfig"] == {"topK": 5}


def test_a_request_is_not_changed_itself() -> None:
    request = {"contents": CONTENTS, "generationConfig": {"topP": 1}}
    RequestDefaults({"topK": 5}, "Be brief.").merged(request)
    assert request == {"contents": CONTENTS, "generationConfig": {"topP": 1}}


def test_a_content_is_a_system_instruction_too() -> None:
    content = {"parts": [{"text": "One."}, {"text": "Two."}]}
    assert merged({}, system=content)["systemInstruction"] == content


@pytest.mark.parametrize("system", [5, ["text"], {"text": "x"}])
def test_what_is_no_system_instruction_is_refused(system: Any) -> None:
    with pytest.raises(SetupError, match="system is a text, or a Content"):
        RequestDefaults(system_instruction=system)


@pytest.mark.parametrize("config", [5, "text", ["temperature"]])
def test_what_is_no_config_is_refused(config: Any) -> None:
    with pytest.raises(SetupError, match="give a mapping"):
        RequestDefaults(config)


def test_a_config_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(SetupError, match=r"temperature: nan is not JSON"):
        RequestDefaults({"temperature": float("nan")})


def test_an_sdks_config_is_taken_apart() -> None:
    config = types.GenerateContentConfig(
        temperature=0.5,
        max_output_tokens=7,
        system_instruction="Be brief.",
        tools=[types.Tool(google_search=types.GoogleSearch())],
    )
    assert merged({}, config) == {
        "contents": CONTENTS,
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 7},
        "systemInstruction": BRIEF,
        "tools": [{"googleSearch": {}}],
    }
    assert merged({"tools": [], "system_instruction": LONG}, config)["tools"] == []


def test_a_system_instruction_of_its_own_comes_before_that_of_a_config() -> None:
    config = types.GenerateContentConfig(system_instruction="Be long.")
    assert merged({}, config, "Be brief.")["systemInstruction"] == BRIEF


def test_each_line_of_a_file_is_merged_and_keeps_its_form(tmp_path: Path) -> None:
    text = (
        b'{"key": "a", "request": {"contents": [], "generationConfig": {"topK": 1}}}\n'
        b"\n"
        b'{"contents": []}\r\n'
        b'{"key": 7, "contents": []}\n'
        b'{"request": {"contents": []}}\n'
        b'{"key": "e", "request": {"contents": []}, "metadata": {"more": "x"}}'
    )
    config = {"generationConfig": {"topK": 9}}
    assert merged_lines(tmp_path / "in.jsonl", text, RequestDefaults({"topK": 9})) == [
        {"key": "a", "request": {"contents": [], "generationConfig": {"topK": 1}}},
        {"contents": [], **config},
        {"key": "7", "request": {"contents": [], **config}},
        {"request": {"contents": [], **config}},
        {"key": "e", "request": {"contents": [], **config}, "metadata": {"more": "x"}},
    ]


def test_a_line_separator_inside_a_text_is_no_end_of_a_line(tmp_path: Path) -> None:
    text = '{"key": "a", "request": {"contents": [{"parts": [{"text": "one\u2028two"}]}]}}\n'
    (line,) = merged_lines(tmp_path / "in.jsonl", text.encode(), RequestDefaults({"topK": 9}))
    assert line["request"]["contents"][0]["parts"][0]["text"] == "one\u2028two"


@pytest.mark.parametrize("line", [b"not JSON", b'{"key": "a", "request": 5}', b"[]", b'"text"'])
def test_a_line_that_is_no_request_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"key": "a", "request": {"contents": []}}\n' + line + b"\n")
    with pytest.raises(RowsError) as caught:
        list(RequestDefaults({"topK": 9}).lines(path))
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert "`batchkit check`" in str(caught.value)
