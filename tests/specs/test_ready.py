from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit.errors import BadKeysError, SetupError, TableError
from batchkit.specs.ready import Ready, ready
from batchkit.wire import dialect_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

MODEL = "gemini-3.8-flash"


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def file_of(folder: Path, *items: Any) -> Path:
    """A request file of these lines; bytes are a line as they stand."""
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in items]
    path = folder / "requests.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def rejections(run: bk.Run) -> list[dict[str, Any]]:
    lines = (run.folder / "rejected.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def test_a_spec_of_ready_requests_is_a_model_and_a_kind() -> None:
    spec = ready("models/gemini-3.8-flash", "generate")
    assert spec == Ready(MODEL, "generate")
    assert Ready.from_json(spec.to_json()) == spec
    assert spec.answers == ("response",)
    assert ready(MODEL, "embed").answers == ("embedding",)
    assert spec.answer_schema is None
    assert spec.problems(dialect_for("gemini", "generate")) == []
    with pytest.raises(SetupError, match="no model"):
        ready(" ", "generate")


def test_requests_go_out_byte_for_byte_as_they_stand_in_the_table() -> None:
    texts = ['{"contents":[{"parts":[{"text":"\\u00e9"}]}],"generation_config":{"topK":"3"}}']
    bound = ready(MODEL, "generate").bind(pa.schema([]), dialect_for("gemini", "generate"))
    assert bound.columns == ("request",)
    bodies = bound.bodies(pa.record_batch({"request": pa.array([*texts, "{}", None])}))
    [segment] = bodies.segments
    assert segment.to_pylist() == [*texts, None, None]
    assert bodies.rejected.column("row").to_pylist() == [1, 2]


def test_keyed_and_bare_lines_are_answered_each_under_its_name(
    service: Service, tmp_path: Path
) -> None:
    path = file_of(
        tmp_path,
        {"key": "a", "request": asking("one")},
        asking("two"),
        b"",
        {"request": asking("three", generation_config={"maxOutputTokens": "50"})},
        {"key": 7, "request": asking("four", model=f"models/{MODEL}")},
        {"key": "e", **asking("five")},
    )
    results = bk.run(path, None, model=MODEL, into=tmp_path / "run", client=service.client)
    rows = results.to_arrow().to_pylist()
    assert [row["key"] for row in rows] == ["a", "line-2", "line-4", "7", "e"]
    assert {row["status"] for row in rows} == {"ok"}
    for row, text in zip(rows, ["one", "two", "three", "four", "five"], strict=True):
        assert text in row["response"]
    assert service.paid() == {"a": 1, "line-2": 1, "line-4": 1, "7": 1, "e": 1}


def test_embedding_requests_of_a_file_come_back_as_vectors(
    service: Service, tmp_path: Path
) -> None:
    content = {"parts": [{"text": "a"}]}
    path = file_of(
        tmp_path,
        {"key": "a", "request": {"content": content, "output_dimensionality": 8}},
        {"content": content, "outputDimensionality": 8},
    )
    results = bk.run(
        path, None, model="gemini-embedding-001", into=tmp_path / "run", client=service.client
    )
    rows = results.to_arrow().to_pylist()
    assert [(row["key"], row["status"], len(row["embedding"])) for row in rows] == [
        ("a", "ok", 8),
        ("line-2", "ok", 8),
    ]


REJECTED: dict[str, tuple[Any, str, str]] = {
    "cut": (
        b'{"key":"cut","request":{"contents":[{"pa',
        "$",
        "the line ends in the middle of its JSON; write the line again, whole",
    ),
    "flat": (
        {"key": "flat", "request": asking("a", thinking_config={"thinkingBudget": 1})},
        "$.request.thinking_config",
        "unknown field; did you mean generationConfig.thinkingConfig?",
    ),
    "beside": (
        {"key": "beside", "request": asking("a"), "system_instruction": {"parts": []}},
        "$.system_instruction",
        "unknown field; did you mean request.systemInstruction?",
    ),
    "text": (
        {"key": "text", "request": "hi"},
        "$.request",
        "the text 'hi' instead of an object",
    ),
    "number": (b"5", "$", 'the line is not an object; write {"key": …, "request": {…}}'),
    "list": (
        {"key": ["list"], "request": asking("a")},
        "$.key",
        'the key is no text; write it as "…"',
    ),
    "latin-1": (
        b'{"key":"latin","request":{"contents":"caf\xe9"}}',
        "$",
        ("not JSON: …, at character …; write one JSON object per line"),
    ),
    "hidden": (
        b'{"key":"hidden","request":{"contents":[{"parts":[{"text":"\\\xe9"}]}]}}',
        "$",
        "the line could not be read as it stands",
    ),
    "other": (
        {"key": "other", "request": asking("a", model="models/gemini-3.5-flash")},
        "$.request.model",
        (
            "the model 'models/gemini-3.5-flash' is not that of the job, 'gemini-3.8-flash'; "
            "leave it out, or write a file for each model"
        ),
    ),
    "role": (
        {"key": "role", "request": {"contents": [{"role": "ai", "parts": [{"text": "a"}]}]}},
        "$.request.contents[0].role",
        "the role 'ai' is refused; use model",
    ),
    "nan": (
        {"key": "nan", "request": asking("a", generationConfig={"topP": float("nan")})},
        "$.request.generationConfig.topP",
        "NaN is not JSON; leave the field out, or write a number",
    ),
    "none": ({"key": "none", "request": None}, "$.request", "null instead of an object"),
}


def test_lines_that_are_no_requests_are_rejected_with_their_rows_and_cost_nothing(
    service: Service, tmp_path: Path
) -> None:
    bad = [line for line, _, _ in REJECTED.values()]
    path = file_of(tmp_path, {"key": "good", "request": asking("one")}, *bad, asking("two"))
    results = bk.run(path, None, model=MODEL, into=tmp_path / "run", client=service.client)
    rows = results.to_arrow().to_pylist()
    assert [row["status"] for row in rows] == ["ok", *["rejected"] * len(bad), "ok"]
    told = rejections(bk.open_run(tmp_path / "run"))
    assert [(line["row"], line["path"]) for line in told] == [
        (row, path) for row, (_, path, _) in enumerate(REJECTED.values(), start=1)
    ]
    for line, (_, _, reason) in zip(told, REJECTED.values(), strict=True):
        # `…` stands for the parser's own words, which differ between its versions.
        assert re.fullmatch(re.escape(reason).replace("…", ".+"), line["reason"])
    assert service.paid() == {"good": 1, f"line-{len(bad) + 2}": 1}


def test_keys_that_repeat_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    lines = [{"key": key, "request": asking(key)} for key in ("a", "b", "a")]
    path = file_of(tmp_path, *lines)
    with pytest.raises(BadKeysError, match="1 of 3 rows have no key of their own") as error:
        bk.build(path, None, model=MODEL, into=tmp_path / "run")
    assert "row 2, key 'a': repeats the key of row 0" in str(error.value)
    run = bk.build(path, None, model=MODEL, into=tmp_path / "other", on_bad_key="reject")
    assert [(line["row"], line["path"], line["reason"]) for line in rejections(run)] == [
        (2, "$.key", "repeats the key of row 0")
    ]


def test_a_file_without_requests_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="holds no request"):
        bk.build(file_of(tmp_path, b"5"), None, model=MODEL, into=tmp_path / "run")
    with pytest.raises(TableError, match="cannot be read: No such file"):
        bk.build(tmp_path / "missing.jsonl", None, model=MODEL, into=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_request_file_of_a_run_passes_the_check(tmp_path: Path) -> None:
    path = file_of(tmp_path, asking("one"), {"key": "b", "request": asking("two")}, b"broken")
    run = bk.build(path, None, model=MODEL, into=tmp_path / "run")
    report = bk.check(run.folder / "requests" / "00000.jsonl")
    assert str(report) == "2 lines of gemini-generate: 0 errors, 0 warnings"
