from __future__ import annotations

from typing import TYPE_CHECKING

import batchkit as bk
from batchkit.cli.upkeep import cancel, clean
from batchkit.emulator import serve
from tests.cli.conftest import Command, documented_fields
from tests.conftest import quick_client

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def submitted(folder: Path, client: bk.Gemini) -> bk.Run:
    run = bk.build(folder / "reviews.csv", SPEC, key="id", into=folder / "run", target="file")
    bk.submit(run, client=client)
    return run


def test_clean_lists_until_it_is_told_to_do_it(
    folder: Path, account: Service, say: Command
) -> None:
    submitted(folder, account.client)
    bk.wait(folder / "run", client=account.client, poll_seconds=0.01)
    (upload,) = [f.name for f in account.client.files.list_all() if f.source == "UPLOADED"]
    listed = say("clean", "run")
    assert (listed.code, upload in listed.out) == (0, True)
    assert "a dry run: 1 would be deleted" in listed.err
    done = say("clean", "run", "--yes", "--json").json
    assert (done["run"], done["dry_run"]) == ("run", False)
    assert [thing["name"] for thing in done["deleted"]] == [upload]
    assert [thing["kind"] for thing in done["kept"]] == ["output"]
    assert say("clean", "run", "--yes", "--json").json["deleted"] == []


def test_what_is_not_fetched_ends_clean_with_code_4(
    folder: Path, account: Service, say: Command
) -> None:
    submitted(folder, account.client)
    said = say("clean", "run", "--yes", "--jobs", "--json")
    assert said.code == 4
    assert {thing["kind"] for thing in said.json["kept"]} == {"file", "job"}
    assert said.json["deleted"] == []


def test_cancel_lists_until_it_is_told_to_do_it(
    folder: Path, say: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(job_seconds=60) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        client = quick_client(emulator)
        run = submitted(folder, client)
        job = str(run.attempts()[0].job)
        listed = say("cancel", "run")
        assert (listed.code, job in listed.out) == (0, True)
        assert client.batches.get(job).is_running
        done = say("cancel", "run", "--yes", "--json").json
        assert done == {"run": "run", "dry_run": False, "jobs": [job], "unsent": 0}
        assert client.batches.get(job).cancelled
        again = say("cancel", "run", "--yes")
        assert (again.out, "no job is under way" in again.err) == ("", True)


def test_the_fields_of_json_are_those_in_the_help(
    folder: Path, account: Service, say: Command
) -> None:
    submitted(folder, account.client)
    for command in (cancel, clean):
        said = say(str(command.name), "run", "--json")
        assert set(said.json) == documented_fields(say(str(command.name), "--help").out)
