from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import serve
from tests.cli.conftest import Command, documented_fields
from tests.conftest import quick_client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

MODEL = "gemini-3.8-flash"
REQUESTS = [
    {"key": key, "request": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}}
    for key in ("a", "b")
]


@pytest.fixture
def job(account: Service, folder: Path) -> str:
    """A job by file that has ended well."""
    path = folder / "requests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in REQUESTS), encoding="utf-8")
    return account.client.batches.create(MODEL, path=path, display_name="mine").name


def fields(text: str) -> dict[str, str]:
    """What stands behind each name, a line each."""
    return dict(line.split(maxsplit=1) for line in text.rstrip("\n").split("\n"))


def test_a_job_is_shown_line_by_line_or_as_json(say: Command, job: str) -> None:
    said = fields(say("jobs", "get", job).out)
    assert (said["name"], said["state"], said["done"]) == (job, "succeeded", "2/2")
    assert (said["model"], said["display_name"]) == (MODEL, "mine")
    content = say("jobs", "get", job, "--json").json
    assert set(content) == documented_fields(say("jobs", "get", "--help").out)
    assert content["completion_stats"] == {
        "total_count": 2, "success_count": 2, "failure_count": 0,
    }  # fmt: skip


def test_a_list_of_jobs_has_whole_names_one_to_a_line(
    say: Command, job: str, account: Service
) -> None:
    other = account.client.batches.create(MODEL, inlined_requests=REQUESTS).name
    head, *lines = say("jobs", "list").out.removesuffix("\n").split("\n")
    assert head.split()[:2] == ["name", "state"]
    assert {line.split()[0] for line in lines} == {job, other}
    listed = say("jobs", "list", "--json").out.removesuffix("\n").split("\n")
    assert {json.loads(line)["name"] for line in listed} == {job, other}
    assert len(say("jobs", "list", "--json", "--most", "1").out.split("\n")) == 2


@pytest.mark.usefixtures("account")
def test_an_empty_list_says_none_or_nothing(say: Command) -> None:
    for group in ("jobs", "files"):
        assert say(group, "list").out == "none\n"
        assert say(group, "list", "--json").out == ""
        assert say(group, "list", "--most", "0").code == 2


def test_responses_are_json_lines(say: Command, job: str) -> None:
    said = say("jobs", "responses", job)
    lines = [json.loads(line) for line in said.out.removesuffix("\n").split("\n")]
    assert sorted(lines, key=lambda line: line["key"]) == [
        {"key": key, "status": "ok", "response": "Echo: hi"} for key in ("a", "b")
    ]


def test_a_job_that_runs_makes_exit_code_4_and_a_cancelled_one_3(
    say: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.is_dir()
    with serve(job_seconds=3600) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        name = quick_client(emulator).batches.create(MODEL, inlined_requests=REQUESTS).name
        assert say("jobs", "get", name).code == 4
        assert say("jobs", "responses", name).code == 4
        cancelled = say("jobs", "cancel", name)
        assert (cancelled.code, cancelled.out) == (0, f"asked {name} to stop\n")
        assert say("jobs", "get", name).code == 3
        assert say("jobs", "delete", name).out == f"deleted {name}\n"
        gone = say("jobs", "get", name)
        assert (gone.code, "NOT_FOUND" in gone.error) == (1, True)


@pytest.mark.parametrize("words", [("jobs", "get", "a b"), ("files", "get", "a b")])
@pytest.mark.usefixtures("account")
def test_what_is_no_name_is_answered_with_one(say: Command, words: tuple[str, ...]) -> None:
    said = say(*words)
    assert (said.code, f"it looks like {'batches' if words[0] == 'jobs' else 'files'}/abc123" in (
        said.error
    )) == (1, True)  # fmt: skip


def test_a_file_goes_up_and_is_listed_and_deleted(
    say: Command, account: Service, folder: Path
) -> None:
    assert account.paid() == {}
    up = say("files", "upload", "reviews.csv", "--display-name", "mine", "--json")
    assert (up.code, up.err) == (0, "")
    assert set(up.json) == documented_fields(say("files", "upload", "--help").out)
    assert up.json["bytes"] == (folder / "reviews.csv").stat().st_size
    name = up.json["name"]
    assert say("files", "get", name, "--json").json == up.json
    assert fields(say("files", "get", name).out)["display_name"] == "mine"
    assert say("files", "list", "--json").json == up.json
    assert name in say("files", "list").out
    assert say("files", "delete", name).out == f"deleted {name}\n"
    assert say("files", "list").out == "none\n"


def test_an_output_goes_to_a_file_or_to_standard_output(
    say: Command, job: str, account: Service, folder: Path
) -> None:
    output = account.client.batches.get(job).destination.file_name or ""
    assert say("files", "download", output, "out.jsonl").out == "out.jsonl\n"
    content = (folder / "out.jsonl").read_text("utf-8")
    assert sorted(json.loads(line)["key"] for line in content.split("\n") if line) == ["a", "b"]
    assert say("files", "download", output, "-").out == content


def test_a_file_that_is_not_there_or_not_writable_is_named(say: Command, job: str) -> None:
    assert say("files", "upload", "none.jsonl").code == 2
    output = f"files/batch-{job.removeprefix('batches/')}"
    said = say("files", "download", output, "none/out.jsonl")
    assert (said.code, said.error) == (1, "none/out.jsonl: No such file or directory\n")
