"""Embeddings from table to table: every row gets the vector of its own text, whichever the way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import batchkit as bk
from batchkit.emulator import AnswerError, serve
from tests.conftest import VertexService, quick_vertex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from tests.warehouse import Warehouse

    Row = dict[str, Any]

# Of Google's library for BigQuery, which calls another of Google's libraries.
pytestmark = pytest.mark.filterwarnings("ignore:Retrieving Arrow:PendingDeprecationWarning")

GEMINI, LEGACY = "gemini-embedding-001", "text-embedding-005"
SIZES = {GEMINI: 3072, LEGACY: 768}
REFUSED = "what the model refuses"
TEXTS = {
    "quotes": 'quotes " and \\ backslashes \\" \\u0041',
    "lines": "line\nbreak\r\nand\ttab, U+2028 \u2028 and NEL \x85",
    "emoji": "😀 and 👩‍👩‍👧 and 東京",
    "accents": "e\u0301 is not \u00e9",
    "other accents": "\u00e9 is not e\u0301",
    "JSON": '{"content": null, "key": ["quotes"]}',
    "number": "42",
    "spaces": "  \u00a0 around \ufeff  ",
    "twin": "the same text",
    'the other "twin"\u2028😀': "the same text",
    "refused": REFUSED,
    "null": None,
    "plain": "a text of no interest",
}
STATUSES = {"refused": "error", "null": "rejected"}


def vector(text: str, size: int) -> npt.NDArray[np.float32]:
    """Numbers that follow from a text, and from no other."""
    digest = hashlib.sha256(text.encode()).digest()
    draw = np.random.default_rng(int.from_bytes(digest, "big"))
    return draw.uniform(-1, 1, size).astype(np.float32)


def answerer(_kind: str, model: str, request: Row) -> Row:
    """The vector of the text, as many numbers of it as are asked for."""
    text = request["content"]["parts"][0]["text"]
    if text == REFUSED:
        raise AnswerError(3, f"no vector for {text}")
    size = request.get("outputDimensionality", SIZES[model])
    return {"embedding": {"values": vector(text, SIZES[model])[:size]}}


@dataclass(frozen=True)
class Texts:
    """Vertex AI and BigQuery that know each other, and the texts in a table there."""

    vertex: VertexService
    bigquery: Warehouse
    dataset: str
    folder: Path

    def embedded(self, spec: bk.Spec, target: str) -> dict[str, Row]:
        """What stands in BigQuery once the table's texts are embedded and the results written."""
        into, client = self.folder / "run", self.vertex.client
        table, out = f"bq://{self.dataset}.texts", f"{self.dataset}.vectors"
        results = bk.run(table, spec, key="id", into=into, target=target, client=client)
        # A null text is not sent; what was sent was paid once.
        assert sum(self.vertex.paid().values()) == len(TEXTS) - 1
        results.to_bigquery(f"bq://{out}", client=client)
        (field,) = (f for f in self.bigquery.client.get_table(out).schema if f.name == "embedding")
        assert (field.field_type, field.mode) == ("FLOAT", "REPEATED")
        rows = [dict(row) for row in self.bigquery.client.list_rows(out)]
        assert len(rows) == len(TEXTS)
        return {row["id"]: row for row in rows}


@pytest.fixture
def texts(tmp_path: Path, bigquery: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Texts]:
    with serve(buckets=["a-bucket"], answerer=answerer) as emulator:
        emulator.use_bigquery(bigquery.server)
        for name, value in (emulator.environment | bigquery.server.environment).items():
            monkeypatch.setenv(name, value)
        dataset = bigquery.new_dataset("us-central1")
        rows = [{"id": key, "text": text} for key, text in TEXTS.items()]
        bigquery.client.load_table_from_json(rows, f"{dataset}.texts").result()
        vertex = VertexService(emulator, quick_vertex(), "a-bucket")
        yield Texts(vertex, bigquery, dataset, tmp_path)


def check(rows: dict[str, Row], expected: dict[str, npt.NDArray[np.floating[Any]]]) -> None:
    """Every row has the vector that is expected of its text, or says why it has none."""
    assert rows.keys() == TEXTS.keys()
    for key, row in rows.items():
        assert row["text"] == TEXTS[key]
        assert row["status"] == STATUSES.get(key, "ok")
        if key in STATUSES:
            assert row["embedding"] == []  # BigQuery has no null arrays
        else:
            assert row["embedding"] == pytest.approx(expected[key], abs=1e-7), key
    assert rows["refused"]["error_message"] == f"no vector for {REFUSED}"


def vectors(size: int) -> dict[str, npt.NDArray[np.float32]]:
    return {key: vector(text, size) for key, text in TEXTS.items() if text}


def unit(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = values.astype(np.float64)
    return wide / np.sqrt(np.sum(wide * wide))


@pytest.mark.parametrize("target", ["bq://{dataset}", "gs://a-bucket/folder"])
def test_a_legacy_model_embeds_the_texts_of_a_table(texts: Texts, target: str) -> None:
    spec = bk.embed(LEGACY, "{text}")
    rows = texts.embedded(spec, target.format(dataset=texts.dataset))
    check(rows, vectors(SIZES[LEGACY]))


@pytest.mark.parametrize("target", ["bq://{dataset}", "gs://a-bucket/folder"])
def test_the_vectors_of_a_legacy_model_are_shortened_here(texts: Texts, target: str) -> None:
    spec = bk.embed(LEGACY, "{text}", dimensions=64)
    rows = texts.embedded(spec, target.format(dataset=texts.dataset))
    check(rows, {key: unit(values[:64]) for key, values in vectors(SIZES[LEGACY]).items()})
    said = ["shortened from 768 to 64 values and normalised"]
    assert {key: row["notes"] for key, row in rows.items()} == {
        key: [] if key in STATUSES else said for key in TEXTS
    }


@pytest.mark.parametrize("style", ["docs", "inline"])
def test_a_gemini_model_embeds_the_texts_of_a_table_over_objects(texts: Texts, style: Any) -> None:
    spec = bk.embed(
        GEMINI, "{text}", dimensions=64, task_type="SEMANTIC_SIMILARITY", config_style=style
    )
    rows = texts.embedded(spec, "gs://a-bucket/folder")
    check(rows, {key: values[:64] for key, values in vectors(SIZES[GEMINI]).items()})
    assert all(row["notes"] == [] for row in rows.values())


def test_vectors_are_normalised_on_request(texts: Texts) -> None:
    spec = bk.embed(GEMINI, "{text}", normalize=True)
    rows = texts.embedded(spec, "gs://a-bucket/folder")
    check(rows, {key: unit(values) for key, values in vectors(SIZES[GEMINI]).items()})
