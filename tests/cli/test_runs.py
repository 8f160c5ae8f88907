from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit.emulator import Emulator, Limits, serve
from tests.cli.conftest import (
    BATCHKIT,
    Command,
    Said,
    documented_fields,
    process,
    started,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Service

OPTIONS = ("--key", "id", "--model", "gemini-3.8-flash", "--prompt", "Say {text}")
BUILD = ("build", "reviews.csv", *OPTIONS, "--into", "run")
RUN = ("run", "reviews.csv", *OPTIONS, "--into", "runs/x", "--poll-seconds", "0.2")
SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
KEYS = ["k0", "k1", "k2", "k3"]
# Colours and weights, and hiding the cursor: what moves nothing.
_STYLE = re.compile(r"\x1b\[(?:[0-9;]*m|\?[0-9]+[hl])")
_COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*[39][0-9]")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def test_four_processes_take_a_table_there_and_back(folder: Path, account: Service) -> None:
    built = process(*BUILD, "--json")
    assert (built.code, built.json["requests"]) == (0, 4)
    assert process("submit", "run", "--json").json["jobs"] == 1
    waited = process("wait", "run", "--json")
    assert (waited.code, waited.json) == (0, {"run": "run", "stages": {"fetched": 1}})
    collected = process("collect", "run", "--to", "out.parquet", "--json")
    assert (collected.code, collected.json["results"]) == (0, "out.parquet")
    result = pq.read_table(folder / "out.parquet")
    assert result.column("id").to_pylist() == KEYS
    assert result.column("response").to_pylist()[1] == "Echo: Say it smells"
    assert account.paid() == dict.fromkeys(KEYS, 1)


def test_one_command_is_all_four_and_may_be_repeated(say: Command, account: Service) -> None:
    first = process(*RUN)
    assert first.code == 0
    facts = [line.split() for line in first.out.rstrip("\n").split("\n")]
    assert facts == [["ok", "4"], ["rows", "4"], ["run", "runs/x"], ["results", "runs/x/results"]]
    (name,) = (job.name for job in account.client.batches.list_all())
    assert first.err.split("\n") == [  # away from a terminal, progress is plain lines
        "run directory: runs/x",
        "built 4 rows",
        "submitted 1 job",
        f"job {name} succeeded, 1 ended",
        "collected 1 file",
        "",
    ]
    again = say(*RUN, "--json")
    assert (again.code, again.json["statuses"]["ok"]) == (0, 4)
    assert account.paid() == dict.fromkeys(KEYS, 1)


@pytest.mark.usefixtures("account")
def test_json_has_the_fields_that_help_names(say: Command) -> None:
    for words in (BUILD, ("submit", "run"), ("wait", "run"), ("collect", "run"), ("status", "run")):
        assert set(say(*words, "--json").json) == documented_fields(say(words[0], "--help").out)
    assert set(say(*RUN, "--json").json) == documented_fields(say("run", "--help").out)


@pytest.mark.usefixtures("account")
def test_rows_that_are_not_ok_make_exit_code_3(say: Command, folder: Path) -> None:
    (folder / "reviews.csv").write_text("id,text\nk0,fine\nk1,\n", encoding="utf-8")
    said = say(*BUILD)
    assert said.code == 3
    assert "1 of 2 rows could not become requests" in said.err
    assert [say(verb, "run").code for verb in ("submit", "wait", "collect")] == [0, 0, 3]
    status = say("status", "run", "--json")
    assert status.code == 3
    assert {name: n for name, n in status.json["statuses"].items() if n} == {"ok": 1, "rejected": 1}


@pytest.mark.usefixtures("account")
def test_what_is_not_done_yet_makes_exit_code_4(say: Command) -> None:
    say(*BUILD)
    waited = say("wait", "run")
    assert (waited.code, waited.err) == (4, "1 shard has no job yet: batchkit submit run\n")
    assert say("collect", "run").code == 4
    status = say("status", "run", "--json")
    assert (status.code, status.json["stages"]) == (4, {"unsent": 1})


def test_a_service_that_takes_no_more_jobs_makes_exit_code_4(
    say: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(*BUILD, "--limit", "max_rows=2")
    with serve(job_seconds=3600, limits=Limits(concurrent_jobs=1)) as emulator:
        leads_to(emulator, monkeypatch)
        said = say("submit", "run", "--json")
    assert (said.code, said.json["jobs"], said.json["shards"]) == (4, 1, 2)
    assert said.json["held"]


def test_a_run_that_was_not_built_to_the_end_says_so(say: Command, folder: Path) -> None:
    say(*BUILD)
    (folder / "run/shards.json").unlink()
    assert "not built to the end" in say("status", "run").out
    said = say("status", "run", "--json")
    assert (said.code, said.json) == (4, {"run": "run", "is_built": False})


def test_time_that_is_over_cancels_nothing(say: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    say(*BUILD)
    with serve(job_seconds=3600) as emulator:
        leads_to(emulator, monkeypatch)
        say("submit", "run")
        said = say("wait", "run", "--timeout", "0", "--json")
        assert emulator.stats()["jobs"] == {"BATCH_STATE_RUNNING": 1}
    assert (said.code, said.json["stages"]) == (4, {"running": 1})
    assert "were not cancelled" in said.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("stop, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_leaves_the_jobs_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, stop: int, code: int
) -> None:
    with serve(job_seconds=3600) as emulator:
        leads_to(emulator, monkeypatch)
        bk.submit(bk.build("reviews.csv", SPEC, key="id", into="run"))
        command = started("wait", "run")
        wait_until(lambda: f"pid {command.pid}" in Path("run/lease.json").read_text("utf-8"))
        wait_until(lambda: is_free(Path("run/.lease")))  # it pauses for half a second
        command.send_signal(stop)
        out, err = command.communicate(timeout=20)
        assert emulator.stats()["jobs"] == {"BATCH_STATE_RUNNING": 1}
    assert (command.returncode, out) == (code, "")
    assert "detached; the jobs go on, nothing was cancelled" in err
    assert "batchkit wait run" in err
    assert "Traceback" not in err
    assert "Aborted" not in err


def is_free(lock: Path) -> bool:
    try:
        with filelock.FileLock(lock, timeout=0):
            return True
    except filelock.Timeout:
        return False


def leads_to(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find this emulator."""
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)


def wait_until(is_so: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_missing_key_is_said_before_the_work(say: Command, folder: Path) -> None:
    said = say(*RUN)
    assert said.code == 1
    assert "set GOOGLE_API_KEY or GEMINI_API_KEY" in said.error
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "id": '])
def test_a_run_that_is_damaged_is_named(say: Command, folder: Path, content: str) -> None:
    say(*BUILD)
    (folder / "run/run.json").write_text(content, encoding="utf-8")
    said = say("status", "run")
    assert (said.code, said.error.startswith("run/run.json ")) == (1, True)


@pytest.mark.parametrize("verb", ["submit", "wait", "collect", "status"])
def test_a_folder_that_is_no_run_is_named(say: Command, folder: Path, verb: str) -> None:
    (folder / "other").mkdir()
    for name in ("other", "none"):
        said = say(verb, name)
        assert said.code == 1
        assert said.error == f"{name} is no run directory: it has no run.json\n"
    for name in ("", "reviews.csv"):
        said = say(verb, name)
        assert said.code == 2
        assert "Invalid value for 'RUN'" in said.error


def test_a_typing_error_in_a_column_is_answered_with_the_nearest(say: Command) -> None:
    model = ("--model", "gemini-3.8-flash")
    said = say("build", "reviews.csv", *model, "--prompt", "{txt}")
    assert (said.code, "did you mean {text}?" in said.error) == (1, True)
    for option in (("--key", "txt"), ("--carry", "Text")):
        said = say("build", "reviews.csv", *model, "--prompt", "{text}", *option)
        assert (said.code, "did you mean 'text'?" in said.error) == (1, True)


@pytest.mark.parametrize("table", ["none.csv", "none.parquet", "none.jsonl", "none/*.parquet"])
@pytest.mark.parametrize("spec", [("--prompt", "{text}"), ("--embed", "{text}")])
def test_a_table_that_is_not_there_is_named(
    say: Command, table: str, spec: tuple[str, ...]
) -> None:
    said = say("build", table, "--model", "gemini-3.8-flash", *spec)
    assert (said.code, table in said.error) == (1, True)


def test_a_request_file_that_is_not_there_is_named(say: Command) -> None:
    said = say("build", "none.jsonl", "--model", "gemini-3.8-flash")
    assert (said.code, "none.jsonl" in said.error) == (1, True)


def test_a_table_that_can_be_read_once_is_refused(say: Command, folder: Path) -> None:
    os.mkfifo(folder / "pipe.jsonl")
    for table in ("-", "/dev/null", "pipe.jsonl"):
        said = say("build", table, *OPTIONS)
        assert said.code == 2
        assert f"{table} can be read once" in said.error


def test_a_ready_request_file_is_a_run(folder: Path, account: Service) -> None:
    line = '{{"key":"{}","request":{{"contents":[{{"parts":[{{"text":"hi"}}]}}]}}}}\n'
    (folder / "requests.jsonl").write_text("".join(map(line.format, KEYS)), encoding="utf-8")
    said = process(
        "run", "requests.jsonl", "--model", "gemini-3.8-flash", "--into", "run", "--to", "out.jsonl"
    )
    assert said.code == 0
    rows = [json.loads(text) for text in Path("out.jsonl").read_text("utf-8").split("\n") if text]
    assert [(row["key"], row["response"]) for row in rows] == [(k, "Echo: hi") for k in KEYS]
    assert account.paid() == dict.fromkeys(KEYS, 1)


def test_a_place_for_results_that_cannot_be_is_refused_before_anything_is_sent(
    say: Command, folder: Path, account: Service
) -> None:
    said = say(*RUN, "--to", "out.xlsx")
    assert said.code == 2
    assert "--to out.xlsx: results are written as" in said.error
    assert not (folder / "runs").exists()
    assert account.emulator.stats()["jobs"] == {}


@pytest.mark.parametrize("kind", ["created", "ended"])
def test_a_run_on_the_emulator_that_is_killed_goes_on_and_pays_once(
    say: Command, folder: Path, kind: str
) -> None:
    words = (*RUN, "--limit", "max_rows=2", "--target", "file", "--emulator")
    command = started(*words)
    wait_until(lambda: list(folder.glob(f"runs/x/ledger/*/*-{kind}.json")))
    command.kill()
    command.communicate(timeout=20)
    said = say(*words, "--json")
    assert (said.code, said.json["statuses"]["ok"]) == (0, 4)
    with serve(folder=folder / "runs/.emulator") as emulator:
        stats = emulator.stats()
    assert stats["requests"] == dict.fromkeys(KEYS, 1)
    assert stats["jobs"] == {"BATCH_STATE_SUCCEEDED": 2}


def test_a_run_on_the_emulator_ends_with_it_and_goes_on_with_it(say: Command, folder: Path) -> None:
    command = started(*RUN, "--emulator")
    wait_until(lambda: list(folder.glob("runs/x/ledger/*/*-created.json")))
    second = say("run", "reviews.csv", *OPTIONS, "--into", "runs/y", "--emulator")
    assert second.code == 1
    assert second.error.startswith("runs/.emulator is in use by another emulator: wait for it")
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=20)
    assert command.returncode == 130
    assert "stopped, and the emulator with it; the same command goes on from here" in err
    assert say(*RUN, "--emulator").code == 0


def on_a_terminal(columns: int, rows: int, *words: str, **environment: str) -> Said:
    """What a command shows on a terminal of that size, output and errors together."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    command = subprocess.Popen(  # noqa: S603
        [BATCHKIT, *words],
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(child)
    shown = b""
    try:
        while piece := os.read(parent, 65_536):
            shown += piece
    except OSError:  # how Linux says that the other end has closed
        pass
    os.close(parent)
    return Said(command.wait(20), shown.decode(), "")


@pytest.mark.parametrize("columns, rows, no_color", [(80, 24, ""), (120, 10, "1")])
def test_on_a_terminal_the_board_fits_and_its_end_stays(
    account: Service, columns: int, rows: int, no_color: str
) -> None:
    said = on_a_terminal(columns, rows, *RUN, "--limit", "max_rows=1", NO_COLOR=no_color)
    assert said.code == 0
    assert bool(_COLOUR.search(said.out)) == (not no_color)
    drawn = _CONTROL.split(_STYLE.sub("", said.out).replace("\r", "\n"))
    assert max(len(line) for piece in drawn for line in piece.split("\n")) <= columns
    left = [line.split() for line in drawn[-1].split("\n") if line.strip()]
    assert [words[0] for words in left] == [
        "build", "submit", "wait", "collect", "ok", "rows", "run", "results",
    ]  # fmt: skip
    assert " ".join(left[2][2:-1]) == "4/4 requests, 4/4 jobs ended in"
    assert account.paid() == dict.fromkeys(KEYS, 1)


def test_the_library_goes_on_with_what_the_command_line_began(
    say: Command, account: Service
) -> None:
    say(*BUILD)
    bk.submit("run", client=account.client)
    bk.wait("run", client=account.client)
    assert say("collect", "run").code == 0
