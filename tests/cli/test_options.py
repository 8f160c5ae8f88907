from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import batchkit as bk
from batchkit.cli.options import limits_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command

BUILD = ("build", "reviews.csv", "--key", "id", "--model", "gemini-3.8-flash", "--into", "run")
EMBED = ("build", "reviews.csv", "--model", "gemini-embedding-001", "--embed", "{text}")


def request(folder: Path) -> dict[str, object]:
    """The first request of the run."""
    line = (folder / "run/requests/00000.jsonl").read_text("utf-8").partition("\n")[0]
    return json.loads(line)["request"]


def test_texts_and_json_come_from_the_line_or_from_a_file(say: Command, folder: Path) -> None:
    (folder / "prompt.txt").write_text("Sum up: {text}\n", encoding="utf-8")
    (folder / "config.json").write_text('{"temperature": 0.5}', encoding="utf-8-sig")
    options = ("--prompt", "@prompt.txt", "--config", "@config.json", "--system", "Be brief.")
    said = say(*BUILD, *options, "--safety", '{"hate_speech": "BLOCK_NONE"}')
    assert said.code == 0
    assert request(folder) == {
        "contents": [{"role": "user", "parts": [{"text": "Sum up: warm and thin"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.5},
        "safetySettings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
    }


def test_two_ats_begin_a_text_with_one(say: Command, folder: Path) -> None:
    assert say(*BUILD, "--prompt", "@@{id}: {text}").code == 0
    assert "@k0: warm and thin" in (folder / "run/requests/00000.jsonl").read_text("utf-8")


def test_a_command_line_and_a_call_make_the_same_run(say: Command, folder: Path) -> None:
    spec = bk.generate(
        "gemini-3.8-flash",
        "{text}",
        schema={"type": "object", "properties": {"mood": {"type": "string"}}},
        tools=[{"codeExecution": {}}],
        cached_content="cachedContents/abc",
    )
    bk.build(
        folder / "reviews.csv",
        spec,
        key="id",
        into="run",
        on_bad_key="reject",
        limits={"max_rows": 3},
        prefix="g_",
        flatten=False,
        provenance=True,
        raw=True,
    )
    schema = '{"type": "object", "properties": {"mood": {"type": "string"}}}'
    options = ("--prompt", "{text}", "--schema", schema, "--tools", '[{"codeExecution": {}}]')
    more = ("--cached-content", "cachedContents/abc", "--on-bad-key", "reject")
    shape = ("--limit", "max_rows=3", "--prefix", "g_", "--no-flatten", "--provenance", "--raw")
    said = say(*BUILD, *options, *more, *shape, "--json")
    assert (said.code, said.err) == (0, "")  # the library would say what differs
    assert said.json["shards"] == 2


@pytest.mark.parametrize(
    "options, said",
    [
        (("--prompt", "x", "--embed", "y"), "give one of them"),
        (("--prompt", "x", "--title", "y"), "--title goes with --embed"),
        (("--embed", "x", "--tool-config", "{}"), "--tool-config goes with --prompt"),
        ((), "reviews.csv holds rows: say what to ask of each with --prompt or --embed"),
        (("--prompt", "@none.txt"), "--prompt @none.txt: No such file"),
        (("--prompt", "x", "--system", "@."), "--system @.: Is a directory"),
        (("--prompt", "@latin.txt"), "--prompt @latin.txt: not UTF-8 text, at byte 1"),
        (("--prompt", "x", "--config", "{bad"), "--config '{bad' is not JSON"),
        (("--prompt", "x", "--schema", "@latin.txt"), "--schema @latin.txt: not UTF-8"),
        (("--prompt", "x", "--tools", "@reviews.csv"), "--tools @reviews.csv is not JSON"),
        (("--embed", "x", "--dimensions", "0"), "--dimensions"),
        (("--prompt", "x", "--limit", "max_rows=ten"), "--limit max_rows=ten: write it as"),
        (("--prompt", "x", "--limit", "max_rows"), "--limit max_rows: write it as"),
        (("--prompt", "x", "--limit", "=3"), "--limit =3: write it as"),
        (("--prompt", "x", "--limit", "max_rows=nan"), "--limit max_rows=nan: write it as"),
        (("--prompt", "x", "--into", ""), "--into"),
        (("--prompt", "x", "--into", "reviews.csv"), "--into"),
        (("--prompt", "x", "--target", "gs"), "--target"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(
    say: Command, folder: Path, options: tuple[str, ...], said: str
) -> None:
    (folder / "latin.txt").write_bytes(b"d\xe9j\xe0")
    refused = say("build", "reviews.csv", "--model", "gemini-3.8-flash", *options)
    assert refused.code == 2
    assert said in refused.error
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_pause_that_cannot_be_slept_is_refused(say: Command, seconds: str) -> None:
    assert "--poll-seconds" in say("wait", "run", "--poll-seconds", seconds).error


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.integers(-(2**53), 2**53)))
def test_limits_are_the_numbers_that_were_written(limits: dict[str, int]) -> None:
    assert limits_of(tuple(f"{name}={number}" for name, number in limits.items())) == limits


@pytest.mark.parametrize("text, number", [("1e3", 1_000), ("2.5", 2.5), ("3.0", 3)])
def test_a_limit_may_be_written_as_any_number(text: str, number: float) -> None:
    (read,) = limits_of((f"x={text}",)).values()
    assert (read, type(read)) == (number, type(number))


def test_a_wrong_limit_is_named_by_the_library(say: Command) -> None:
    said = say(*BUILD, "--prompt", "{text}", "--limit", "max_row=3")
    assert said.code == 1
    assert "max_rows" in said.error


def test_embedding_options_reach_the_requests(say: Command, folder: Path) -> None:
    said = say(
        *EMBED, "--into", "run", "--key", "id", "--title", "{id}", "--dimensions", "8",
        "--task-type", "RETRIEVAL_DOCUMENT",
    )  # fmt: skip
    assert said.code == 0
    assert request(folder) == {
        "content": {"parts": [{"text": "warm and thin"}]},
        "taskType": "RETRIEVAL_DOCUMENT",
        "title": "k0",
        "outputDimensionality": 8,
    }
