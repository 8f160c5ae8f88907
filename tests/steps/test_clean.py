from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud.bigquery import LoadJobConfig

import batchkit as bk
from batchkit.emulator import serve
from batchkit.errors import AccountChangedError, RunHeldError
from batchkit.storage import ObjectUri
from tests.cli.conftest import BATCHKIT
from tests.conftest import Service, VertexService, quick_client, quick_vertex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchkit.emulator import Emulator
    from tests.warehouse import Warehouse

# Of Google's library for BigQuery, which calls another of Google's libraries.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
ROWS = [{"id": f"k{i}", "text": f"hello {i}"} for i in range(6)]


def sent(folder: Path, client: Any, target: str, **options: Any) -> bk.Run:
    """Six rows in three jobs."""
    limits = {"max_rows": 2}
    given = {"key": "id", "into": folder, "target": target, "limits": limits, **options}
    run = bk.build(given.pop("table", ROWS), SPEC, **given)
    bk.submit(run, client=client)
    return run


def done(folder: Path, client: Any, target: str, **options: Any) -> bk.Run:
    run = sent(folder, client, target, **options)
    bk.wait(run, client=client, poll_seconds=0.01)
    return run


def names(things: tuple[Any, ...], kind: str) -> list[str]:
    return sorted(thing.name for thing in things if thing.kind == kind)


def uploads(client: bk.Gemini) -> list[str]:
    return sorted(file.name for file in client.files.list_all() if file.source == "UPLOADED")


def objects(client: bk.Vertex, bucket: str) -> list[str]:
    return [each.uri.name for each in client.cloud.objects.list(ObjectUri(bucket))]


def put(client: bk.Vertex, path: Path, name: str, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    client.cloud.objects.put(path, ObjectUri("emulator-bucket", name))
    return name


def test_a_dry_run_names_what_there_is_with_its_size_and_deletes_nothing(
    tmp_path: Path, service: Service
) -> None:
    run = done(tmp_path / "run", service.client, "file")
    before = list(service.client.files.list_all())
    found = bk.clean(run, client=service.client)
    assert found.dry_run
    assert names(found.things, "file") == uploads(service.client)
    assert len(names(found.refused, "output")) == 3
    sizes = {thing.name: thing.bytes for thing in (*found.things, *found.refused)}
    assert sizes == {file.name: file.bytes for file in before}
    assert found.bytes == sum(file.bytes or 0 for file in before if file.source == "UPLOADED")
    assert list(service.client.files.list_all()) == before


def test_uploads_are_deleted_and_outputs_that_the_service_does_not_delete_are_named(
    tmp_path: Path, service: Service
) -> None:
    """A job's output has too long a name to be deleted.

    https://github.com/googleapis/python-genai/issues/1613
    """
    run = done(tmp_path / "run", service.client, "file")
    cleaned = bk.clean(run, dry_run=False, client=service.client)
    assert len(names(cleaned.things, "file")) == len(cleaned.things) == 3
    assert len(names(cleaned.refused, "output")) == 3
    assert all("cannot be more than 40 characters" in str(one.kept) for one in cleaned.refused)
    assert uploads(service.client) == []
    assert bk.collect(run).tally()["ok"] == 6


def test_a_second_clean_finds_nothing_to_delete(tmp_path: Path, service: Service) -> None:
    run = done(tmp_path / "run", service.client, "file")
    bk.clean(run, dry_run=False, client=service.client)
    before = list(service.client.files.list_all())
    for dry_run in (True, False):
        again = bk.clean(run, dry_run=dry_run, client=service.client)
        assert (again.things, again.kept) == ((), ())
    assert list(service.client.files.list_all()) == before


def test_what_others_uploaded_survives(tmp_path: Path, service: Service) -> None:
    run = done(tmp_path / "run", service.client, "file")
    other = done(tmp_path / "other", service.client, "file")
    mine = service.client.files.upload(b"x", display_name="mine").name
    near = service.client.files.upload(b"x", display_name=f"batchkit-{run.definition.id}").name
    bk.clean(run, dry_run=False, client=service.client)
    of_other = [a.last("uploaded") for a in other.attempts()]
    assert uploads(service.client) == sorted(
        [mine, near, *(fact.content["file"] for fact in of_other if fact)]
    )


def test_an_upload_that_no_fact_names_is_known_by_its_display_name(
    tmp_path: Path, service: Service
) -> None:
    run = done(tmp_path / "run", service.client, "file")
    attempt = run.attempts()[0]
    name = f"batchkit-{run.definition.id}-{attempt.name}-{run.shards.shards[0].sha256[:12]}"
    orphan = service.client.files.upload(b"x", display_name=name).name
    assert orphan in names(bk.clean(run, client=service.client).things, "file")


def test_what_is_not_fetched_stays_unless_it_is_asked_for(tmp_path: Path) -> None:
    with serve(job_seconds=60) as emulator:
        client = quick_client(emulator)
        run = sent(tmp_path / "run", client, "file")
        kept = bk.clean(run, dry_run=False, client=client)
        assert (kept.things, len(kept.kept)) == ((), 3)
        assert "is running: its answers are not here yet" in str(kept.kept[0].kept)
        assert len(uploads(client)) == 3
        lost = bk.clean(run, dry_run=False, unfetched=True, client=client)
        assert (len(lost.things), lost.kept) == (3, ())
        assert uploads(client) == []


def test_jobs_are_deleted_when_asked_for_and_the_run_still_gives_its_result(
    tmp_path: Path, service: Service
) -> None:
    run = done(tmp_path / "run", service.client, "inline")
    other = done(tmp_path / "other", service.client, "inline")
    assert bk.clean(run, client=service.client).things == ()
    cleaned = bk.clean(run, dry_run=False, jobs=True, client=service.client)
    assert names(cleaned.things, "job") == sorted(str(a.job) for a in run.attempts())
    left = sorted(job.name for job in service.client.batches.list_all())
    assert left == sorted(str(a.job) for a in other.attempts())
    assert bk.clean(run, dry_run=False, jobs=True, client=service.client).things == ()
    assert bk.collect(run).tally()["ok"] == 6


def test_another_account_is_told_that_it_sees_nothing_of_the_run(
    tmp_path: Path, service: Service
) -> None:
    run = done(tmp_path / "run", service.client, "file")
    other = bk.Gemini("another-key", base_url=service.emulator.url)
    with pytest.raises(AccountChangedError, match="clean it with that one"):
        bk.clean(run, client=other)


def test_a_run_that_is_held_is_not_cleaned(tmp_path: Path, service: Service) -> None:
    run = done(tmp_path / "run", service.client, "file")
    with run.hold(), pytest.raises(RunHeldError):
        bk.clean(tmp_path / "run", client=service.client)


def test_objects_go_and_foreign_ones_below_the_same_prefix_survive(
    tmp_path: Path, vertex: VertexService
) -> None:
    client, bucket = vertex.client, vertex.bucket
    run = done(tmp_path / "run", client, vertex.uri("p"))
    ours = objects(client, bucket)
    assert len(ours) == 6
    base = f"p/{run.definition.id}"
    folder = next(name for name in ours if "prediction-" in name).rpartition("/")[0]
    foreign = [
        put(client, tmp_path / "x", name, "somebody's")
        for name in (
            f"{base}/notes.txt",
            f"{base}/requests/notes.jsonl",
            f"{base}/requests/00007-1.jsonl",
            f"{base}/responses/00000-1/notes.jsonl",
            f"{folder}/a-first.jsonl",
            f"{folder}/z-last.jsonl",
            f"{folder}/notes.txt",
        )
    ]
    cleaned = bk.clean(run, dry_run=False, client=client)
    assert names(cleaned.things, "object") == [f"gs://{bucket}/{name}" for name in ours]
    assert objects(client, bucket) == sorted(foreign)
    assert bk.clean(run, dry_run=False, client=client).things == ()
    assert bk.collect(run).tally()["ok"] == 6


def test_an_object_that_was_replaced_since_is_not_ours(
    tmp_path: Path, vertex: VertexService
) -> None:
    client, bucket = vertex.client, vertex.bucket
    run = done(tmp_path / "run", client, vertex.uri("p"))
    replaced = [
        next(name for name in objects(client, bucket) if part in name)
        for part in ("/requests/", "/responses/")
    ]
    for name in replaced:
        stored = client.cloud.objects.find(ObjectUri(bucket, name))
        assert stored is not None
        assert client.cloud.objects.delete(stored)
        put(client, tmp_path / "x", name, "y" * stored.bytes)
    bk.clean(run, dry_run=False, client=client)
    assert objects(client, bucket) == sorted(replaced)


def test_objects_whose_last_lines_lack_their_ends_are_known_again(
    tmp_path: Path, vertex: VertexService
) -> None:
    client, bucket = vertex.client, vertex.bucket
    run = sent(tmp_path / "run", client, vertex.uri("p"))
    assert all(job.succeeded for job in client.batches.list_all())
    (written, *_) = [name for name in objects(client, bucket) if "/00000-1/" in name]
    stored = client.cloud.objects.find(ObjectUri(bucket, written))
    assert stored is not None
    with client.cloud.objects.open(stored) as file:
        first, second = file.read().removesuffix(b"\n").decode().split("\n")
    client.cloud.objects.delete(stored)
    for name, line in (("a.jsonl", first), ("b.jsonl", second)):
        put(client, tmp_path / "x", f"{written.rpartition('/')[0]}/{name}", line)
    bk.wait(run, client=client, poll_seconds=0.01)
    assert bk.collect(run).tally()["ok"] == 6
    assert len(bk.clean(run, dry_run=False, client=client).things) == 7
    assert objects(client, bucket) == []


def test_output_elsewhere_is_cleaned_there(tmp_path: Path, vertex: VertexService) -> None:
    client = vertex.client
    run = done(tmp_path / "run", client, vertex.uri("in"), output=vertex.uri("out"))
    assert len(bk.clean(run, dry_run=False, client=client).things) == 6
    assert objects(client, vertex.bucket) == []


@pytest.fixture
def dataset(vertex: VertexService, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch) -> str:
    """A dataset where Vertex AI can read, with a table of somebody else's that looks like ours."""
    vertex.emulator.use_bigquery(bigquery.server)
    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)
    dataset = bigquery.new_dataset("us-central1")
    config = LoadJobConfig(autodetect=True)
    path = f"{dataset}.batchkit_notes_requests"
    bigquery.client.load_table_from_json(ROWS, path, job_config=config).result()
    return dataset


def tables(bigquery: Warehouse, dataset: str) -> list[str]:
    return sorted(table.table_id for table in bigquery.client.list_tables(dataset))


def test_tables_of_the_run_go_and_others_stay(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse, dataset: str
) -> None:
    client = vertex.client
    run = done(tmp_path / "run", client, f"bq://{dataset}")
    assert len(tables(bigquery, dataset)) == 7
    cleaned = bk.clean(run, dry_run=False, client=client)
    assert [thing.rows for thing in cleaned.things] == [2] * 6
    assert tables(bigquery, dataset) == ["batchkit_notes_requests"]
    assert bk.clean(run, dry_run=False, client=client).things == ()
    assert bk.collect(run, client=client).tally()["ok"] == 6


def test_with_pushdown_tables_stay_until_the_result_is_written_and_the_result_stays(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse, dataset: str
) -> None:
    client = vertex.client
    source = f"bq://{dataset}.batchkit_notes_requests"
    target = f"bq://{dataset}"
    run = done(tmp_path / "run", client, target, table=source, pushdown=True)
    kept = bk.clean(run, dry_run=False, client=client)
    assert kept.things == ()
    assert {str(thing.kept).partition(" in ")[0] for thing in kept.kept} == {"the result is not"}
    bk.collect(run, client=client).to_bigquery()
    cleaned = bk.clean(run, dry_run=False, client=client)
    tag = run.definition.id.replace("-", "_")
    assert len(cleaned.things) == len(kept.kept)
    assert f"{target}.batchkit_{tag}_rows" in names(cleaned.things, "table")
    assert tables(bigquery, dataset) == [f"batchkit_{tag}_results", "batchkit_notes_requests"]


def kill_at(effect: str, nth: int, victims: list[int]) -> Callable[[str, str], None]:
    """Kill the process in `victims` when the effect happens for the nth time."""
    seen: list[str] = []

    def hear(kind: str, _: str) -> None:
        if victims and kind == effect:
            seen.append(kind)
            if len(seen) == nth:
                os.kill(victims[0], signal.SIGKILL)

    return hear


def clean_until_killed(run: bk.Run, emulator: Emulator, victims: list[int]) -> None:
    environment = {**os.environ, **emulator.environment}
    command = [BATCHKIT, "clean", str(run.folder), "--yes"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        victims.append(process.pid)
        assert process.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_after_any_upload_is_deleted_a_clean_goes_on(tmp_path: Path, nth: int) -> None:
    victims: list[int] = []
    with serve(on_effect=kill_at("file.deleted", nth, victims)) as emulator:
        client = quick_client(emulator)
        run = done(tmp_path / "run", client, "file")
        clean_until_killed(run, emulator, victims)
        assert len(uploads(client)) == 3 - nth
        victims.clear()
        cleaned = bk.clean(run, dry_run=False, client=client)
        assert len(cleaned.things) == 3 - nth
        assert uploads(client) == []


@pytest.mark.parametrize("nth", range(1, 7))
def test_killed_after_any_object_is_deleted_a_clean_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    victims: list[int] = []
    hear = kill_at("object.deleted", nth, victims)
    with serve(buckets=["emulator-bucket"], on_effect=hear) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        client = quick_vertex()
        run = done(tmp_path / "run", client, "gs://emulator-bucket/p")
        clean_until_killed(run, emulator, victims)
        assert len(objects(client, "emulator-bucket")) == 6 - nth
        victims.clear()
        assert len(bk.clean(run, dry_run=False, client=client).things) == 6 - nth
        assert objects(client, "emulator-bucket") == []
