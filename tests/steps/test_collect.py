from __future__ import annotations

import datetime as dt
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.emulator import AnswerError, Clock, echo, serve
from batchkit.errors import RunChangedError
from tests.conftest import Service, quick_client
from tests.disaster import collect_and_die, exit_code
from tests.shard import receive, rewrite_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = bk.generate("gemini-3.8-flash", "{text}")
NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def text_of(request: dict[str, Any]) -> str:
    return request["contents"][0]["parts"][0]["text"]


def answered(text: str, reason: str = "STOP") -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]} if text else {"role": "model"}
    return {"candidates": [{"content": content, "finishReason": reason}]}


def moody(_: str, __: str, request: dict[str, Any]) -> dict[str, Any]:
    """A model that answers as its prompt tells it to."""
    match text_of(request):
        case "fail":
            raise AnswerError(13, "internal error")
        case "block":
            return {"promptFeedback": {"blockReason": "SAFETY"}}
        case "cut":
            return answered("half an ans", "MAX_TOKENS")
        case "refuse":
            return answered("", "RECITATION")
        case "silent":
            return answered("")
        case "strange":
            return answered("?", "NEW_REASON")
        case text:
            return answered(text.upper())


def test_every_row_gets_exactly_one_status_and_they_add_up(tmp_path: Path) -> None:
    texts = ["fine", "fail", "block", "cut", "refuse", "silent", "strange", None]
    with serve(answerer=moody) as emulator:
        table = pa.table({"text": pa.array(texts, pa.string())})
        results = bk.run(table, SPEC, into=tmp_path / "run", client=quick_client(emulator))
    rows = results.to_arrow().to_pylist()
    assert [row["status"] for row in rows] == [
        "ok",
        "error",
        "blocked",
        "truncated",
        "blocked",
        "empty",
        "error",
        "rejected",
    ]
    assert rows[0]["response"] == "FINE"
    assert rows[1]["error_code"] == "INTERNAL"
    assert rows[3]["response"] == "half an ans"
    assert rows[6]["finish_reason"] == "NEW_REASON"
    assert "column 'text' is null" in rows[7]["error_message"]
    audit = jsonl.loads((tmp_path / "run" / "audit.json").read_bytes())
    assert sum(audit["statuses"].values()) == audit["rows"] == 8
    assert audit["lines"] == {"joined": 7}


def test_collected_in_the_middle_the_rest_is_pending_and_comes_with_the_next(
    tmp_path: Path,
) -> None:
    table = [{"text": "a"}, {"text": "b"}]
    with serve(clock=Clock(NOW), job_seconds=60) as emulator:
        client = quick_client(emulator)
        run = bk.build(table, SPEC, into=tmp_path / "run", limits={"max_rows": 1}, target="file")
        bk.submit(run, client=client)
        early = bk.collect(run, client=client)
        assert early.tally()["pending"] == 2
        assert early.to_arrow().column("response").to_pylist() == [None, None]
        emulator.clock.advance(61)
        late = bk.collect(run, client=client)
    assert late.tally()["ok"] == 2
    once = late.to_arrow()
    assert bk.collect(run).to_arrow().equals(once)


def test_the_same_run_in_three_processes_from_a_table_that_is_gone(
    tmp_path: Path, service: Service
) -> None:
    frame = pa.table({"id": ["a", "b"], "text": ["one", "two"]})
    bk.build(frame, SPEC, key="id", into=tmp_path / "run")
    del frame
    bk.submit(tmp_path / "run", client=service.client)
    results = bk.collect(bk.open_run(tmp_path / "run"), client=service.client)
    assert results.to_arrow().select(["id", "response"]).to_pylist() == [
        {"id": "a", "response": "Echo: one"},
        {"id": "b", "response": "Echo: two"},
    ]


def answer_lines(run: bk.Run, lines: Callable[[list[bytes]], list[bytes]]) -> None:
    """Rewrite what came back, as a service that lies would have sent it."""
    path = run.responses_path(run.attempts()[0])
    receive(run, b"".join(lines(path.read_bytes().splitlines(keepends=True))))


def fetched(tmp_path: Path, service: Service, rows: int = 4) -> bk.Run:
    table = [{"id": f"k{i}", "text": f"text {i}"} for i in range(rows)]
    run = bk.build(table, SPEC, key="id", into=tmp_path / "run", target="file")
    bk.submit(run, client=service.client)
    return bk.wait(run, client=service.client, poll_seconds=0.01)


def quarantined(run: bk.Run) -> list[dict[str, Any]]:
    lines = (run.folder / "quarantine.jsonl").read_bytes().split(b"\n")[:-1]
    return [jsonl.loads(line) for line in lines]


def by_key(results: bk.Results) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in results.to_arrow().to_pylist()}


def line_of(lines: list[bytes], key: str) -> bytes:
    return next(line for line in lines if jsonl.loads(line)["key"] == key)


def test_a_row_whose_line_is_gone_is_missing_with_the_job_s_name(
    tmp_path: Path, service: Service
) -> None:
    run = fetched(tmp_path, service)
    answer_lines(run, lambda lines: [x for x in lines if b'"k2"' not in x])
    row = by_key(bk.collect(run))["k2"]
    assert row["status"] == "missing"
    assert row["error_message"] == (
        f"{run.attempts()[0].job} ended as succeeded, without a line for this key"
    )


def test_a_repeated_line_is_joined_once_and_counted(tmp_path: Path, service: Service) -> None:
    run = fetched(tmp_path, service)
    answer_lines(run, lambda lines: [*lines, lines[0], lines[0]])
    assert bk.collect(run).tally()["ok"] == 4
    audit = jsonl.loads((run.folder / "audit.json").read_bytes())
    assert audit["lines"] == {"joined": 4, "repeated": 2}
    assert not (run.folder / "quarantine.jsonl").exists()


def test_differing_answers_to_one_key_are_a_conflict_and_both_are_kept_aside(
    tmp_path: Path, service: Service
) -> None:
    run = fetched(tmp_path, service)

    def contradict(lines: list[bytes]) -> list[bytes]:
        return [*lines, line_of(lines, "k1").replace(b"text 1", b"text 9")]

    answer_lines(run, contradict)
    row = by_key(bk.collect(run))["k1"]
    assert (row["status"], row["error_code"], row["response"]) == ("error", "CONFLICT", None)
    aside = quarantined(run)
    assert [entry["key"] for entry in aside] == ["k1", "k1"]
    assert {b"text 1" in e["text"].encode() for e in aside} == {True, False}


def test_an_unknown_key_and_a_broken_line_are_kept_aside_and_never_joined(
    tmp_path: Path, service: Service
) -> None:
    run = fetched(tmp_path, service)

    def confuse(lines: list[bytes]) -> list[bytes]:
        stranger = line_of(lines, "k0").replace(b'"k0"', b'"stranger"')
        return [*(line for line in lines if b'"k3"' not in line), stranger, b'{"key":"k3","resp\n']

    answer_lines(run, confuse)
    results = bk.collect(run)
    assert by_key(results)["k3"]["status"] == "missing"
    assert results.tally()["ok"] == 3
    aside = quarantined(run)
    assert [(entry["line"], entry["reason"].partition(":")[0]) for entry in aside] == [
        (4, "no row has this key"),
        (5, "not JSON"),
    ]


def test_the_order_of_the_lines_means_nothing(tmp_path: Path, service: Service) -> None:
    run = fetched(tmp_path, service)
    answer_lines(run, sorted)
    one = bk.collect(run).to_arrow()
    for outcome in (run.folder / "outcomes").iterdir():
        outcome.unlink()
    answer_lines(run, lambda lines: sorted(lines, reverse=True))
    assert bk.collect(run).to_arrow().equals(one)


def test_answers_by_schema_are_columns_and_one_that_does_not_fit_is_malformed(
    tmp_path: Path,
) -> None:
    answers = {"good": '{"mood":"happy","score":4}', "text": "no JSON", "odd": '{"mood":7}'}

    def answer(_: str, __: str, request: dict[str, Any]) -> dict[str, Any]:
        return answered(answers[text_of(request)])

    schema = {
        "type": "object",
        "properties": {
            "mood": {"type": "string", "enum": ["happy", "sad"]},
            "score": {"type": ["integer", "null"]},
        },
        "required": ["mood"],
    }
    spec = bk.generate("gemini-3.8-flash", "{text}", schema=schema)
    with serve(answerer=answer) as emulator:
        table = [{"text": text} for text in answers]
        results = bk.run(table, spec, into=tmp_path / "run", client=quick_client(emulator))
    rows = results.to_arrow().select(["status", "mood", "score", "error_message"]).to_pylist()
    assert rows[0] == {"status": "ok", "mood": "happy", "score": 4, "error_message": None}
    assert [row["status"] for row in rows] == ["ok", "malformed", "malformed"]
    assert "not JSON" in rows[1]["error_message"]
    assert rows[2]["error_message"] == "the answer does not fit the schema: $.mood is not string"


def test_a_vector_of_the_wrong_length_is_malformed(tmp_path: Path) -> None:
    def answer(_: str, __: str, request: dict[str, Any]) -> dict[str, Any]:
        length = 3 if request["content"]["parts"][0]["text"] == "short" else 4
        return {"embedding": {"values": [0.5] * length}}

    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=4)
    with serve(answerer=answer) as emulator:
        table = [{"text": "long"}, {"text": "short"}]
        results = bk.run(table, spec, into=tmp_path / "run", client=quick_client(emulator))
    rows = results.to_arrow().to_pylist()
    assert [row["status"] for row in rows] == ["ok", "malformed"]
    assert rows[1]["error_message"] == "the vector has 3 values, 4 were asked for"
    assert rows[1]["embedding"] is None


def test_lines_that_fit_after_all_are_no_longer_kept_aside(
    tmp_path: Path, service: Service
) -> None:
    run = fetched(tmp_path, service)
    content = run.responses_path(run.attempts()[0]).read_bytes()
    receive(run, content.replace(b'"k2"', b'"x2"'))
    assert bk.collect(run).tally()["missing"] == 1
    assert [entry["key"] for entry in quarantined(run)] == ["x2"]
    receive(run, content)
    shutil.rmtree(run.folder / "outcomes")
    assert bk.collect(run).tally()["ok"] == 4
    assert not (run.folder / "quarantine.jsonl").exists()


def test_a_job_refused_as_a_whole_gives_every_row_its_reason(
    tmp_path: Path, service: Service
) -> None:
    run = bk.build([{"text": "a"}, {"text": "b"}], SPEC, into=tmp_path / "run", target="file")
    rewrite_requests(run, b'"user"', b'"uses"')
    run = bk.open_run(run.folder)
    bk.submit(run, client=service.client)
    results = bk.collect(run, client=service.client)
    assert results.tally()["error"] == 2
    row = results.to_arrow().to_pylist()[0]
    assert row["error_code"] == "INVALID_ARGUMENT"
    assert "was refused as a whole" in row["error_message"]


def test_a_job_that_expired_leaves_its_rows_missing(tmp_path: Path) -> None:
    with serve(clock=Clock(NOW), job_seconds=10**9) as emulator:
        client = quick_client(emulator)
        run = bk.build([{"text": "a"}], SPEC, into=tmp_path / "run")
        bk.submit(run, client=client)
        emulator.clock.advance(49 * 3600)
        results = bk.collect(run, client=client)
    row = results.to_arrow().to_pylist()[0]
    assert row["status"] == "missing"
    assert "ended as expired" in row["error_message"]


def test_a_source_that_changed_is_refused_and_the_answers_can_still_be_had(
    tmp_path: Path, service: Service
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": [1, 2], "text": ["a", "b"], "extra": [0.5, 1.5]}), path)
    run = bk.build(path, SPEC, key="id", into=tmp_path / "run", carry=["extra"])
    bk.submit(run, client=service.client)
    pq.write_table(pa.table({"id": [9], "text": ["z"], "extra": [9.5]}), path)
    with pytest.raises(RunChangedError, match="source='carried'"):
        bk.collect(run, client=service.client)
    results = bk.collect(run, source="carried")
    assert results.to_arrow().select(["id", "extra", "response"]).to_pylist() == [
        {"id": 1, "extra": 0.5, "response": "Echo: a"},
        {"id": 2, "extra": 1.5, "response": "Echo: b"},
    ]


def test_a_source_that_is_gone_and_carried_nothing_still_gives_every_row(
    tmp_path: Path, service: Service
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    run = bk.build(path, SPEC, into=tmp_path / "run")
    bk.submit(run, client=service.client)
    path.unlink()
    with pytest.raises(RunChangedError, match="is gone or changed"):
        bk.collect(run, client=service.client)
    rows = bk.collect(run, source="carried").to_arrow().select(["row", "response"]).to_pylist()
    assert rows == [{"row": 0, "response": "Echo: a"}, {"row": 1, "response": "Echo: b"}]


@pytest.mark.parametrize("tasks", [0, 1, 2])
def test_a_collect_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, service: Service, tasks: int
) -> None:
    table = [{"id": f"k{i}", "text": f"text {i}"} for i in range(6)]
    limits = {"max_rows": 2}
    run = bk.build(table, SPEC, key="id", into=tmp_path / "run", target="file", limits=limits)
    bk.submit(run, client=service.client)
    bk.wait(run, client=service.client, poll_seconds=0.01)
    (run.folder / ".results-killed.tmp").mkdir()
    assert exit_code(collect_and_die, str(run.folder), tasks) == -signal.SIGKILL
    assert len(list((run.folder / "outcomes").glob("*.json"))) == tasks
    results = bk.collect(run)
    assert results.tally()["ok"] == 6
    assert list(run.folder.rglob("*.tmp")) == []
    assert jsonl.loads((run.folder / "audit.json").read_bytes())["lines"] == {"joined": 6}


def test_echo_is_what_the_emulator_answers_without_being_told() -> None:
    request = {"contents": [{"parts": [{"text": "hello"}]}]}
    assert echo("generate", "gemini-3.8-flash", request)["candidates"][0]["finishReason"] == "STOP"
