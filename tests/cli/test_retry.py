from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import JobFault
from tests.cli.conftest import documented_fields, process

if TYPE_CHECKING:
    from tests.cli.conftest import Command
    from tests.conftest import Service

SHORT = ("--key", "id", "--model", "gemini-3.8-flash", "--config", '{"maxOutputTokens":2}')
BUILD = ("build", "reviews.csv", *SHORT, "--prompt", "{text}, long and long", "--into", "run")
GO = (("submit", "run"), ("wait", "run"))


def test_rows_that_were_cut_short_are_asked_again_with_a_larger_limit(
    say: Command, account: Service
) -> None:
    assert [say(*words).code for words in (BUILD, *GO)] == [0, 0, 0]
    first = process("retry", "run")
    assert (first.code, first.out) == (3, "")
    assert first.err.split("\n")[-3:] == [
        "no row is to be asked again",
        "4 failed rows are not asked again: asking again would not help",
        "",
    ]
    again = say("retry", "run", "--max-output-tokens", "500", "--limit", "max_rows=3", "--json")
    assert again.code == 4
    assert again.json == {"run": "run", "asked": {"truncated": 4}, "shards": 2, "left": {}}
    assert say("status", "run", "--json").json["stages"] == {"fetched": 1, "unsent": 2}
    assert say("retry", "run").code == 4  # they are to be submitted
    assert [say(*words).code for words in GO] == [0, 0]
    assert say("collect", "run").code == 0
    assert say("retry", "run").code == 0
    assert account.paid() == {"k0": 2, "k1": 2, "k2": 2, "k3": 2}


@pytest.mark.usefixtures("account")
def test_json_has_the_fields_that_help_names(say: Command) -> None:
    assert say(*BUILD).code == 0
    assert set(say("retry", "run", "--json").json) == documented_fields(say("retry", "--help").out)


@pytest.mark.parametrize(
    "words, said",
    [
        (("--max-attempts", "0"), "--max-attempts"),
        (("--max-output-tokens", "x"), "--max-output-tokens"),
        (("--limit", "max_rows"), "write it as name=number"),
    ],
)
def test_terms_that_make_no_sense_are_wrong_usage(
    say: Command, words: tuple[str, str], said: str
) -> None:
    refused = say("retry", "run", *words)
    assert refused.code == 2
    assert said in refused.err


def test_a_folder_that_is_no_run_is_an_error(say: Command) -> None:
    refused = say("retry", "nowhere")
    assert refused.code == 1
    assert "nowhere is no run directory" in refused.error


def test_a_job_past_its_deadline_is_cancelled_and_asked_anew_in_smaller_ones_on_request(
    say: Command, account: Service
) -> None:
    account.emulator.inject(JobFault("stick", times=1))
    assert [say(*words).code for words in (BUILD, ("submit", "run"))] == [0, 0]
    kept = say("wait", "run", "--deadline", "0.1", "--timeout", "0.6", "--poll-seconds", "0.1")
    assert kept.code == 4
    assert "it goes on" in kept.err
    assert account.emulator.stats()["jobs"] == {"BATCH_STATE_PENDING": 1}
    anew = ("--deadline", "0.1", "--on-deadline", "cancel_and_resplit", "--poll-seconds", "0.1")
    assert say("wait", "run", *anew, "--max-attempts", "1").code == 1
    again = say("wait", "run", *anew, "--json")
    assert (again.code, again.json["stages"]) == (0, {"fetched": 3})
    assert say("status", "run", "--json").json["rows"] == 4
    assert account.paid() == {"k0": 1, "k1": 1, "k2": 1, "k3": 1}


def test_a_shard_that_is_too_large_is_cut_on_request(say: Command, account: Service) -> None:
    assert say(*BUILD).code == 0
    limits = ("--limit", "max_enqueued_tokens=120")
    again = say("retry", "run", "--recut", *limits, "--json")
    assert again.json["asked"] == {"missing": 4}
    assert again.json["shards"] > 1
    assert [say(*words).code for words in GO] == [0, 0]
    assert account.paid() == {"k0": 1, "k1": 1, "k2": 1, "k3": 1}
