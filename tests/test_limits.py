from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.errors import SetupError
from batchkit.limits import (
    Limits,
    default_limits,
    ending_model,
    file_limits,
    service_limit,
)
from batchkit.wire import DIALECTS, dialect_for
from tests.proto_values import FACTS

FACT_LIMITS: dict[str, Any] = json.loads((FACTS / "limits.json").read_bytes())
MODELS: list[dict[str, Any]] = json.loads((FACTS / "models.json").read_bytes())["models"]
NAMED = [(service, name) for service in ("gemini", "vertex") for name in FACT_LIMITS[service]]
DAY = dt.date(2026, 11, 24)


@pytest.mark.parametrize("service, name", NAMED)
def test_a_documented_limit_has_value_unit_source_and_date(service: Any, name: str) -> None:
    fact = FACT_LIMITS[service][name]
    assert fact.keys() == {"value", "unit", "source", "read"}
    assert fact["value"] == service_limit(service, name) > 0
    assert fact["source"].startswith("https://")
    assert fact["unit"]
    assert dt.date.fromisoformat(fact["read"]) <= DAY


def test_enqueued_tokens_have_a_unit_a_source_and_a_date() -> None:
    fact = FACT_LIMITS["enqueued_tokens"]
    assert "tokens" in fact["unit"]
    assert fact["source"].startswith("https://")
    assert dt.date.fromisoformat(fact["read"]) <= DAY
    assert all(tokens > 0 for tokens in fact["models"].values())


@given(st.text(max_size=40), st.sampled_from(["generate", "embed"]))
def test_every_model_has_limits(model: str, kind: Any) -> None:
    limits = default_limits(dialect_for("gemini", kind), model)
    assert limits.max_rows == 50_000
    assert 0 < limits.shard_bytes <= limits.max_bytes == 500_000_000
    assert limits.max_inline_bytes == 10_000_000


@pytest.mark.parametrize(
    "model, tokens",
    [
        ("gemini-2.5-flash", 3_000_000),
        ("gemini-2.5-flash-lite", 10_000_000),
        ("gemini-2.5-flash-lite-preview-09-2025", 10_000_000),
        ("gemini-2.5-flash-preview-tts", 25_000),
        ("gemini-2.5-pro", 5_000_000),
        ("publishers/google/models/gemini-2.5-pro", 5_000_000),
        ("gemini-3-pro-preview", 5_000_000),
        ("gemini-3-pro-image-preview", 2_000_000),
        ("gemini-3.8-flash", 3_000_000),
        ("tunedModels/mine", 3_000_000),
    ],
)
def test_a_shard_takes_a_third_of_the_tokens_of_its_models_longest_name(
    model: str, tokens: int
) -> None:
    assert default_limits(dialect_for("gemini", "generate"), model).max_tokens == tokens // 3


def test_an_embedding_model_that_is_not_known_has_fewer_tokens() -> None:
    assert (
        default_limits(dialect_for("gemini", "embed"), "gemini-embedding-9").max_tokens
        == 500_000 // 3
    )


def test_a_shard_is_full_at_whichever_of_bytes_and_tokens_comes_first() -> None:
    limits = Limits(max_bytes=1_000, max_rows=5, max_tokens=100, max_inline_bytes=10)
    assert limits.shard_bytes == 300
    assert Limits(1_000, 5, 1_000_000, 10).shard_bytes == 1_000
    assert Limits(**limits.to_json()) == limits


def test_each_limit_can_be_overridden() -> None:
    changes = {
        "max_bytes": 5e6,
        "max_rows": np.int64(7),
        "max_tokens": 8,
        "max_inline_bytes": 9,
        "bytes_per_token": 2,
        "max_jobs": 10,
        "max_enqueued_tokens": 11,
    }
    limits = default_limits(dialect_for("gemini", "generate"), "m", changes)
    assert limits == Limits(5_000_000, 7, 8, 9, 2.0, 10, 11)
    assert [type(value) for value in limits.to_json().values()] == [*[int] * 4, float, int, int]
    assert json.loads(json.dumps(limits.to_json())) == limits.to_json()


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"max_row": 5}, "there is no max_row; the limits are max_bytes, max_rows, max_tokens, "),
        ({"max_rows": 0}, "max_rows=0 is not positive"),
        ({"max_rows": -1}, "max_rows=-1 is not positive"),
        ({"max_rows": "5"}, "max_rows='5' is not a number"),
        ({"max_rows": None}, "max_rows=None is not a number"),
        ({"max_rows": True}, "max_rows=True is not a number"),
        ({"max_rows": False}, "max_rows=False is not positive"),
        ({"max_rows": 1.5}, r"max_rows=1\.5 is not a whole number"),
        ({"max_tokens": float("inf")}, "max_tokens=inf is not finite"),
        ({"bytes_per_token": float("nan")}, "bytes_per_token=nan is not a number"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_limit_that_is_none_is_refused(changes: Any, said: str) -> None:
    with pytest.raises(SetupError, match=f"limits: .*{said}"):
        default_limits(dialect_for("gemini", "generate"), "m", changes)


def test_a_file_is_held_against_what_its_service_documents() -> None:
    found = {d.name: (file_limits(d).max_bytes, file_limits(d).max_rows) for d in DIALECTS}
    assert found == {
        "gemini-generate": (2_000_000_000, None),
        "gemini-embed": (2_000_000_000, None),
        "vertex-generate": (1_000_000_000, 200_000),
        "vertex-generate-table": (1_000_000_000, 200_000),
        "vertex-embed": (1_000_000_000, 1_000_000),
        "vertex-embed-legacy": (1_000_000_000, 30_000),
    }
    changed = file_limits(DIALECTS[0], {"max_rows": 3, "max_bytes": 4})
    assert (changed.max_rows, changed.max_bytes) == (3, 4)
    with pytest.raises(SetupError, match=r"the limits are max_bytes, max_rows$"):
        file_limits(DIALECTS[0], {"max_tokens": 3})


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["model"])
def test_a_model_that_ends_has_a_source_and_one_that_is_current_instead(
    entry: dict[str, Any],
) -> None:
    assert entry["source"].startswith("https://")
    assert ending_model(entry["instead"], DAY) is None
    said = ending_model(entry["model"], dt.date(2030, 1, 1))
    assert said == (
        f"{entry['model']} is shut down ({entry['source']}); {entry['instead']} is current"
    )


def test_a_model_is_warned_of_before_its_end_and_after() -> None:
    day = dt.date(2026, 12, 1)
    before = ending_model("gemini-2.5-pro", day - dt.timedelta(days=1)) or ""
    assert before.startswith("gemini-2.5-pro will be shut down on 2026-12-01 (https://")
    assert (ending_model("gemini-2.5-pro", day) or "").startswith("gemini-2.5-pro is shut down (")
    for model in ("gemini-3.8-flash", "gemini-2.5-flash-lite", "tunedModels/gemini-2.5-pro", ""):
        assert ending_model(model, day) is None
