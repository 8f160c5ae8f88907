from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.emulator import AnswerError, Clock, echo, serve
from batchkit.errors import (
    CapabilityError,
    JobNotFinishedError,
    RowsError,
    SetupError,
)
from batchkit.events import Event, Said
from batchkit.storage import ObjectUri
from tests.conftest import Service, VertexService, quick_client

if TYPE_CHECKING:
    from tests.warehouse import Warehouse

# Of Google's library for BigQuery, which calls another of Google's libraries.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
ROWS = [{"id": f"k{i}", "text": f"hello {i // 2}"} for i in range(6)]  # each text twice
ECHOES = [f"Echo: Say hello {i // 2}" for i in range(6)]
CUT = {"max_rows": 2}


def sent(folder: Path, client: Any, target: str, **options: Any) -> bk.Run:
    """Six rows in three jobs."""
    given: dict[str, Any] = {"key": "id", "limits": CUT, "target": target, **options}
    run = bk.build(given.pop("table", ROWS), given.pop("spec", SPEC), into=folder, **given)
    bk.submit(run, client=client)
    return run


def lost(folder: Path, client: Any, target: str, **options: Any) -> list[str]:
    """The jobs of a run that was sent, and whose directory is gone."""
    run = sent(folder, client, target, **options)
    shutil.rmtree(folder)
    return sorted(job.name for job in client.batches.find(f"batchkit-{run.definition.id}-"))


def salvaged(answers: Any, folder: Path, client: Any, target: str, **options: Any) -> bk.Run:
    given: dict[str, Any] = {"key": "id", "limits": CUT, "target": target, **options}
    table, spec = given.pop("table", ROWS), given.pop("spec", SPEC)
    return bk.salvage(table, spec, answers, into=folder, client=client, **given)


def finished(run: bk.Run, client: Any) -> bk.Results:
    bk.wait(run, client=client, poll_seconds=0.01)
    return bk.collect(run, client=client)


def responses(results: bk.Results) -> list[Any]:
    return results.to_arrow().column("response").to_pylist()


def downloaded(client: Any, folder: Path) -> list[Path]:
    """The output of each job as a file with a name of the user's own."""
    folder.mkdir()
    paths = [folder / f"{i}.jsonl" for i, _ in enumerate(client.batches.list_all())]
    for job, path in zip(client.batches.list_all(), paths, strict=True):
        client.batches.write_output(client.batches.get(job.name), path)
    return paths


@pytest.mark.parametrize("target", ["inline", "file"])
def test_one_job_is_enough_to_find_all_of_its_run(
    tmp_path: Path, service: Service, target: str
) -> None:
    names = lost(tmp_path / "run", service.client, target)
    lost(tmp_path / "other", service.client, target)
    run = salvaged(names[1], tmp_path / "again", service.client, target)
    assert sorted(str(attempt.job) for attempt in run.attempts()) == names
    assert responses(finished(run, service.client)) == ECHOES
    assert service.paid() == {f"k{i}": 2 for i in range(6)}  # by the two runs that were sent


def test_a_prefix_of_display_names_finds_the_jobs(tmp_path: Path, service: Service) -> None:
    run = sent(tmp_path / "run", service.client, "inline")
    shutil.rmtree(run.folder)
    prefix = f"batchkit-{run.definition.id[:16]}"
    again = salvaged(prefix, tmp_path / "again", service.client, "inline")
    assert again.definition.id == run.definition.id
    assert finished(again, service.client).tally()["ok"] == 6


def test_jobs_of_several_runs_are_refused_with_their_ids(tmp_path: Path, service: Service) -> None:
    names = lost(tmp_path / "one", service.client, "inline")
    names += lost(tmp_path / "two", service.client, "inline")
    with pytest.raises(SetupError, match=r"of several runs \(\d{14}-\w{8}, \d{14}-\w{8}\)"):
        salvaged(names, tmp_path / "again", service.client, "inline")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "answer, said",
    [
        ("batches/none", "404 NOT_FOUND"),
        ("batchkit-none", "no job whose display name begins so"),
        (Path("no") / "file.jsonl", "no such file"),
        ([], "nothing is named of what is left"),
        (Path(__file__), "answers are for no row"),
        (Path(__file__).parent, "holds no .jsonl with answers"),
    ],
)
def test_what_is_not_there_is_said(
    tmp_path: Path, service: Service, answer: Any, said: str
) -> None:
    with pytest.raises(bk.BatchkitError, match=said):
        salvaged(answer, tmp_path / "again", service.client, "inline")


def test_jobs_that_still_run_are_taken_over(tmp_path: Path) -> None:
    with serve(clock=Clock(dt.datetime.now(dt.UTC)), job_seconds=60) as emulator:
        client = quick_client(emulator)
        names = lost(tmp_path / "run", client, "file")
        run = salvaged(names[:1], tmp_path / "again", client, "file")
        assert [attempt.stage for attempt in run.attempts()] == ["running"] * 3
        emulator.clock.advance(61)
        assert responses(finished(run, client)) == ECHOES
        assert len(bk.clean(run, dry_run=False, client=client).things) == 3


def test_a_shard_that_was_never_sent_is_pending_and_a_submit_sends_only_that(
    tmp_path: Path, service: Service
) -> None:
    names = lost(tmp_path / "run", service.client, "inline")
    service.client.batches.delete(names[0])
    run = salvaged(names[1], tmp_path / "again", service.client, "inline")
    assert bk.collect(run, client=service.client).tally()["pending"] == 2
    bk.submit(run, client=service.client)
    assert finished(run, service.client).tally()["ok"] == 6
    assert sorted(service.paid().values()) == [1, 1, 1, 1, 2, 2]


def test_salvaging_again_changes_nothing(tmp_path: Path, service: Service) -> None:
    names = lost(tmp_path / "run", service.client, "inline")
    run = salvaged(names[0], tmp_path / "again", service.client, "inline")
    before = [attempt.facts for attempt in run.attempts()]
    again = salvaged(names[0], tmp_path / "again", service.client, "inline")
    assert [attempt.facts for attempt in again.attempts()] == before


def test_jobs_that_were_cut_otherwise_are_joined_row_by_row(
    tmp_path: Path, service: Service
) -> None:
    names = lost(tmp_path / "run", service.client, "file")
    told: list[Event] = []
    run = salvaged(
        names,
        tmp_path / "again",
        service.client,
        "file",
        limits={"max_rows": 4},
        progress=told.append,
    )
    assert len(run.shards.shards) == 2
    results = bk.collect(run)
    assert responses(results) == ECHOES
    assert any(isinstance(e, Said) and "joined one by one" in e.text for e in told)
    assert not (run.folder / "salvage").exists()


def test_a_running_job_that_was_cut_otherwise_is_waited_for(tmp_path: Path) -> None:
    with serve(clock=Clock(dt.datetime.now(dt.UTC)), job_seconds=60) as emulator:
        client = quick_client(emulator)
        names = lost(tmp_path / "run", client, "file")
        cut: dict[str, Any] = {"limits": {"max_rows": 4}}
        with pytest.raises(JobNotFinishedError, match="give the same limits, or wait"):
            salvaged(names, tmp_path / "again", client, "file", **cut)
        emulator.clock.advance(61)
        run = salvaged(names, tmp_path / "again", client, "file", **cut)
        assert bk.collect(run).tally()["ok"] == 6


def test_outputs_that_are_gone_are_told_and_nothing_is_salvaged_from_none(tmp_path: Path) -> None:
    clock = Clock(dt.datetime.now(dt.UTC))
    with serve(clock=clock) as emulator:
        client = quick_client(emulator)
        names = lost(tmp_path / "run", client, "file")
        assert all(job.succeeded for job in client.batches.list_all())
        clock.advance(49 * 3600)
        told: list[Event] = []
        with pytest.raises(RowsError, match="there is no answer in what is left"):
            salvaged(names, tmp_path / "again", client, "file", limits={}, progress=told.append)
    assert str(told).count("is gone") == 3
    assert not (tmp_path / "again" / "salvage").exists()


def test_a_tree_that_was_downloaded_is_read_without_a_client_and_its_requests_are_not(
    tmp_path: Path, vertex: VertexService, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost(tmp_path / "run", vertex.client, vertex.uri("p"))
    assert all(job.succeeded for job in vertex.client.batches.list_all())
    for stored in list(vertex.client.cloud.objects.list(ObjectUri(vertex.bucket))):
        path = tmp_path / "tree" / stored.uri.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            vertex.client.cloud.objects.download(stored, file)
    for name in vertex.emulator.environment:
        monkeypatch.delenv(name, raising=False)
    run = salvaged(tmp_path / "tree", tmp_path / "again", None, vertex.uri("p"))
    assert responses(bk.collect(run)) == ECHOES
    assert jsonl.loads((run.folder / "audit.json").read_bytes())["lines"] == {"joined": 6}


@pytest.mark.parametrize("target", ["inline", "file"])
def test_downloaded_files_are_joined_by_key_without_a_client(
    tmp_path: Path, service: Service, target: str
) -> None:
    lost(tmp_path / "run", service.client, target)
    downloaded(service.client, tmp_path / "files")
    run = salvaged(str(tmp_path / "files"), tmp_path / "again", None, target)
    results = bk.collect(run)
    assert responses(results) == ECHOES
    assert jsonl.loads((run.folder / "audit.json").read_bytes())["lines"] == {"joined": 6}


def keys(path: Path) -> list[str]:
    return [jsonl.loads(line)["key"] for line in path.read_bytes().split(b"\n")[:-1]]


def test_rows_that_no_answer_names_are_missing_and_answers_of_no_row_are_in_quarantine(
    tmp_path: Path, service: Service
) -> None:
    lost(tmp_path / "run", service.client, "file")
    first, *rest = downloaded(service.client, tmp_path / "files")
    unanswered, stranger = set(keys(first)), keys(rest[0])[0]
    table = [row for row in ROWS if row["id"] != stranger]
    told: list[Event] = []
    run = salvaged(rest, tmp_path / "again", None, "file", table=table, progress=told.append)
    rows = bk.collect(run).to_arrow().to_pylist()
    missing = [row for row in rows if row["status"] == "missing"]
    assert {row["id"] for row in missing} == unanswered
    assert all("none of the answers that were salvaged" in r["error_message"] for r in missing)
    assert keys(run.folder / "quarantine.jsonl") == [stranger]
    assert "1 of 4 answers are for no row" in str(told)


def test_answers_that_are_for_other_rows_are_refused_and_another_table_fits_then(
    tmp_path: Path, service: Service
) -> None:
    lost(tmp_path / "run", service.client, "file")
    files = downloaded(service.client, tmp_path / "files")
    wrong = [{"id": f"x{i}", "text": "hello"} for i in range(6)]
    with pytest.raises(RowsError, match="6 of 6 answers are for no row of this table"):
        salvaged(files, tmp_path / "again", None, "file", table=wrong)
    run = salvaged(files, tmp_path / "again", None, "file")
    assert bk.collect(run).tally()["ok"] == 6


def test_files_without_an_answer_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"\n")
    with pytest.raises(RowsError, match="there is no answer"):
        salvaged(tmp_path / "empty.jsonl", tmp_path / "again", None, "file")


def test_of_several_answers_to_a_row_the_first_that_is_ok_is_taken(tmp_path: Path) -> None:
    def line(key: str, text: str | None) -> bytes:
        said: dict[str, Any] = {"error": {"code": 13, "message": "internal"}}
        if text is not None:
            content = {"role": "model", "parts": [{"text": text}]}
            said = {"response": {"candidates": [{"content": content, "finishReason": "STOP"}]}}
        return jsonl.dumps({"key": key, **said}) + b"\n"

    first, second, third = (tmp_path / f"{i}.jsonl" for i in range(3))
    first.write_bytes(line("k0", "a") + line("k1", None) + line("k2", None))
    second.write_bytes(line("k0", "b") + line("k1", "c") + line("k2", None))
    third.write_bytes(line("k1", "d"))
    run = salvaged([first, second, third], tmp_path / "again", None, "file", table=ROWS[:3])
    results = bk.collect(run)
    assert responses(results) == ["a", "c", None]
    assert results.tally()["error"] == 1
    aside = (run.folder / "quarantine.jsonl").read_bytes().split(b"\n")[:-1]
    kept = [(Path(entry["file"]).name, entry["key"]) for entry in map(jsonl.loads, aside)]
    assert kept == [("0.jsonl", "k1"), ("0.jsonl", "k2"), ("1.jsonl", "k0"), ("2.jsonl", "k1")]


def test_differing_answers_to_a_row_in_one_output_are_a_conflict(tmp_path: Path) -> None:
    content = {"role": "model", "parts": [{"text": "a"}]}
    said = {"candidates": [{"content": content, "finishReason": "STOP"}]}
    path = tmp_path / "one.jsonl"
    lines = [{"key": "k0", "response": said}, {"key": "k0", "error": {"code": 13}}]
    path.write_bytes(b"".join(jsonl.dumps(line) + b"\n" for line in lines))
    run = salvaged(path, tmp_path / "again", None, "file", table=ROWS[:1])
    (row,) = bk.collect(run).to_arrow().to_pylist()
    assert row["error_code"] == "CONFLICT"


def test_a_run_that_has_jobs_of_its_own_takes_none_over(tmp_path: Path, service: Service) -> None:
    lost(tmp_path / "run", service.client, "file")
    files = downloaded(service.client, tmp_path / "files")
    run = sent(tmp_path / "mine", service.client, "file")
    with pytest.raises(SetupError, match="has a job or answers already"):
        salvaged(files, run.folder, service.client, "file")
    names = [job.name for job in service.client.batches.list_all()]
    with pytest.raises(SetupError, match="name a new directory"):
        salvaged(names[-1], run.folder, service.client, "file")


def test_an_earlier_salvage_keeps_its_answers(tmp_path: Path, service: Service) -> None:
    lost(tmp_path / "run", service.client, "file")
    first, *rest = downloaded(service.client, tmp_path / "files")
    salvaged(rest, tmp_path / "again", None, "file")
    told: list[Event] = []
    run = salvaged([first, *rest], tmp_path / "again", None, "file", progress=told.append)
    assert bk.collect(run).tally()["ok"] == 4
    assert any(isinstance(e, Said) and "from an earlier salvage" in e.text for e in told)


def test_a_retry_asks_what_is_missing(tmp_path: Path, service: Service) -> None:
    lost(tmp_path / "run", service.client, "file")
    first, *rest = downloaded(service.client, tmp_path / "files")
    run = salvaged(rest, tmp_path / "again", None, "file")
    assert bk.retry(run, client=service.client).rows == 2
    bk.submit(run, client=service.client)
    assert finished(run, service.client).tally()["ok"] == 6
    paid = service.paid()
    assert {key for key, times in paid.items() if times == 2} == set(keys(first))


def test_a_lost_run_that_had_asked_again_has_the_answers_of_both_times(tmp_path: Path) -> None:
    asked: list[str] = []

    def moody(model: str, method: str, request: dict[str, Any]) -> dict[str, Any]:
        """The first request of all fails once."""
        asked.append(str(request))
        if len(asked) == 1:
            raise AnswerError(13, "internal error")
        return echo(model, method, request)

    with serve(answerer=moody) as emulator:
        client = quick_client(emulator)
        run = sent(tmp_path / "run", client, "file")
        assert finished(run, client).tally()["error"] == 1
        assert bk.retry(run, client=client).rows == 1
        bk.submit(run, client=client)
        assert finished(run, client).tally()["ok"] == 6
        shutil.rmtree(run.folder)
        again = salvaged(f"batchkit-{run.definition.id}", tmp_path / "again", client, "file")
        assert responses(bk.collect(again)) == ECHOES
    assert len(asked) == 7
    (outdone,) = (again.folder / "quarantine.jsonl").read_bytes().split(b"\n")[:-1]
    assert jsonl.loads(outdone)["reason"] == "another answer to its row was taken"


def objects(client: bk.Vertex, bucket: str) -> list[str]:
    return [each.uri.name for each in client.cloud.objects.list(ObjectUri(bucket))]


def test_on_vertex_labels_are_those_of_the_lost_run(tmp_path: Path, vertex: VertexService) -> None:
    names = lost(tmp_path / "run", vertex.client, vertex.uri("p"))
    run = salvaged(names[:1], tmp_path / "again", vertex.client, vertex.uri("p"))
    assert sorted(str(attempt.job) for attempt in run.attempts()) == names
    assert responses(finished(run, vertex.client)) == ECHOES
    lines = {path.read_bytes() for path in (run.folder / "requests").iterdir()}
    assert all(run.definition.tag.encode() in line for line in lines)
    assert len(bk.clean(run, dry_run=False, client=vertex.client).things) == 6
    assert objects(vertex.client, vertex.bucket) == []


@pytest.mark.parametrize("depth", ["", "/{run}", "/{run}/responses"])
def test_a_folder_of_outputs_is_enough_when_the_jobs_are_gone(
    tmp_path: Path, vertex: VertexService, depth: str
) -> None:
    run = sent(tmp_path / "run", vertex.client, vertex.uri("p"))
    for job in list(vertex.client.batches.list_all()):
        vertex.client.batches.delete(job.name)
    shutil.rmtree(run.folder)
    folder = vertex.uri("p") + depth.format(run=run.definition.id)
    again = salvaged(folder, tmp_path / "again", vertex.client, vertex.uri("p"))
    assert again.definition.id == run.definition.id
    results = bk.collect(again)
    assert responses(results) == ECHOES
    assert results.to_arrow().column("id").to_pylist() == [f"k{i}" for i in range(6)]


def test_a_folder_of_outputs_leads_to_the_jobs_while_they_are_there(
    tmp_path: Path, vertex: VertexService
) -> None:
    names = lost(tmp_path / "run", vertex.client, vertex.uri("p"))
    run = salvaged(vertex.uri("p"), tmp_path / "again", vertex.client, vertex.uri("p"))
    assert sorted(str(attempt.job) for attempt in run.attempts()) == names
    assert responses(finished(run, vertex.client)) == ECHOES


@pytest.mark.parametrize("labels", [True, False])
def test_files_of_a_run_whose_id_nothing_tells_are_joined_by_what_they_echo(
    tmp_path: Path, vertex: VertexService, *, labels: bool
) -> None:
    lost(tmp_path / "run", vertex.client, vertex.uri("p"), labels=labels)
    files = downloaded(vertex.client, tmp_path / "files")
    for limits in (CUT, {"max_rows": 3}):  # rows that asked the same in one shard, and in two
        into = tmp_path / f"again{limits['max_rows']}"
        run = salvaged(files, into, None, vertex.uri("p"), limits=limits, labels=labels)
        assert responses(bk.collect(run)) == ECHOES


def test_labels_of_the_lost_run_are_read_where_its_cut_was_another(
    tmp_path: Path, vertex: VertexService
) -> None:
    table = [{"id": f"k{i}", "text": "the same"} for i in range(6)]
    names = lost(tmp_path / "run", vertex.client, vertex.uri("p"), table=table)
    cut = {"max_rows": 4}
    run = salvaged(
        names, tmp_path / "again", vertex.client, vertex.uri("p"), limits=cut, table=table
    )
    assert bk.collect(run).tally()["ok"] == 6
    audit = jsonl.loads((run.folder / "audit.json").read_bytes())
    assert audit["lines"] == {"joined": 6}


def test_answers_that_echo_another_request_are_told(tmp_path: Path, vertex: VertexService) -> None:
    names = lost(tmp_path / "run", vertex.client, vertex.uri("p"))
    told: list[Event] = []
    salvaged(
        names,
        tmp_path / "again",
        vertex.client,
        vertex.uri("p"),
        spec=bk.generate("gemini-3.8-flash", "Sing {text}"),
        progress=told.append,
    )
    assert any(isinstance(e, Said) and "echo another request" in e.text for e in told)


def test_embeddings_are_salvaged_from_a_folder(tmp_path: Path, vertex: VertexService) -> None:
    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=8)
    names = lost(tmp_path / "run", vertex.client, vertex.uri("p"), spec=spec)
    for name in names:
        vertex.client.batches.delete(name)
    run = salvaged(vertex.uri("p"), tmp_path / "again", vertex.client, vertex.uri("p"), spec=spec)
    assert bk.collect(run).embeddings().shape == (6, 8)


@pytest.fixture
def dataset(vertex: VertexService, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch) -> str:
    """A dataset where Vertex AI can read and write."""
    vertex.emulator.use_bigquery(bigquery.server)
    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)
    return bigquery.new_dataset("us-central1")


def test_over_tables_jobs_are_taken_over_or_their_tables_read(
    tmp_path: Path, vertex: VertexService, dataset: str
) -> None:
    target = f"bq://{dataset}"
    run = sent(tmp_path / "run", vertex.client, target)
    names = sorted(job.name for job in vertex.client.batches.list_all())
    shutil.rmtree(run.folder)
    again = salvaged(names[0], tmp_path / "again", vertex.client, target)
    assert responses(finished(again, vertex.client)) == ECHOES
    for name in names:
        vertex.client.batches.delete(name)
    tag = run.definition.id.replace("-", "_")
    tables = [f"{target}.batchkit_{tag}_0000{i}_1_responses" for i in range(3)]
    third = salvaged(tables, tmp_path / "third", vertex.client, target)
    assert responses(bk.collect(third)) == ECHOES


def test_with_pushdown_jobs_are_taken_over(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse, dataset: str
) -> None:
    from google.cloud.bigquery import LoadJobConfig  # noqa: PLC0415  # slow to load

    target, source = f"bq://{dataset}", f"{dataset}.source"
    config = LoadJobConfig(autodetect=True)
    bigquery.client.load_table_from_json(ROWS, source, job_config=config).result()
    options: dict[str, Any] = {"table": f"bq://{source}", "pushdown": True}
    names = lost(tmp_path / "run", vertex.client, target, **options)
    run = salvaged(names[0], tmp_path / "again", vertex.client, target, **options)
    results = finished(run, vertex.client)
    assert results.tally()["ok"] == 6
    other = bk.generate("gemini-3.8-flash", "Sing {text}")
    with pytest.raises(RowsError, match="was filled by other SQL"):
        salvaged(names, tmp_path / "b", vertex.client, target, **{**options, "spec": other})
    cut = {**options, "limits": {"max_rows": 4}}
    with pytest.raises(CapabilityError, match="with pushdown jobs are taken over"):
        salvaged(names, tmp_path / "c", vertex.client, target, **cut)


def cut_off(run: bk.Run, facts: int) -> None:
    """Leave a run directory with only its first facts, as a driver that was killed leaves it."""
    paths = (run.folder / "ledger").rglob("*.json")
    for path in sorted(paths, key=lambda path: (path.parent.name, path.name))[facts:]:
        path.unlink()


@pytest.mark.parametrize("facts", range(6))
def test_stopped_after_any_fact_a_salvage_of_jobs_goes_on(
    tmp_path: Path, service: Service, facts: int
) -> None:
    names = lost(tmp_path / "run", service.client, "inline")
    run = salvaged(names[0], tmp_path / "again", service.client, "inline")
    cut_off(run, facts)
    again = salvaged(names[0], tmp_path / "again", service.client, "inline")
    assert sorted(str(attempt.job) for attempt in again.attempts()) == names
    assert responses(finished(again, service.client)) == ECHOES


@pytest.mark.parametrize("facts", range(3))
def test_stopped_after_any_fact_a_salvage_of_answers_goes_on(
    tmp_path: Path, service: Service, facts: int
) -> None:
    lost(tmp_path / "run", service.client, "inline")
    files = downloaded(service.client, tmp_path / "files")
    cut_off(salvaged(files, tmp_path / "again", None, "inline"), facts)
    told: list[Event] = []
    run = salvaged(files, tmp_path / "again", None, "inline", progress=told.append)
    assert responses(bk.collect(run)) == ECHOES
    assert "earlier salvage" not in str(told)
