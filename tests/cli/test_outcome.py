from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from batchkit.cli import batchkit
from batchkit.cli.outcome import ExitCode, code_for
from tests.cli.conftest import BATCHKIT, Command, process

if TYPE_CHECKING:
    from tests.conftest import Service

LINE = '{"key":"é","request":{"contents":[{"parts":[{"text":"日本"}]}]}}\n'


def commands(group: click.Group, *path: str) -> list[tuple[str, ...]]:
    """Every command that does something, by the words that give it."""
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        inner = commands(command, *path, name) if isinstance(command, click.Group) else None
        found += inner or [(*path, name)]
    return found


@pytest.mark.parametrize("words", commands(batchkit), ids=" ".join)
def test_every_command_says_what_it_is_for_by_example(say: Command, words: tuple[str, ...]) -> None:
    said = say(*words, "--help")
    assert (said.code, said.err) == (0, "")
    assert f"  Examples:\n    batchkit {' '.join(words)} " in said.out


def test_the_first_lines_of_all_commands_are_whole_at_80_columns(say: Command) -> None:
    listed = say("-h").out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert len(listed.split("\n")) == len(batchkit.commands)
    assert "..." not in listed


def test_the_help_lists_every_exit_code(say: Command) -> None:
    text = say("--help").out
    for code in ExitCode:
        assert f"{code.value:>5}  {code.meaning}" in text


@pytest.mark.parametrize(
    "statuses, code",
    [
        ({"ok": 3, "error": 0, "pending": 0}, ExitCode.DONE),
        ({"ok": 3, "error": 1, "pending": 0}, ExitCode.NOT_ALL_OK),
        ({"ok": 0, "rejected": 3}, ExitCode.NOT_ALL_OK),
        ({"ok": 1, "error": 1, "pending": 1}, ExitCode.NOT_DONE),
        ({}, ExitCode.DONE),
    ],
)
def test_a_tally_has_a_code(statuses: dict[str, int], code: ExitCode) -> None:
    assert code_for(statuses) is code


def test_the_package_is_the_command_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "batchkit", "--version"], capture_output=True, text=True, check=True
    )
    assert "batchkit, version " in done.stdout


@pytest.mark.parametrize("words", [("check", "é.jsonl", "--json"), ("jobs", "list"), ("--help",)])
def test_a_reader_that_goes_away_ends_a_command_in_silence(
    folder: Path, account: Service, words: tuple[str, ...]
) -> None:
    assert account.paid() == {}
    (folder / "é.jsonl").write_text(LINE, encoding="utf-8")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603
        [BATCHKIT, *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line(folder: Path) -> None:
    (folder / "requests.jsonl").write_text(LINE, encoding="utf-8")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(  # noqa: S603
            [BATCHKIT, "check", "requests.jsonl"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


def test_an_error_of_the_system_names_the_file_that_was_asked_for(
    say: Command, folder: Path
) -> None:
    (folder / "requests.jsonl").write_text(LINE, encoding="utf-8")
    said = say("convert", "requests.jsonl", "reviews.csv/out.jsonl")
    assert said.code == 1
    assert said.err == "Error: reviews.csv/out.jsonl: Not a directory\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_no_traceback(folder: Path, closed: str) -> None:
    (folder / "requests.jsonl").write_text(LINE, encoding="utf-8")
    done = subprocess.run(  # noqa: S602
        f"{BATCHKIT} check requests.jsonl {closed}",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_text_that_the_locale_cannot_write_is_escaped(folder: Path) -> None:
    line = LINE.replace("contents", "content").replace("é", "日")
    (folder / "é.jsonl").write_text(line, encoding="utf-8")
    said = process("check", "é.jsonl", PYTHONIOENCODING="latin-1")
    assert said.code == 3
    assert r"key '\u65e5'" in said.out
    assert said.err == ""


def test_bytes_that_are_no_text_are_refused(folder: Path) -> None:
    assert folder.is_dir()
    done = subprocess.run(  # noqa: S603
        [os.fsencode(BATCHKIT), b"status", b"run\xff"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert rb"Error: 'run\udcff' is not UTF-8 text" in done.stderr


def test_a_missing_key_is_said_with_the_ways_to_give_one(say: Command) -> None:
    said = say("jobs", "list")
    assert said.code == 1
    assert "GEMINI_API_KEY" in said.error
    assert "batchkit emulate" in said.error
