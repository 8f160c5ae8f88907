from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

import batchkit as bk
from batchkit import durable, jsonl
from batchkit.errors import (
    AccountChangedError,
    AmbiguousJobError,
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
)
from batchkit.events import Event, Said
from tests.google import UPLOAD_SECRET, answered_lines, google, refusal, unanswered
from tests.scripted import API_KEY
from tests.scripted import Said as Reply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
CREATE = "POST /v1beta/models"


def built(folder: Path, target: str = "inline", shards: int = 1) -> bk.Run:
    table = [{"id": f"k{i}", "text": "hello"} for i in range(shards)]
    return bk.build(table, SPEC, key="id", into=folder, target=target, limits={"max_rows": 1})


def facts(run: bk.Run, shard: int = 0) -> list[str]:
    return [fact.kind for fact in run.attempts()[shard].facts]


def display_name(run: bk.Run, shard: int = 0) -> str:
    found = run.shards.shards[shard]
    return f"batchkit-{run.definition.id}-{found.name}-1-{found.sha256[:12]}"


def intend(run: bk.Run, client: bk.Gemini, seconds_ago: float) -> None:
    """What a driver leaves behind that was killed while it waited for the reply to a create."""
    folder = run.folder / "ledger" / "00000-1"
    durable.make_folder(folder)
    fact = {
        "kind": "intent",
        "at": time.time() - seconds_ago,
        "target": "inline",
        "account": run.definition.fingerprint(client.account),
    }
    durable.create_once(folder / "01-intent.json", jsonl.dumps(fact))


def test_a_job_whose_create_was_not_answered_is_adopted_when_the_list_shows_it(
    tmp_path: Path,
) -> None:
    run = built(tmp_path / "run")
    with google(hidden_lists=2, answers={}) as service:
        lost = service.add_job(display_name(run))
        service.answers[CREATE] = [unanswered()]
        bk.submit(run, client=service.client(), settle_seconds=0.1)
        assert len(service.asked("POST")) == 1
    assert facts(run) == ["intent", "adopted"]
    assert run.attempts()[0].job == lost


def test_a_list_that_lags_for_less_than_it_may_leads_to_no_second_job(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    told: list[Event] = []
    with google(hidden_lists=2) as service:
        lost = service.add_job(display_name(run))
        intend(run, service.client(), seconds_ago=1)
        bk.submit(run, client=service.client(), settle_seconds=0.1, progress=told.append)
        assert service.asked("POST") == []
    assert run.attempts()[0].job == lost
    assert any(isinstance(event, Said) and "was not answered" in event.text for event in told)


def test_a_create_that_may_have_been_under_way_until_now_is_waited_for(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    with google(hidden_lists=2) as service:
        lost = service.add_job(display_name(run))
        intend(run, service.client(), seconds_ago=300)  # a time-out of five minutes, just over
        bk.submit(run, client=service.client(), settle_seconds=0.1)
    assert run.attempts()[0].job == lost


def test_a_create_of_another_day_is_not_waited_for(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    begun = time.monotonic()
    with google() as service:
        intend(run, service.client(), seconds_ago=100_000)
        bk.submit(run, client=service.client(), settle_seconds=30)
    assert time.monotonic() - begun < 20
    assert facts(run) == ["intent", "intent", "created"]


def test_without_a_job_in_the_list_the_create_is_repeated(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    with google(answers={CREATE: [refusal(500, "oops"), refusal(503, "later")]}) as service:
        bk.submit(run, client=service.client(), settle_seconds=0.05)
        assert len(service.asked("POST")) == 3
        assert len(service.jobs) == 1
    assert facts(run) == ["intent", "intent", "intent", "created"]


def test_several_jobs_of_one_name_are_refused_until_one_is_left(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    with google() as service:
        one, other = (service.add_job(display_name(run)) for _ in range(2))
        intend(run, service.client(), seconds_ago=1)
        with pytest.raises(AmbiguousJobError, match=rf"2 jobs are named .*{one}, {other}"):
            bk.submit(run, client=service.client())
        assert service.asked("POST") == []
        assert facts(run) == ["intent"]
        service.end(one, "CANCELLED")
        bk.submit(run, client=service.client())
    assert run.attempts()[0].job == other


def test_the_job_that_is_left_when_the_other_was_deleted_is_taken(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    with google() as service:
        one, other = (service.add_job(display_name(run)) for _ in range(2))
        with pytest.raises(AmbiguousJobError):
            bk.submit(run, client=service.client())
        del service.jobs[other]
        bk.submit(run, client=service.client())
    assert run.attempts()[0].job == one


def test_a_job_that_stands_on_two_pages_is_one_job(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    with google(page_size=1) as service:
        job = service.add_job(display_name(run))
        page = {"operations": [service.jobs[job]], "nextPageToken": "0"}
        service.answers["GET /v1beta/batches?"] = [Reply(body=page)]
        intend(run, service.client(), seconds_ago=1)
        bk.submit(run, client=service.client())
    assert run.attempts()[0].job == job


def test_a_copy_of_the_run_does_not_pay_again(tmp_path: Path, service: Service) -> None:
    run = built(tmp_path / "run", target="file", shards=3)
    shutil.copytree(run.folder, tmp_path / "copy")
    bk.submit(run, client=service.client)
    copy = bk.open_run(tmp_path / "copy")
    bk.submit(copy, client=service.client)
    assert [attempt.job for attempt in copy.attempts()] == [a.job for a in run.attempts()]
    assert facts(copy) == ["intent", "adopted"]
    results = bk.collect(copy, client=service.client)
    assert results.tally()["ok"] == 3
    assert set(service.paid().values()) == {1}


def test_a_refusal_for_now_keeps_the_upload_and_is_not_an_error(tmp_path: Path) -> None:
    run = built(tmp_path / "run", target="file")
    with google(answers={CREATE: [refusal(429, "quota", "RESOURCE_EXHAUSTED")]}) as service:
        held = bk.submit(run, client=service.client()).held
        assert held == "quota"
        assert bk.submit(run, client=service.client()).is_complete
        assert len(service.asked("POST", "/session")) == 1
    assert facts(run) == ["intent", "uploaded", "refused", "intent", "created"]


def test_an_upload_that_is_gone_meanwhile_is_made_again(tmp_path: Path) -> None:
    run = built(tmp_path / "run", target="file")
    with google(answers={CREATE: [refusal(429, "quota")]}) as service:
        bk.submit(run, client=service.client())
        service.files.clear()
        assert bk.submit(run, client=service.client()).is_complete
    kinds = ["intent", "uploaded", "refused", "intent", "refused", "intent", "uploaded", "created"]
    assert facts(run) == kinds


def test_an_upload_of_another_account_is_not_relied_on(tmp_path: Path) -> None:
    run = built(tmp_path / "run", target="file")
    with google(answers={CREATE: [refusal(429, "quota")]}) as service:
        bk.submit(run, client=service.client())
        other = bk.Gemini("another-key", base_url=service.server.url)
        service.files.clear()  # which the other account cannot see
        bk.submit(run, client=other)
        (create,) = service.asked("POST", "/v1beta/models")[1:]
        assert create.headers["x-goog-api-key"] == "another-key"
    assert facts(run) == ["intent", "uploaded", "refused", "intent", "uploaded", "created"]


def test_an_upload_whose_last_reply_was_lost_is_found_by_its_content(tmp_path: Path) -> None:
    run = built(tmp_path / "run", target="file")
    nameless = Reply(headers={"x-goog-upload-status": "final"})
    with google(answers={"POST /session": [unanswered(), nameless]}) as service:
        file = service.add_file(display_name(run), run.requests_path("00000").read_bytes())
        bk.submit(run, client=service.client())
    uploaded = run.attempts()[0].last("uploaded")
    assert uploaded is not None
    assert uploaded.content["file"] == file


@pytest.mark.parametrize(
    "status, error",
    [(400, InvalidRequestError), (403, NotAuthorisedError), (404, NotFoundError)],
)
def test_a_refusal_is_a_fact_and_the_shards_before_it_keep_their_jobs(
    tmp_path: Path, status: int, error: type[Exception]
) -> None:
    run = built(tmp_path / "run", shards=3)
    with google() as service:
        service.answers[CREATE] = [None, refusal(status, "not so")]
        with pytest.raises(error, match="not so"):
            bk.submit(run, client=service.client())
        stages = [attempt.stage for attempt in run.attempts()]
        assert stages == ["running", "unsent", "unsent"]
        assert bk.submit(run, client=service.client()).is_complete
        assert len(service.jobs) == 3
    assert facts(run, 1) == ["intent", "refused", "intent", "created"]


def test_jobs_are_listed_once_for_all_shards_that_were_never_sent(tmp_path: Path) -> None:
    run = built(tmp_path / "run", shards=20)
    with google() as service:
        bk.submit(run, client=service.client())
        assert len(service.asked("GET", "/v1beta/batches?")) == 1
        bk.submit(run, client=service.client())
        assert len(service.asked("GET", "/v1beta/batches?")) == 1


def test_an_answer_without_a_job_is_no_answer(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    with google(answers={CREATE: [Reply(body=b"<html>busy</html>")]}) as service:
        bk.submit(run, client=service.client(), settle_seconds=0.05)
        assert len(service.jobs) == 1
    assert facts(run) == ["intent", "intent", "created"]


def everything_said(run: bk.Run, told: list[Event], error: Exception) -> str:
    written = [path.read_bytes().decode(errors="replace") for path in files_of(run.folder)]
    return "\n".join([*written, *map(repr, told), str(error), repr(error), repr(vars(error))])


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("target", ["inline", "file"])
def test_no_secret_is_written_or_said_when_things_go_wrong(
    tmp_path: Path, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = built(tmp_path / "run", target=target)
    told: list[Event] = []
    caplog.set_level("DEBUG")
    with google() as service:
        service.answers["POST /session"] = [unanswered(), refusal(500, "oops"), unanswered()]
        service.answers[CREATE] = [unanswered(), refusal(500, "oops"), refusal(400, "not so")]
        with pytest.raises(InvalidRequestError) as caught:
            bk.submit(run, client=service.client(), settle_seconds=0, progress=told.append)
    assert facts(run)[-1] == "refused"
    everything = everything_said(run, told, caught.value) + caplog.text
    assert API_KEY not in everything
    assert UPLOAD_SECRET not in everything


def test_a_key_that_the_service_repeats_is_not_written_down(tmp_path: Path) -> None:
    key = "AIzaSyA0123456789abcdefghijklmnopqrstuv"
    run = built(tmp_path / "run")
    with google(answers={CREATE: [refusal(400, f"API key {key} has expired")]}) as service:
        client = bk.Gemini(key, base_url=service.server.url)
        with pytest.raises(InvalidRequestError, match="has expired") as caught:
            bk.submit(run, client=client)
    assert key not in everything_said(run, [], caught.value)


def test_another_account_is_refused_while_an_intent_is_open_and_welcome_afterwards(
    tmp_path: Path,
) -> None:
    run = built(tmp_path / "run")
    with google() as service:
        intend(run, service.client(), seconds_ago=100_000)
        other = bk.Gemini("another-key", base_url=service.server.url)
        with pytest.raises(AccountChangedError, match=r"shard 00000 .* with another API key"):
            bk.submit(run, client=other)
        assert service.server.asked == []
        bk.submit(run, client=service.client())
        service.end("batches/j0", output=answered_lines(["k0"]))
        bk.wait(run, client=service.client())
        assert bk.submit(run, client=other).is_complete
        assert bk.collect(run, client=other).tally()["ok"] == 1


def test_the_same_key_at_another_address_is_another_account(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    with google() as service:
        bk.submit(run, client=service.client())
        port = service.server.url.rpartition(":")[2]
        other = bk.Gemini(API_KEY, base_url=f"http://localhost:{port}")
        with pytest.raises(AccountChangedError):
            bk.wait(run, client=other)
