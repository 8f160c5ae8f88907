from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import BATCHKIT, Command, documented_fields, process

if TYPE_CHECKING:
    from pathlib import Path

BODY = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
GOOD = "".join(json.dumps({"key": f"k{i}", "request": BODY}) + "\n" for i in range(2_000)).encode()
BAD = b'{"key":"a","request":{"contents":[{"parts":[{"txt":"hi"}]}]}}\n'


def test_a_good_file_is_done_and_a_bad_one_names_its_fault(say: Command, folder: Path) -> None:
    (folder / "good.jsonl").write_bytes(GOOD)
    assert say("check", "good.jsonl").code == 0
    (folder / "bad.jsonl").write_bytes(GOOD + BAD)
    said = say("check", "bad.jsonl")
    assert (said.code, said.err) == (3, "")
    assert "line 2001, key 'a', $.request.contents[0].parts[0].txt" in said.out


def test_a_check_as_json_has_the_fields_that_help_names(say: Command, folder: Path) -> None:
    (folder / "bad.jsonl").write_bytes(BAD)
    said = say("check", "bad.jsonl", "--json")
    (problem,) = said.json["problems"]
    assert (said.json["errors"], problem["line"], problem["key"]) == (1, 1, "a")
    help_text = say("check", "--help").out
    assert set(said.json) == documented_fields(help_text)
    assert f"each with {', '.join(problem)}\n" in help_text


def test_a_dialect_may_be_said(say: Command, folder: Path) -> None:
    (folder / "good.jsonl").write_bytes(GOOD)
    assert say("check", "good.jsonl", "--dialect", "gemini-embed").code == 3
    assert say("check", "good.jsonl", "--dialect", "gemini").code == 2


def test_standard_input_is_read_once_and_whole() -> None:
    said = process("check", "-", "--json", stdin=GOOD)
    assert (said.code, said.json["lines"]) == (0, 2_000)


def test_a_pipe_is_read_once_and_whole(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    command = subprocess.Popen(  # noqa: S603
        [BATCHKIT, "check", "pipe", "--json"], stdout=subprocess.PIPE
    )
    pipe.write_bytes(GOOD)
    assert json.loads(command.communicate(timeout=60)[0])["lines"] == 2_000


@pytest.mark.parametrize("verb", [("check",), ("convert",)])
@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_a_file_that_cannot_be_read_is_named(say: Command, verb: tuple[str], name: str) -> None:
    said = say(*verb, name, *(["out.jsonl"] if verb == ("convert",) else []))
    assert (said.code, said.error.startswith(f"{name} cannot be read: ")) == (1, True)


def test_bare_lines_become_keyed_ones(say: Command, folder: Path) -> None:
    (folder / "bare.jsonl").write_text(json.dumps(BODY) + "\n", encoding="utf-16")
    said = say("convert", "bare.jsonl", "keyed.jsonl", "--json")
    assert (said.code, said.json["warnings"]) == (0, 0)
    assert json.loads((folder / "keyed.jsonl").read_bytes()) == {"key": "line-1", "request": BODY}


def test_requests_on_standard_output_are_alone_there() -> None:
    said = process("convert", "-", "-", "--json", stdin=json.dumps([BODY, BODY]).encode())
    assert said.code == 0
    lines = [json.loads(line) for line in said.out.removesuffix("\n").split("\n")]
    assert [line["key"] for line in lines] == ["line-1", "line-2"]
    assert json.loads(said.err)["lines"] == 2


def test_what_convert_cannot_mend_makes_exit_code_3(say: Command, folder: Path) -> None:
    (folder / "bad.jsonl").write_bytes(BAD)
    assert say("convert", "bad.jsonl", "out.jsonl").code == 3


def test_a_place_that_cannot_be_written_is_named(say: Command, folder: Path) -> None:
    (folder / "good.jsonl").write_bytes(GOOD)
    said = say("convert", "good.jsonl", "none/out.jsonl")
    assert (said.code, said.error) == (1, "none/out.jsonl: No such file or directory\n")
    assert say("convert", "good.jsonl", "").code == 2
