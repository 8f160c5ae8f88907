"""Whole runs on Vertex AI, and the same run by every way that requests travel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import CapabilityError, SetupError
from tests.conftest import quick_client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import VertexService
    from tests.warehouse import Warehouse

# Of Google's library for BigQuery, which calls another of Google's libraries.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

MODEL = "gemini-3.8-flash"
HOSTILE = [
    'quotes " and \\ backslashes',
    "line\nbreak and \ttab",
    "U+2028 \u2028 and NEL \x85",
    "emoji 😀 and 東京",
    "{braces} and %s",
    "a NUL \x00 in it",
    "same text",
    "same text",
]
ECHOES = [f"Echo: Say {' '.join(text.split())}" for text in HOSTILE]  # the echo is words
FRAME = pd.DataFrame({"id": [f"r{i}" for i in range(len(HOSTILE))], "text": HOSTILE})
SPEC = bk.generate(MODEL, "Say {text}", system="Be brief.", config={"temperature": 0.5})
SCHEMA = {
    "type": "OBJECT",
    "properties": {"mood": {"type": "STRING", "enum": ["good", "bad"]}, "n": {"type": "INTEGER"}},
    "required": ["mood", "n"],
}


@pytest.fixture
def both(vertex: VertexService, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vertex AI and BigQuery, each knowing the other, in the environment."""
    vertex.emulator.use_bigquery(bigquery.server)
    for name, value in bigquery.server.environment.items():
        monkeypatch.setenv(name, value)


def told(results: bk.Results) -> pd.DataFrame:
    """What a result table says, whichever way the requests went."""
    return results.to_pandas()


def test_a_run_over_objects_answers_every_row(tmp_path: Path, vertex: VertexService) -> None:
    target = vertex.uri("some/folder")
    results = bk.run(
        FRAME, SPEC, key="id", into=tmp_path / "run", target=target, client=vertex.client
    )
    assert told(results)["response"].tolist() == ECHOES
    assert results.tally()["ok"] == len(HOSTILE)
    lines = (tmp_path / "run" / "requests" / "00000.jsonl").read_bytes().split(b"\n")[:-1]
    labels = [jsonl.loads(line)["request"]["labels"]["batchkit"] for line in lines]
    assert vertex.paid() == dict.fromkeys(labels, 1)
    assert not any("r1" in label for label in labels)


def test_without_labels_answers_are_matched_by_what_they_echo(
    tmp_path: Path, vertex: VertexService
) -> None:
    results = bk.run(
        FRAME,
        SPEC,
        key="id",
        into=tmp_path / "run",
        target=vertex.uri("p"),
        labels=False,
        client=vertex.client,
    )
    assert told(results)["response"].tolist() == ECHOES


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        bk.generate(MODEL, "Judge {text}", schema=SCHEMA),
        bk.generate(MODEL, "{text} " * 40, config={"maxOutputTokens": 5}),
    ],
    ids=["text", "schema", "truncated"],
)
@pytest.mark.usefixtures("both")
def test_every_way_gives_the_same_table(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse, spec: Any
) -> None:
    gemini = quick_client(vertex.emulator)
    frame = FRAME.drop(index=5)  # BigQuery holds no NUL in JSON
    dataset = bigquery.new_dataset("us-central1")
    ways: dict[str, Any] = {
        "inline": gemini,
        "file": gemini,
        vertex.uri("way"): vertex.client,
        f"bq://{dataset}": vertex.client,
    }
    tables = [
        told(bk.run(frame, spec, key="id", into=tmp_path / str(i), target=way, client=client))
        for i, (way, client) in enumerate(ways.items())
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_embeddings_travel_over_objects_as_over_files(
    tmp_path: Path, vertex: VertexService
) -> None:
    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=8, normalize=True)
    there = bk.run(
        FRAME, spec, key="id", into=tmp_path / "gs", target=vertex.uri("e"), client=vertex.client
    )
    here = bk.run(FRAME, spec, key="id", into=tmp_path / "f", client=quick_client(vertex.emulator))
    assert there.tally() == here.tally()
    assert there.embeddings() == pytest.approx(here.embeddings(), abs=1e-6)


def test_the_other_services_client_is_refused(tmp_path: Path, vertex: VertexService) -> None:
    run = bk.build(FRAME, SPEC, key="id", into=tmp_path / "run", target=vertex.uri("p"))
    with pytest.raises(SetupError, match=r"speaks to the other service"):
        bk.submit(run, client=quick_client(vertex.emulator))
    with pytest.raises(SetupError, match="was built for another service"):
        bk.submit(run, target="file", client=vertex.client)


def test_a_gemini_embedding_model_takes_no_table(tmp_path: Path) -> None:
    spec = bk.embed("gemini-embedding-001", "{text}")
    with pytest.raises(CapabilityError, match="embeds from objects only"):
        bk.build(FRAME, spec, key="id", into=tmp_path / "run", target="bq://p.d")


@pytest.mark.parametrize(
    "place",
    [("US", "multi-region US"), ("europe-west4", "lies in europe-west4")],
    ids=["multi-region", "region"],
)
@pytest.mark.usefixtures("both")
def test_a_dataset_elsewhere_is_refused_before_anything_is_sent(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse, place: tuple[str, str]
) -> None:
    location, said = place
    target = f"bq://{bigquery.new_dataset(location)}"
    run = bk.build(FRAME, SPEC, key="id", into=tmp_path / "run", target=target)
    with pytest.raises((CapabilityError, SetupError), match=said):
        bk.submit(run, client=vertex.client)
    assert list(vertex.client.batches.list_all()) == []


def test_a_bucket_that_is_not_there_is_refused_before_anything_is_sent(
    tmp_path: Path, vertex: VertexService
) -> None:
    run = bk.build(FRAME, SPEC, key="id", into=tmp_path / "run", target="gs://no-such-bucket/p")
    with pytest.raises(bk.errors.NotFoundError, match="there is no bucket gs://no-such-bucket"):
        bk.submit(run, client=vertex.client)
    assert list(vertex.client.batches.list_all()) == []


@pytest.mark.parametrize("way", ["labels", "echoes", "rows"])
@pytest.mark.usefixtures("both")
def test_rows_of_a_job_that_is_gone_are_asked_again_the_same_way(
    tmp_path: Path, vertex: VertexService, bigquery: Warehouse, way: str
) -> None:
    frame = FRAME.drop(index=5)  # BigQuery holds no NUL in JSON
    is_table = way == "rows"
    target = f"bq://{bigquery.new_dataset('us-central1')}" if is_table else vertex.uri("p")
    run = bk.build(
        frame, SPEC, key="id", into=tmp_path / "run", target=target, labels=way != "echoes"
    )
    bk.submit(run, client=vertex.client)
    vertex.client.batches.delete(run.attempts()[0].job or "")
    again = bk.retry(run, limits={"max_rows": 4}, client=vertex.client)
    assert (again.asked, again.shards) == ({"missing": 7}, 2)
    bk.submit(run, client=vertex.client)
    bk.wait(run, client=vertex.client, poll_seconds=0.05)
    results = bk.collect(run, client=vertex.client).to_pandas()
    assert results["response"].tolist() == ECHOES[:5] + ECHOES[6:]
    assert [attempt.last("intent").content["target"] for attempt in run.attempts()] == [target] * 3
