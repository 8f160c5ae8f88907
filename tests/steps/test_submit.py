from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

import batchkit as bk
from batchkit.emulator import Clock, Limits, serve
from batchkit.errors import (
    AccountChangedError,
    NotFoundError,
    RunDirectoryError,
    ServiceFailureError,
    TooLargeError,
)
from tests.conftest import Service, quick_client
from tests.scripted import Said as Reply
from tests.scripted import scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def built(folder: Path, rows: int = 6, *, target: str = "file", spec: bk.Spec = SPEC) -> bk.Run:
    table = [{"id": f"k{i}", "text": "hello"} for i in range(rows)]
    return bk.build(table, spec, key="id", into=folder, target=target, limits={"max_rows": 2})


def stages(run: bk.Run) -> list[str]:
    return [attempt.stage for attempt in run.attempts()]


def facts(run: bk.Run, shard: int = 0) -> list[str]:
    return [fact.kind for fact in run.attempts()[shard].facts]


@pytest.mark.parametrize("target", ["inline", "file"])
def test_every_shard_gets_one_job_and_a_second_submit_sends_nothing(
    tmp_path: Path, service: Service, target: str
) -> None:
    run = built(tmp_path / "run", target=target)
    first = bk.submit(run, client=service.client)
    assert (first.sent, first.total, first.is_complete) == (3, 3, True)
    second = bk.submit(str(run.folder), client=service.client)
    assert second.is_complete
    assert stages(run) == ["running"] * 3
    assert len(list(service.client.batches.list_all())) == 3


def test_a_job_is_named_after_run_shard_attempt_and_content(
    tmp_path: Path, service: Service
) -> None:
    run = built(tmp_path / "run", rows=2)
    bk.submit(run, client=service.client)
    shard = run.shards.shards[0]
    (job,) = service.client.batches.list_all()
    assert job.display_name == f"batchkit-{run.definition.id}-00000-1-{shard.sha256[:12]}"


def lose_reply_to(effect: str, times: int = 1) -> Callable[[str, str], None]:
    """The effect happens, and the connection breaks before the reply."""
    left = [times]

    def cut(kind: str, _: str) -> None:
        if kind == effect and left[0]:
            left[0] -= 1
            raise ConnectionError

    return cut


@pytest.mark.parametrize("target", ["inline", "file"])
def test_a_create_whose_reply_is_lost_is_found_again_and_not_repeated(
    tmp_path: Path, target: str
) -> None:
    with serve(on_effect=lose_reply_to("batch.created")) as emulator:
        run = built(tmp_path / "run", target=target)
        bk.submit(run, client=quick_client(emulator), settle_seconds=0.2)
        assert emulator.stats()["jobs"] == {"BATCH_STATE_SUCCEEDED": 3}
        bk.wait(run, client=quick_client(emulator), poll_seconds=0.01)
        assert set(emulator.stats()["requests"].values()) == {1}
    assert facts(run)[-3:] == ["adopted", "ended", "fetched"]


def test_an_upload_whose_replies_are_lost_is_not_left_behind(tmp_path: Path) -> None:
    with serve(on_effect=lose_reply_to("file.created", times=3)) as emulator:
        run = built(tmp_path / "run")
        bk.submit(run, client=quick_client(emulator), settle_seconds=0.2)
        names = [file.display_name for file in quick_client(emulator).files.list_all()]
        uploads = [name for name in names if name and name.startswith("batchkit-")]
        assert len(uploads) == len(set(uploads)) == 3


def test_a_service_that_fails_every_create_leaves_an_intent_that_a_later_submit_settles(
    tmp_path: Path,
) -> None:
    run = built(tmp_path / "run", rows=2, target="inline")
    with scripted(lambda asked: Reply(200 if asked.method == "GET" else 503)) as server:
        failing = bk.Gemini("emulator-key", base_url=server.url)
        with pytest.raises(ServiceFailureError, match="run the same command again"):
            bk.submit(run, client=failing, settle_seconds=0)
    assert stages(run) == ["sending"]
    assert facts(run) == ["intent"] * 3
    with serve() as emulator:
        bk.submit(run, client=quick_client(emulator), settle_seconds=0)
        assert sum(emulator.stats()["jobs"].values()) == 1


def test_a_service_that_is_not_there_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    run = built(tmp_path / "run", rows=2)
    impatient = bk.Retries(first_seconds=0.01, longest_seconds=0.01, total_seconds=0.05)
    dead = bk.Gemini("emulator-key", base_url="http://127.0.0.1:9", retries=impatient)
    with pytest.raises(ServiceFailureError, match="run the same command again"):
        bk.submit(run, client=dead)
    assert facts(run) == []


def test_shards_the_service_does_not_take_yet_are_held_and_said_so(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    limits = Limits(concurrent_jobs=2)
    with serve(limits=limits, job_seconds=60, clock=Clock(start())) as emulator:
        client = quick_client(emulator)
        first = bk.submit(run, client=client)
        assert (first.sent, first.total, first.is_complete) == (2, 3, False)
        assert "concurrent" in str(first.held)
        assert stages(run) == ["running", "running", "unsent"]
        emulator.clock.advance(61)
        assert bk.submit(run, client=client).is_complete
        emulator.clock.advance(61)
        bk.wait(run, client=client, poll_seconds=0.01)
        assert emulator.stats()["requests"] == {f"k{i}": 1 for i in range(6)}
    assert facts(run, 2).count("uploaded") == 1  # the upload of the refused try is used again


def start() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_an_upload_about_to_expire_is_not_relied_on(tmp_path: Path) -> None:
    run = built(tmp_path / "run", rows=4)
    old = Clock(start() - dt.timedelta(hours=47, minutes=30))  # uploads have half an hour left
    with serve(limits=Limits(concurrent_jobs=1), job_seconds=60, clock=old) as emulator:
        client = quick_client(emulator)
        assert not bk.submit(run, client=client).is_complete
        old.advance(61)
        assert bk.submit(run, client=client).is_complete
    assert facts(run, 1) == ["intent", "uploaded", "refused", "intent", "uploaded", "created"]
    uploads = [fact.content["file"] for fact in run.attempts()[1].facts if fact.kind == "uploaded"]
    assert len(set(uploads)) == 2


def test_a_refusal_is_raised_with_its_reason_and_the_run_stays_as_it_is(
    tmp_path: Path, service: Service
) -> None:
    run = built(tmp_path / "run", rows=2, spec=bk.generate("gemini-none", "{text}"))
    with pytest.raises(NotFoundError, match="gemini-none"):
        bk.submit(run, client=service.client)
    assert facts(run) == ["intent", "uploaded", "refused"]
    assert stages(run) == ["unsent"]
    assert run.attempts()[0].facts[-1].content["status"] == 404


def test_another_account_is_refused_while_jobs_are_under_way(tmp_path: Path) -> None:
    run = built(tmp_path / "run", rows=2)
    with serve(job_seconds=60) as emulator:
        bk.submit(run, client=quick_client(emulator))
        other = bk.Gemini("another-key", base_url=emulator.url)
        for step in (bk.submit, bk.wait, bk.collect):
            with pytest.raises(AccountChangedError, match="another API key"):
                step(run, client=other)


def test_no_key_is_written_anywhere_in_the_run_directory(tmp_path: Path, service: Service) -> None:
    run = built(tmp_path / "run")
    bk.submit(run, client=service.client)
    bk.wait(run, client=service.client, poll_seconds=0.01)
    bk.collect(run).to_parquet()
    secret = service.emulator.api_key.encode()
    holders = [p for p in run.folder.rglob("*") if p.is_file() and secret in p.read_bytes()]
    assert holders == []


def test_shards_too_large_for_the_target_are_refused_before_any_is_sent(
    tmp_path: Path, service: Service
) -> None:
    table = [{"text": "x" * 3_000}] * 3
    limits = {"max_inline_bytes": 2_000}
    run = bk.build(table, SPEC, into=tmp_path / "run", limits=limits, target="file")
    with pytest.raises(TooLargeError, match="inline takes 2,000"):
        bk.submit(run, client=service.client, target="inline")
    assert stages(run) == ["unsent"]


def test_a_run_that_is_not_built_to_the_end_cannot_be_sent(tmp_path: Path) -> None:
    run = built(tmp_path / "run")
    (run.folder / "shards.json").unlink()
    with pytest.raises(RunDirectoryError, match="run the same build again"):
        bk.submit(run.folder)


def test_room_for_files_that_is_full_says_what_makes_room_and_the_run_goes_on_then(
    tmp_path: Path,
) -> None:
    size = sum(shard.bytes for shard in built(tmp_path / "run").shards.shards)
    with serve(limits=Limits(storage_bytes=100_000)) as emulator:
        client = quick_client(emulator)
        other = built(tmp_path / "other", rows=60)
        bk.submit(other, client=client)
        bk.wait(other, client=client, poll_seconds=0.01)
        client.files.upload(b"x" * (100_001 - emulator.stats()["bytes"] - size))
        run = bk.open_run(tmp_path / "run")
        with pytest.raises(TooLargeError, match="`batchkit clean RUN` deletes those of a run"):
            bk.submit(run, client=client)
        bk.clean(other, dry_run=False, client=client)
        assert bk.submit(run, client=client).is_complete
        bk.wait(run, client=client, poll_seconds=0.01)
        assert bk.collect(run).tally()["ok"] == 6
