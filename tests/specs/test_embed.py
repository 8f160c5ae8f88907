from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.encode import join
from batchkit.errors import CapabilityError, SetupError, TemplateError
from batchkit.specs.embed import Embed
from batchkit.wire import dialect_for
from tests.specs.asked import asked

MODEL = "gemini-embedding-001"
TEXT = "$.request.content.parts[0].text"


def test_a_text_alone_is_a_request_of_one_text() -> None:
    assert asked(bk.embed(MODEL, "{x}"), {"x": ["a"]}) == [{"content": {"parts": [{"text": "a"}]}}]


def test_options_stand_beside_the_content() -> None:
    spec = bk.embed(MODEL, "{x}", title="{t}", task_type="RETRIEVAL_DOCUMENT", dimensions=256)
    assert asked(spec, {"x": ["a", "b"], "t": ['"T"', None]}) == [
        {
            "content": {"parts": [{"text": "a"}]},
            "taskType": "RETRIEVAL_DOCUMENT",
            "outputDimensionality": 256,
            "title": '"T"',
        },
        {
            "content": {"parts": [{"text": "b"}]},
            "taskType": "RETRIEVAL_DOCUMENT",
            "outputDimensionality": 256,
        },
    ]


def test_a_title_may_be_the_same_for_all_rows() -> None:
    spec = bk.embed(MODEL, "{x}", title="Docs", task_type="RETRIEVAL_DOCUMENT")
    assert [body["title"] for body in asked(spec, {"x": ["a", "b"]})] == ["Docs", "Docs"]


@pytest.mark.parametrize(
    "column, why",
    [
        (pa.array([None], pa.string()), "column 'x' is null: give a default, {x??…}"),
        (pa.array([""]), "the text is empty"),
    ],
    ids=["null", "empty"],
)
def test_a_row_without_a_text_is_rejected(column: pa.Array, why: str) -> None:
    assert asked(bk.embed(MODEL, "{x}"), {"x": column}) == [(TEXT, why)]


def test_a_function_returns_the_text() -> None:
    spec = bk.embed(MODEL, lambda row: row["x"] * 2, version="1", dimensions=8)
    assert asked(spec, {"x": ["a"]}) == [
        {"content": {"parts": [{"text": "aa"}]}, "outputDimensionality": 8}
    ]


@pytest.mark.parametrize(
    "returned, said", [("", "an empty text"), (None, "a NoneType"), ({"content": {}}, "a dict")]
)
def test_a_function_that_returns_no_text_rejects_its_row(returned: Any, said: str) -> None:
    spec = bk.embed(MODEL, lambda _: returned, version="1")
    assert asked(spec, {"x": ["a"]}) == [
        ("$", f"the function returned {said}, not a text to embed")
    ]


def test_a_title_beside_a_function_is_refused_and_not_dropped() -> None:
    with pytest.raises(SetupError, match="title is a template, and goes with a template as text"):
        bk.embed(MODEL, lambda row: row["x"], title="{t}", version="1")


@pytest.mark.parametrize("dimensions", [0, -1])
def test_a_vector_has_at_least_one_dimension(dimensions: int) -> None:
    with pytest.raises(SetupError, match=f"dimensions={dimensions}: a vector has at least one"):
        bk.embed(MODEL, "{x}", dimensions=dimensions)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"task_type": "RETRIEVAL"}, "unknown value 'RETRIEVAL'"),
        ({"dimensions": 1.5}, "the number 1.5 instead of a 32-bit integer"),
        ({"dimensions": 2**31}, "instead of a 32-bit integer"),
    ],
    ids=str,
)
def test_what_the_service_would_refuse_is_found_before_any_row(
    options: dict[str, Any], said: str
) -> None:
    found = bk.embed(MODEL, "{x}", **options).problems(dialect_for("gemini", "embed"))
    assert [said in problem.message for problem in found if problem.severity == "error"] == [True]


@pytest.mark.parametrize("options", [{"text": ""}, {"text": "{x}", "title": ""}], ids=str)
def test_an_empty_template_is_refused_with_the_table(options: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match="the template is empty"):
        asked(bk.embed(MODEL, **options), {"x": ["a"]})


def bodies(spec: Embed, model: str = MODEL) -> list[Any]:
    """What Vertex AI is sent for two rows, the second without a title."""
    batch = pa.RecordBatch.from_pylist([{"x": "one", "t": "T"}, {"x": "two", "t": None}])
    bound = spec.bind(batch.schema, dialect_for("vertex", "embed", model))
    return [json.loads(text) for text in join(bound.bodies(batch).segments).to_pylist()]


def test_vertex_wants_its_options_in_a_config_of_their_own() -> None:
    """https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings."""
    spec = bk.embed(MODEL, "{x}", title="{t}", dimensions=8)
    config = {"task_type": "RETRIEVAL_DOCUMENT", "output_dimensionality": 8}
    assert bodies(spec) == [
        {
            "content": {"parts": [{"text": "one"}]},
            "embed_content_config": {**config, "title": "T"},
        },
        {"content": {"parts": [{"text": "two"}]}, "embed_content_config": config},
    ]
    assert bodies(bk.embed(MODEL, "{x}"))[0] == {"content": {"parts": [{"text": "one"}]}}


def test_options_stand_in_the_request_itself_when_asked_to() -> None:
    spec = bk.embed(MODEL, "{x}", task_type="CLUSTERING", dimensions=8, config_style="inline")
    assert bodies(spec)[0] == {
        "content": {"parts": [{"text": "one"}]},
        "task_type": "CLUSTERING",
        "output_dimensionality": 8,
    }


def test_a_legacy_model_is_sent_the_text_alone() -> None:
    legacy = "text-embedding-005"
    assert bodies(bk.embed(legacy, "{x}", dimensions=8), legacy) == [
        {"content": "one"},
        {"content": "two"},
    ]
    for options in ({"task_type": "CLUSTERING"}, {"title": "{t}"}):
        with pytest.raises(CapabilityError, match="its batches take the text only"):
            bodies(bk.embed(legacy, "{x}", **options), legacy)


def test_nothing_is_wrong_with_the_text_alone_that_a_legacy_model_is_sent() -> None:
    legacy = "text-embedding-005"
    spec = bk.embed(legacy, "{x}")
    assert spec.problems(dialect_for("vertex", "embed", legacy)) == []
    assert bk.embed(MODEL, "{x}").problems(dialect_for("vertex", "embed", MODEL)) == []


def test_an_answer_is_a_vector_without_a_schema() -> None:
    spec = bk.embed(MODEL, "{x}")
    assert (spec.answers, spec.answer_schema, spec.kind) == (("embedding",), None, "embed")


@pytest.mark.parametrize(
    "spec",
    [
        bk.embed(MODEL, "{x}"),
        bk.embed(MODEL, "{x}", title="{t??}", task_type="RETRIEVAL_DOCUMENT", dimensions=8),
        bk.embed(MODEL, len, version="1"),  # pyright: ignore[reportArgumentType]
    ],
    ids=["plain", "full", "function"],
)
def test_a_spec_survives_json(spec: Embed) -> None:
    assert Embed.from_json(jsonl.loads(jsonl.dumps(spec.to_json()))) == spec
