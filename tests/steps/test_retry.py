from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.emulator import AnswerError, Clock, JobFault, Limits, RowFault, echo, serve
from batchkit.errors import InvalidRequestError, RunDirectoryError, RunHeldError, SetupError
from tests.conftest import Service, quick_client, quick_vertex
from tests.google import Google, refusal
from tests.scripted import scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator import Emulator
    from tests.scripted import Asked, Said

SPEC = bk.generate("gemini-3.8-flash", "{text}")


@dataclass
class Moody:
    """A model that does what the prompt says, the first word until it was said so often."""

    asked: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, _: Any, __: str, request: dict[str, Any]) -> dict[str, Any]:
        text: str = request["contents"][0]["parts"][0]["text"]
        self.asked[text] += 1
        mood, _, times = text.partition(" ")[0].partition("*")
        return self.answer(mood if self.asked[text] <= int(times or 99) else "fine", request)

    def answer(self, mood: str, request: dict[str, Any]) -> dict[str, Any]:
        match mood:
            case "busy":
                raise AnswerError(14, "try again")
            case "wrong":
                raise AnswerError(3, "the request is wrong")
            case "setup":
                raise AnswerError(9, "Service agents are being provisioned. Try again later.")
            case "blocked":
                return {"promptFeedback": {"blockReason": "SAFETY"}}
            case "empty":
                return {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}
            case "garbled":
                return {"candidates": [{"finishReason": "MALFORMED_RESPONSE"}]}
            case "odd":
                return {"candidates": [{"content": {}, "finishReason": "OTHER"}]}
            case _:
                return echo("generate", "gemini-3.8-flash", request)


@dataclass(frozen=True)
class World:
    """A moody service, and runs of texts on it."""

    folder: Path
    emulator: Emulator
    client: bk.Gemini
    model: Moody

    def build(self, texts: list[str], **options: Any) -> bk.Run:
        table = [{"id": f"k{i}", "text": text} for i, text in enumerate(texts)]
        options = {"target": "file", "key": "id", "into": self.folder / "run", **options}
        return bk.build(table, options.pop("spec", SPEC), **options)

    def go(self, run: bk.Run) -> bk.Results:
        """Submit, wait and collect."""
        bk.submit(run, client=self.client)
        bk.wait(run, client=self.client, poll_seconds=0.01)
        return bk.collect(run, client=self.client)

    def paid(self) -> dict[str, int]:
        return self.emulator.stats()["requests"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    model = Moody()
    with serve(answerer=model) as emulator:
        yield World(tmp_path, emulator, quick_client(emulator), model)


def statuses(results: bk.Results) -> list[str]:
    return results.to_arrow().column("status").to_pylist()


def audit(run: bk.Run) -> dict[str, Any]:
    return jsonl.loads((run.folder / "audit.json").read_bytes())


MIXED = ["fine", "busy*1", "wrong", "blocked", "empty*2", "garbled*1", "odd", "setup*2", "busy"]


def test_exactly_the_rows_that_deserve_it_are_asked_again_and_again(world: World) -> None:
    run = world.build([f"{mood} {i}" for i, mood in enumerate(MIXED * 4)], limits={"max_rows": 10})
    world.go(run)
    first = bk.retry(run)
    assert first.asked == {"error": 12, "empty": 4, "malformed": 4}
    assert first.left == {"final": 12}
    results = world.go(run)
    second = bk.retry(run)
    assert second.asked == {"error": 8, "empty": 4}
    results = world.go(run)
    assert statuses(results) == 4 * [
        *("ok", "ok", "error", "blocked", "ok", "ok", "error", "ok", "error"),
    ]
    assert world.paid() == {
        f"k{i}": {"busy*1": 2, "garbled*1": 2, "empty*2": 3, "setup*2": 3, "busy": 3}.get(mood, 1)
        for i, mood in enumerate(MIXED * 4)
    }
    third = bk.retry(run)
    assert (third.rows, third.shards, third.left) == (0, 0, {"exhausted": 4, "final": 12})


def test_the_audit_counts_each_repeat_and_what_each_time_of_asking_cost(world: World) -> None:
    run = world.build(["fine a", "busy*1 b", "busy*2 c", "wrong d"], limits={"max_rows": 2})
    world.go(run)
    for _ in range(2):
        bk.retry(run)
        world.go(run)
    said = audit(run)
    assert (said["jobs"], said["requests"], said["repeats"]) == (5, 4, 3)
    assert [(each["requests"], each["ok"]) for each in said["attempts"]] == [(4, 1), (2, 1), (1, 1)]
    table = bk.collect(run).to_arrow()
    tokens = table.column("total_tokens").to_pylist()
    assert [each["total_tokens"] for each in said["attempts"]] == tokens[:3]
    assert said["lines"] == {"joined": 7}


def test_requests_are_the_very_lines_of_the_shard_and_rows_are_named_beside_them(
    world: World,
) -> None:
    run = world.build(["fine", "busy é\u2028", "wrong", "empty"])
    world.go(run)
    bk.retry(run)
    lines = run.requests_path("00000").read_bytes().split(b"\n")
    assert run.requests_path("00000-2").read_bytes().split(b"\n") == [lines[1], lines[3], b""]
    rows = pq.read_table(run.rows_path("00000-2"))
    assert rows.column("row").to_pylist() == [1, 3]
    assert rows.column("wire_key").to_pylist() == ["k1", "k3"]
    built = run.attempts()[1].facts[0]
    assert (built.kind, built.content["statuses"]) == ("built", {"error": 1, "empty": 1})


def test_a_row_whose_answer_is_awaited_is_pending_and_never_asked(tmp_path: Path) -> None:
    with serve(job_seconds=60, clock=Clock(), answerer=Moody()) as emulator:
        world = World(tmp_path, emulator, quick_client(emulator), Moody())
        run = world.build(["busy a", "fine b", "busy c"], limits={"max_rows": 2})
        bk.submit(run, client=world.client)
        assert bk.retry(run, client=world.client).rows == 0  # jobs run
        emulator.clock.advance(61)
        assert bk.retry(run, client=world.client).rows == 2  # what has come back is collected
        assert (run.tally()["ok"], run.tally()["pending"]) == (1, 2)
        assert bk.retry(run).rows == 0  # built, and not sent
        bk.submit(run, client=world.client)
        assert bk.retry(run, client=world.client).rows == 0  # under way
        assert not audit(run)["is_complete"]
        early = bk.collect(run, client=world.client)
        assert statuses(early) == ["pending", "ok", "pending"]
        emulator.clock.advance(61)
        assert bk.retry(run, client=world.client).rows == 2
        assert world.paid() == {"k0": 2, "k1": 1, "k2": 2}


def test_the_first_ok_stays_whatever_comes_later(world: World) -> None:
    run = world.build(["busy*1 a", "fine b"], provenance=True)
    world.go(run)
    bk.retry(run)
    rows = world.go(run).to_arrow().to_pylist()
    assert [row["attempt"] for row in rows] == [2, 1]
    jobs = [attempt.job for attempt in run.attempts()]
    assert [row["job"] for row in rows] == [jobs[1], jobs[0]]
    bk.retry(run)
    assert world.go(run).to_arrow().to_pylist() == rows


def test_truncated_rows_are_asked_again_with_a_raised_limit_only(world: World) -> None:
    spec = bk.generate("gemini-3.8-flash", "{text}", config={"maxOutputTokens": 2})
    run = world.build(["a " * 20, "ok"], spec=spec, provenance=True, raw=True)
    before = world.go(run).to_arrow().to_pylist()
    assert [row["status"] for row in before] == ["truncated", "ok"]
    for limit in (None, 1, 2):
        again = bk.retry(run, max_output_tokens=limit)
        assert (again.rows, again.left) == (0, {"final": 1})
    assert bk.retry(run, max_output_tokens=4).asked == {"truncated": 1}
    assert statuses(world.go(run)) == ["truncated", "ok"]
    assert bk.retry(run, max_output_tokens=4).left == {"final": 1}
    assert bk.retry(run, max_output_tokens=500).asked == {"truncated": 1}
    after = world.go(run).to_arrow().to_pylist()
    assert [row["status"] for row in after] == ["ok", "ok"]
    (line,) = run.requests_path("00000-3").read_bytes().split(b"\n")[:-1]
    assert after[0]["request_hash"] == run.definition.dialect.hash(line)
    assert after[0]["request_hash"] != before[0]["request_hash"]
    assert after[1] == before[1]
    assert jsonl.loads(line)["request"]["generationConfig"] == {"maxOutputTokens": 500}


def test_a_raised_limit_goes_where_the_user_wrote_it(world: World) -> None:
    lines = [
        {"key": "a", "request": {"generation_config": {"max_output_tokens": 2}}},
        {"key": "b", "request": {"generationConfig": {"maxOutputTokens": 2, "topK": 1}}},
    ]
    for line in lines:
        line["request"]["contents"] = [{"role": "user", "parts": [{"text": "x " * 30}]}]
    path = world.folder / "requests.jsonl"
    path.write_bytes(b"".join(jsonl.dumps(line) + b"\n" for line in lines))
    run = bk.build(path, None, model="gemini-3.8-flash", into=world.folder / "r", target="file")
    assert statuses(world.go(run)) == ["truncated", "truncated"]
    bk.retry(run, max_output_tokens=900)
    sent = run.requests_path("00000-2").read_bytes().split(b"\n")[:-1]
    configs = [jsonl.loads(line)["request"] for line in sent]
    assert configs[0]["generation_config"] == {"max_output_tokens": 900}
    assert configs[1]["generationConfig"] == {"maxOutputTokens": 900, "topK": 1}
    assert statuses(world.go(run)) == ["ok", "ok"]


def test_a_failed_row_that_is_asked_beside_raised_ones_keeps_its_limit(world: World) -> None:
    spec = bk.generate("gemini-3.8-flash", "{text}", config={"maxOutputTokens": 2})
    run = world.build(["a " * 20, "busy*1 " + "b " * 20], spec=spec)
    world.go(run)
    assert bk.retry(run, max_output_tokens=500).shards == 2
    assert statuses(world.go(run)) == ["ok", "truncated"]
    assert bk.retry(run, max_output_tokens=500).asked == {"truncated": 1}
    assert statuses(world.go(run)) == ["ok", "ok"]


@pytest.mark.parametrize("end", ["expired", "cancelled", "deleted"])
def test_what_a_stopped_job_left_unanswered_goes_into_smaller_shards(
    tmp_path: Path, end: str
) -> None:
    with serve(clock=Clock(), job_seconds=1e9) as emulator:
        world = World(tmp_path, emulator, quick_client(emulator), Moody())
        run = world.build([f"t{i}" for i in range(10)])
        bk.submit(run, client=world.client)
        name = run.attempts()[0].job or ""
        if end == "expired":
            emulator.clock.advance(49 * 3600)
        elif end == "cancelled":
            world.client.batches.cancel(name)
        else:
            world.client.batches.delete(name)
        again = bk.retry(run, limits={"max_rows": 4}, client=world.client)
        assert (again.asked, again.shards) == ({"missing": 10}, 3)
        assert [shard.requests for shard, _ in run.asked()] == [10, 4, 4, 2]
    with serve() as emulator:  # another service, which is quick
        client = quick_client(emulator)
        bk.submit(run, client=client)
        bk.wait(run, client=client, poll_seconds=0.01)
        assert bk.collect(run, client=client).tally()["ok"] == 10
        assert set(emulator.stats()["requests"].values()) == {1}


def test_bytes_cut_what_is_asked_again_too(world: World) -> None:
    run = world.build(["busy " + "x" * 1_000 for _ in range(5)])
    world.go(run)
    assert bk.retry(run, limits={"max_bytes": 2_500}).shards == 3
    assert [shard.requests for shard, _ in run.asked()] == [5, 2, 2, 1]
    assert all(shard.bytes <= 2_500 for shard, _ in list(run.asked())[1:])


def bisected(world: World, run: bk.Run, most: int = 20) -> int:
    """Retry with bisection until nothing is left to ask; how many rounds it took."""
    for rounds in range(most):
        if not bk.retry(run, bisect=True, client=world.client).rows:
            return rounds
        world.go(run)
    raise AssertionError


@pytest.mark.parametrize("bad", [[5], [0], [15], [3, 4], [0, 15]])
def test_a_job_that_failed_for_bad_lines_is_halved_until_they_stand_alone(
    tmp_path: Path, bad: list[int]
) -> None:
    with serve(limits=Limits(line_bytes=1_000)) as emulator:
        world = World(tmp_path, emulator, quick_client(emulator), Moody())
        run = world.build(["x" * 2_000 if i in bad else "fine" for i in range(16)])
        world.go(run)
        assert bk.retry(run).left == {"refused": 16}
        assert bisected(world, run) == 4
        results = bk.collect(run, client=world.client)
        assert statuses(results) == ["error" if i in bad else "ok" for i in range(16)]
        assert bk.retry(run).left == {"final": len(bad)}
        assert world.paid() == {f"k{i}": 1 for i in range(16) if i not in bad}
        said = audit(run)
        assert said["attempts"][0]["requests"] == 16 - len(bad)
        assert len(said["attempts"]) == 1  # who was refused with all others was not asked
        assert said["jobs"] == len(run.attempts())


class Picky(Google):
    """A service that makes no job of requests with a poisoned one, and answers others at once."""

    def __call__(self, asked: Asked) -> Said:
        is_create = asked.method == "POST" and "/models/" in asked.path
        if is_create and b"poison" in asked.body:
            return refusal(400, "a request is poisoned", "INVALID_ARGUMENT")
        said = super().__call__(asked)
        if is_create:
            requests = asked.json()["batch"]["inputConfig"]["requests"]["requests"]
            content = {"role": "model", "parts": [{"text": "hello"}]}
            answer = {"candidates": [{"content": content, "finishReason": "STOP"}]}
            metadata = self.jobs[list(self.jobs)[-1]]["metadata"]
            metadata["state"] = "BATCH_STATE_SUCCEEDED"
            answers = [{"metadata": r["metadata"], "response": answer} for r in requests]
            metadata["output"] = {"inlinedResponses": {"inlinedResponses": answers}}
        return said


def test_a_create_that_was_refused_is_halved_until_the_bad_rows_stand_alone(
    tmp_path: Path,
) -> None:
    service = Picky()
    with scripted(service) as server:
        service.server = server
        client = service.client()
        table = [{"id": i, "text": "poison" if i in {2, 6} else "fine"} for i in range(8)]
        run = bk.build(table, SPEC, key="id", into=tmp_path / "run", target="inline")
        with pytest.raises(InvalidRequestError, match="a request is poisoned"):
            bk.submit(run, client=client)
        assert bk.retry(run).rows == 0  # not asked to bisect, it stays to be sent
        assert run.tally()["pending"] == 8
        rounds = 0
        while bk.retry(run, bisect=True, client=client).rows:
            submission = bk.submit(run, client=client)
            assert submission.is_complete
            bk.wait(run, client=client, poll_seconds=0.01)
            rounds += 1
        assert rounds == 3
        rows = bk.collect(run, client=client).to_arrow().to_pylist()
    assert [row["id"] for row in rows if row["status"] == "error"] == [2, 6]
    assert run.tally()["ok"] == 6
    assert rows[2]["error_code"] == "INVALID_ARGUMENT"
    assert "was refused as a whole: a request is poisoned" in rows[2]["error_message"]
    assert audit(run)["jobs"] == len(service.jobs)
    assert audit(run)["attempts"][0]["requests"] == 6


def test_a_refusal_that_is_not_about_the_requests_is_not_bisected(tmp_path: Path) -> None:
    service = Google(
        answers={"POST /v1beta/models/": [refusal(400, "bad key", "FAILED_PRECONDITION")]}
    )
    with scripted(service) as server:
        service.server = server
        run = bk.build([{"text": "x"}] * 2, SPEC, into=tmp_path / "run", target="inline")
        with pytest.raises(InvalidRequestError):
            bk.submit(run, client=service.client())
        assert bk.retry(run, bisect=True, client=service.client()).rows == 0
        assert run.tally()["pending"] == 2
        assert bk.submit(run, client=service.client()).is_complete


def test_a_half_that_is_refused_for_something_else_stays_to_be_sent(tmp_path: Path) -> None:
    refusals = [refusal(400, "x", "INVALID_ARGUMENT"), refusal(400, "y", "FAILED_PRECONDITION")]
    service = Google(answers={"POST /v1beta/models/": [*refusals]})
    with scripted(service) as server:
        service.server = server
        client = service.client()
        run = bk.build([{"text": "x"}] * 2, SPEC, into=tmp_path / "run", target="inline")
        with pytest.raises(InvalidRequestError, match="x"):
            bk.submit(run, client=client)
        assert bk.retry(run, bisect=True, client=client).shards == 2
        with pytest.raises(InvalidRequestError, match="y"):
            bk.submit(run, client=client)
        assert run.tally()["pending"] == 2
        assert bk.submit(run, client=client).sent == 2
        assert len(service.jobs) == 2


def test_a_copy_of_a_run_that_asks_the_same_again_takes_the_job_of_the_other(world: World) -> None:
    run = world.build(["busy*1 a", "fine b"])
    world.go(run)
    copy = bk.open_run(shutil.copytree(run.folder, world.folder / "copy"))
    for each in (run, copy):
        assert bk.retry(each).rows == 1
        assert world.go(each).tally()["ok"] == 2
    assert world.paid() == {"k0": 2, "k1": 1}
    kinds = [fact.kind for fact in copy.attempts()[1].facts]
    assert kinds == ["built", "intent", "adopted", "ended", "fetched"]


def test_of_two_retries_at_once_the_second_is_told_of_the_first(world: World) -> None:
    run = world.build(["busy"])
    world.go(run)
    with run.hold(), pytest.raises(RunHeldError):
        bk.retry(bk.open_run(run.folder))


def test_requests_that_were_edited_are_not_asked_again(world: World) -> None:
    run = world.build(["busy", "fine"])
    world.go(run)
    path = run.requests_path("00000")
    path.write_bytes(path.read_bytes().replace(b"busy", b"rude"))
    with pytest.raises(RunDirectoryError, match="not those that were built"):
        bk.retry(run)
    assert len(run.attempts()) == 1


def test_files_of_a_retry_that_was_killed_before_its_fact_are_swept(world: World) -> None:
    run = world.build(["busy", "fine", "busy"])
    world.go(run)
    for path in (run.requests_path("00000"), run.rows_path("00000")):
        shutil.copy(path, path.with_stem("00000-2"))
        shutil.copy(path, path.with_stem("00000-7"))
    (run.folder / "requests" / "notes-of-mine.txt").touch()
    assert bk.retry(run).rows == 2
    names = sorted(path.name for path in (run.folder / "requests").iterdir())
    assert names == ["00000-2.jsonl", "00000.jsonl", "notes-of-mine.txt"]
    assert world.go(run).tally()["error"] == 2


@pytest.mark.parametrize("terms", [{"max_attempts": 0}, {"max_output_tokens": 0}])
def test_terms_that_make_no_sense_are_refused(world: World, terms: dict[str, int]) -> None:
    run = world.build(["busy"])
    with pytest.raises(SetupError, match=next(iter(terms))):
        bk.retry(run, **terms)
    with pytest.raises(SetupError, match="there is no most_rows"):
        bk.retry(run, limits={"most_rows": 5})


def test_a_run_where_all_is_well_asks_nothing(tmp_path: Path, service: Service) -> None:
    results = bk.run([{"text": "x"}], SPEC, into=tmp_path / "run", client=service.client)
    again = bk.retry(results.run)
    assert (again.rows, again.shards, again.asked, again.left) == (0, 0, {}, {})
    assert bk.retry(str(results.run.folder)) == again


@pytest.mark.parametrize("labels", [True, False])
def test_what_a_job_answered_before_it_expired_counts_and_the_rest_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, labels: bool
) -> None:
    def vertex(emulator: Emulator) -> bk.Vertex:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        return quick_vertex()

    table = [{"id": f"k{i}", "text": f"text {i % 7}"} for i in range(20)]
    places: dict[str, Any] = {"target": "gs://bucket/here", "labels": labels}
    run = bk.build(table, SPEC, key="id", into=tmp_path / "run", **places)
    slow = {"clock": Clock(), "job_seconds": 60 * 3_600}  # and a job may run for 24 hours
    with serve(buckets=["bucket"], **slow) as emulator:
        client = vertex(emulator)
        bk.submit(run, client=client)
        emulator.clock.advance(25 * 3_600)
        again = bk.retry(run, limits={"max_rows": 5}, client=client)
    assert (again.asked, again.shards) == ({"missing": 12}, 3)
    assert (run.tally()["ok"], run.tally()["pending"]) == (8, 12)
    with serve(buckets=["bucket"]) as emulator:
        client = vertex(emulator)
        bk.submit(run, client=client)
        bk.wait(run, client=client, poll_seconds=0.01)
        rows = bk.collect(run, client=client).to_arrow().to_pylist()
        assert sum(emulator.stats()["requests"].values()) == 12
    assert [row["response"] for row in rows] == [f"Echo: text {i % 7}" for i in range(20)]


def requests_of(folder: Path) -> dict[str, tuple[bytes, list[int]]]:
    """What each request file holds, and its rows."""
    return {
        path.stem: (
            path.read_bytes(),
            pq.read_table(folder / "rows" / f"{path.stem}.parquet").column("row").to_pylist(),
        )
        for path in (folder / "requests").iterdir()
    }


@pytest.mark.parametrize("facts", range(1, 8))
def test_a_retry_that_stops_after_any_fact_and_is_repeated_builds_the_same(
    tmp_path: Path, facts: int
) -> None:
    texts = ["x" * 2_000, "a", "b", *["busy"] * 3, *["w " * 20] * 2, *["busy"] * 2, "busy"]
    spec = bk.generate("gemini-3.8-flash", "{text}", config={"maxOutputTokens": 4})
    with serve(limits=Limits(line_bytes=1_000), answerer=Moody()) as emulator:
        world = World(tmp_path, emulator, quick_client(emulator), Moody())
        run = world.build(texts, spec=spec, limits={"max_rows": 3})
        world.go(run)
    assert [len(rows) for _, rows in requests_of(run.folder).values()] == [3, 3, 3, 2]
    terms: dict[str, Any] = {
        "bisect": True,
        "max_output_tokens": 900,
        "limits": {"max_rows": 2},
    }
    whole = shutil.copytree(run.folder, tmp_path / "whole")
    assert bk.retry(whole, **terms).shards == 7
    left = facts

    def stop(_: Any, __: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bk.retry(bk.Run(run.folder, observe=[stop]), **terms)
    again = bk.retry(run.folder, **terms)
    assert again.shards == 7 - facts
    assert requests_of(run.folder) == requests_of(whole)
    assert bk.open_run(run.folder).tally() == bk.open_run(whole).tally()
    assert bk.retry(run.folder, **terms).rows == 0


def test_what_a_stopped_job_left_unanswered_is_asked_in_jobs_of_half_its_size(
    tmp_path: Path,
) -> None:
    faults = [JobFault("expire", times=3)]
    with serve(answerer=Moody(), faults=faults) as emulator:
        world = World(tmp_path, emulator, quick_client(emulator), Moody())
        run = world.build(["fine"] * 9)
        for sizes in ([5, 4], [3, 2, 2, 2]):
            world.go(run)
            before = len(run.attempts())
            assert bk.retry(run).rows == 9
            assert [shard.requests for shard, _ in run.asked()][before:] == sizes
        assert world.go(run).tally()["ok"] == 9
        assert set(world.paid().values()) == {1}  # the Developer API took the others, unpaid


def owed(results: bk.Results) -> set[str]:
    """The keys of the rows that deserve to be asked again, by the table in docs/retry.md."""
    return {
        row["id"]
        for row in results.to_arrow().to_pylist()
        if row["status"] in {"missing", "empty", "malformed"}
        or (row["status"] == "error" and row["error_code"] in {"UNAVAILABLE", "INTERNAL"})
    }


def test_thirty_percent_failing_in_all_ways_are_asked_again_twice_and_tokens_reported(
    world: World,
) -> None:
    kinds: list[Any] = ["drop", "break", "empty", "block", "truncate"]
    faults = [RowFault(kind, share=0.05, times=2) for kind in kinds]
    errors = [RowFault("error", share=0.025, code=code, times=2) for code in (14, 3)]
    world.emulator.inject(*faults, *errors)
    run = world.build([f"fine {i}" for i in range(200)])
    keys = {f"k{i}" for i in range(200)}
    asked: Counter[str] = Counter(keys)
    rounds = [200]
    results = world.go(run)
    tally = results.tally()
    assert sum(count for status, count in tally.items() if status != "ok") == 60
    for _ in range(2):
        expected = owed(results)
        assert bk.retry(run).rows == len(expected) > 0
        rounds.append(len(expected))
        asked.update(expected)
        results = world.go(run)
    assert owed(results) == set()
    assert world.paid() == asked
    assert bk.retry(run).left == {"final": 200 - results.tally()["ok"]}
    spent = audit(run)["attempts"]
    assert [each["requests"] for each in spent] == rounds
    for number, each in enumerate(spent, start=1):
        path = run.folder / "responses" / f"00000-{number}.jsonl"
        said = bk.read_responses(path).to_pylist()
        read = [row["total_tokens"] or 0 for row in said if row["key"] in keys]
        assert each["total_tokens"] == sum(read) > 0


def too_large(emulator: Emulator, client: bk.Gemini, folder: Path, rows: int = 8) -> bk.Run:
    """A run of one shard that the service has no room for."""
    world = World(folder, emulator, client, Moody())
    run = world.build(["x" * 50] * rows)
    assert bk.submit(run, client=client).held
    return run


def test_a_shard_that_is_too_large_to_be_taken_is_cut_on_request_until_its_parts_are(
    tmp_path: Path,
) -> None:
    with serve(limits=Limits(enqueued_tokens=50)) as emulator:
        client = quick_client(emulator)
        run = too_large(emulator, client, tmp_path)
        assert bk.retry(run).rows == 0  # not asked to, it stays to be sent
        assert run.tally()["pending"] == 8
        for sizes in ([4, 4], [2, 2, 2, 2]):
            before = len(run.attempts())
            again = bk.retry(run, recut=True, client=client)
            assert again.asked == {"missing": sum(sizes)}
            assert [shard.requests for shard, _ in run.asked()][before:] == sizes
            assert run.tally()["pending"] == 8
            bk.submit(run, client=client)
        bk.wait(run, client=client, poll_seconds=0.01)
        assert bk.collect(run, client=client).tally()["ok"] == 8
        assert set(emulator.stats()["requests"].values()) == {1}
    assert [each["requests"] for each in audit(run)["attempts"]] == [8]
    assert audit(run)["repeats"] == 8


def test_a_shard_that_waits_for_room_others_take_is_not_cut(tmp_path: Path) -> None:
    with serve(limits=Limits(concurrent_jobs=1), job_seconds=60, clock=Clock()) as emulator:
        client = quick_client(emulator)
        run = World(tmp_path, emulator, client, Moody()).build(["x"] * 4, limits={"max_rows": 2})
        assert bk.submit(run, client=client).sent == 1
        assert bk.retry(run, recut=True, client=client).rows == 0
        assert [attempt.stage for attempt in run.attempts()] == ["running", "unsent"]


def test_a_shard_above_the_users_limit_is_cut_to_it_and_one_of_one_row_never_is(
    world: World,
) -> None:
    run = world.build(["x" * 300] * 8 + ["x" * 9_000], limits={"max_rows": 8})
    assert bk.retry(run, recut=True, limits={"max_enqueued_tokens": 500}).asked == {"missing": 8}
    parts = [shard for shard, attempt in run.asked() if attempt.number > 1]
    limits = run.definition.limits
    assert all(limits.tokens_of(shard.bytes) <= 500 for shard in parts)
    assert sum(shard.requests for shard in parts) == 8
    assert world.go(run).tally()["ok"] == 9
    assert set(world.paid().values()) == {1}


def test_a_cut_that_was_killed_in_the_middle_is_finished_by_the_next_retry(world: World) -> None:
    run = world.build(["fine"] * 6)
    run.ledger.write(run.attempts()[0], "recut")  # and the driver was killed
    assert world.go(run).tally()["missing"] == 6
    assert bk.retry(run).asked == {"missing": 6}
    assert world.go(run).tally()["ok"] == 6
    assert set(world.paid().values()) == {1}
    assert bk.retry(run, max_attempts=1).left == {}


def test_after_the_third_refusal_it_is_said_that_a_shard_may_be_too_large(tmp_path: Path) -> None:
    with serve(limits=Limits(enqueued_tokens=50)) as emulator:
        client = quick_client(emulator)
        run = too_large(emulator, client, tmp_path)
        second, third = (bk.submit(run, client=client).held or "" for _ in range(2))
    assert "too large" not in second
    assert third.endswith(f"and `batchkit retry {run.folder} --recut` cuts it smaller")
