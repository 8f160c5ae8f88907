from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.errors import CapabilityError, NotAuthorisedError, NotFoundError, SetupError
from tests.conftest import quick_vertex
from tests.scripted import Asked, Said, forbidding, scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import VertexService
    from tests.warehouse import Warehouse

pytestmark = [
    pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning"),
    pytest.mark.usefixtures("both"),
]

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
ROWS = [{"id": f"k{i}", "text": "hello"} for i in range(4)]
# What each permission is for: https://docs.cloud.google.com/bigquery/docs/access-control
CALLS = {
    "bigquery.datasets.get": r"GET /bigquery/v2/projects/[^/]+/datasets/[^/?]+(\?.*)?",
    "bigquery.jobs.create": r"POST /(upload/)?bigquery/v2/projects/[^/]+/jobs.*",
}
DENIED = {
    "bigquery.datasets.get": "Access Denied: Dataset {dataset}: Permission bigquery.datasets.get "
    "denied on dataset {dataset} (or it may not exist).",
    "bigquery.jobs.create": "Access Denied: Project p: User does not have bigquery.jobs.create "
    "permission in project p.",
}


@pytest.fixture
def both(vertex: VertexService, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vertex AI and BigQuery, each knowing the other, in the environment."""
    vertex.emulator.use_bigquery(bigquery.server)
    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)


def built(folder: Path, dataset: str, rows: Any = ROWS, **options: Any) -> bk.Run:
    """A run of two shards."""
    limits = {"max_rows": 2}
    target = f"bq://{dataset}"
    return bk.build(rows, SPEC, key="id", into=folder, target=target, limits=limits, **options)


def sent(vertex: VertexService, bigquery: Warehouse, dataset: str) -> tuple[int, int]:
    """How many tables of the run's, and jobs, there are."""
    tables = [t for t in bigquery.client.list_tables(dataset) if t.table_id.startswith("batchkit_")]
    return len(tables), sum(vertex.emulator.stats()["jobs"].values())


def without(permission: str, bigquery: Warehouse, dataset: str) -> Callable[[Asked], Said]:
    """The stand-in for BigQuery, to an account that has all permissions but one."""
    denied = DENIED[permission].format(dataset=dataset)
    return forbidding(CALLS[permission], denied, "accessDenied", bigquery.server.rest_url)


@pytest.mark.parametrize(
    "location, kind, said",
    [
        ("US", CapabilityError, "multi-region US, .* make a dataset in us-central1"),
        ("EU", CapabilityError, "multi-region EU, .* make a dataset in us-central1"),
        ("europe-west4", SetupError, "lies in europe-west4, .* location='europe-west4'"),
    ],
)
def test_a_dataset_elsewhere_is_refused_before_anything_is_sent(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    vertex: VertexService,
    bigquery: Warehouse,
    location: str,
    kind: type[Exception],
    said: str,
) -> None:
    dataset = bigquery.new_dataset(location)
    with pytest.raises(kind, match=said):
        bk.submit(built(tmp_path / "run", dataset), client=vertex.client)
    assert sent(vertex, bigquery, dataset) == (0, 0)


def test_a_dataset_that_is_not_there_is_named_before_anything_is_sent(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse
) -> None:
    run = built(tmp_path / "run", f"{bigquery.project}.no_dataset")
    with pytest.raises(NotFoundError, match="no_dataset") as caught:
        bk.submit(run, client=vertex.client)
    assert "check the name" in str(caught.value)
    assert not vertex.emulator.stats()["jobs"]


@pytest.mark.parametrize("permission", ["bigquery.datasets.get", "bigquery.jobs.create"])
def test_a_missing_permission_is_said_before_any_job(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    vertex: VertexService,
    bigquery: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    permission: str,
) -> None:
    dataset = bigquery.new_dataset("us-central1")
    run = built(tmp_path / "run", dataset)
    with scripted(without(permission, bigquery, dataset)) as server:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        with pytest.raises(NotAuthorisedError) as caught:
            bk.submit(run, client=quick_vertex())
    assert caught.value.message == DENIED[permission].format(dataset=dataset)
    assert "such as BigQuery Data Editor on the dataset" in str(caught.value)
    assert sent(vertex, bigquery, dataset) == (0, 0)


def test_an_output_table_that_exists_is_refused_before_anything_is_sent(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse
) -> None:
    dataset = bigquery.new_dataset("us-central1")
    run = built(tmp_path / "run", dataset)
    name = f"batchkit_{run.definition.id.replace('-', '_')}_00001_1_responses"
    bigquery.ask(f"CREATE TABLE `{dataset}.{name}` (x INT64)")
    with pytest.raises(SetupError, match=f"{name} is there already.*delete or rename it"):
        bk.submit(run, client=vertex.client)
    assert sent(vertex, bigquery, dataset) == (1, 0)  # the one that was there
    bigquery.client.delete_table(f"{dataset}.{name}")
    assert bk.submit(run, client=vertex.client, settle_seconds=600).is_complete


def test_a_table_that_the_runs_own_job_made_is_no_reason_to_refuse(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse
) -> None:
    run = built(tmp_path / "run", bigquery.new_dataset("us-central1"))
    bk.submit(run, client=vertex.client)
    bk.wait(run, client=vertex.client)
    for path in sorted((run.folder / "ledger").rglob("*.json")):
        path.unlink()  # as in a copy of the run that was made before it was sent
    assert bk.submit(run, client=vertex.client).is_complete
    assert len(list(vertex.client.batches.list_all())) == 2


def test_columns_of_types_that_the_service_refuses_do_not_reach_it(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse
) -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001  # a DATETIME has no zone
    rows = [row | {"at": moment, "tags": ["a"], "place": {"x": 1}} for row in ROWS]
    dataset = bigquery.new_dataset("us-central1")
    run = built(tmp_path / "run", dataset, rows)
    bk.submit(run, client=vertex.client)
    bk.wait(run, client=vertex.client)
    results = bk.collect(run, client=vertex.client)
    assert results.tally()["ok"] == 4
    assert results.to_arrow()["tags"].to_pylist() == [["a"]] * 4
    tables = [t for t in bigquery.client.list_tables(dataset) if "requests" in t.table_id]
    types = {f.field_type for t in tables for f in bigquery.client.get_table(t.reference).schema}
    assert types == {"STRING", "JSON"}


def test_a_bucket_for_the_output_is_looked_for_before_anything_is_sent(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse
) -> None:
    dataset = bigquery.new_dataset("us-central1")
    run = built(tmp_path / "run", dataset, output="gs://no-such-bucket/p")
    with pytest.raises(NotFoundError, match="there is no bucket gs://no-such-bucket"):
        bk.submit(run, client=vertex.client)
    assert sent(vertex, bigquery, dataset) == (0, 0)
