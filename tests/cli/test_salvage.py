from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import batchkit as bk
from batchkit.cli.salvage import salvage
from tests.cli.conftest import Command, documented_fields

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

OPTIONS = ("--key", "id", "--model", "gemini-3.8-flash", "--prompt", "Say {text}")


def lost(folder: Path, client: bk.Gemini) -> str:
    """The job of a run whose directory is gone."""
    spec = bk.generate("gemini-3.8-flash", "Say {text}")
    run = bk.build(folder / "reviews.csv", spec, key="id", into=folder / "run")
    bk.submit(run, client=client)
    shutil.rmtree(run.folder)
    (job,) = client.batches.list_all()
    return job.name


def test_a_lost_run_is_built_again_and_collected(
    folder: Path, account: Service, say: Command
) -> None:
    job = lost(folder, account.client)
    said = say("salvage", "reviews.csv", "--from", job, *OPTIONS, "--into", "again", "--json").json
    assert (said["run"], said["rows"], said["jobs"], said["answered"]) == ("again", 4, 1, 0)
    assert said["stages"] == {"running": 1}
    assert say("collect", "again", "--json").json["statuses"]["ok"] == 4
    assert set(account.paid().values()) == {1}


def test_answers_in_a_file_are_enough(folder: Path, account: Service, say: Command) -> None:
    job = account.client.batches.get(lost(folder, account.client))
    account.client.batches.write_output(job, folder / "answers.jsonl")
    words = ("--from", "answers.jsonl", *OPTIONS, "--into", "again")
    told = say("salvage", "reviews.csv", *words)
    assert (told.code, "1 fetched" in told.out) == (0, True)
    assert say("collect", "again").code == 0


def test_answers_of_another_table_end_with_an_error(
    folder: Path, account: Service, say: Command
) -> None:
    job = account.client.batches.get(lost(folder, account.client))
    account.client.batches.write_output(job, folder / "answers.jsonl")
    (folder / "reviews.csv").write_text("id,text\nx,other\n", encoding="utf-8")
    said = say("salvage", "reviews.csv", "--from", "answers.jsonl", *OPTIONS, "--into", "again")
    assert said.code == 1
    assert said.error.startswith("4 of 4 answers are for no row of this table")


def test_the_fields_of_json_are_those_in_the_help(
    folder: Path, account: Service, say: Command
) -> None:
    job = lost(folder, account.client)
    said = say("salvage", "reviews.csv", "--from", job, *OPTIONS, "--into", "again", "--json")
    assert set(said.json) == documented_fields(say(str(salvage.name), "--help").out)
