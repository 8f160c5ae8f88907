from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit.errors import SetupError, TableError

SAMPLES = Path(__file__).parent.parent / "samples"
HI: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def keyed(key: str, **request: Any) -> bytes:
    return json.dumps({"key": key, "request": {**HI, **request}}).encode() + b"\n"


# Where each comes from stands in tests/samples/README.md.
@pytest.mark.parametrize(
    "name, summary",
    [
        ("dev_generate/input_cookbook_cell17", "2 lines of gemini-generate: 0 errors, 0 warnings"),
        ("dev_generate/input_docs_keyed", "2 lines of gemini-generate: 0 errors, 0 warnings"),
        ("dev_embed/input_cookbook_cell40", "2 lines of gemini-embed: 0 errors, 0 warnings"),
        (
            "dev_generate/input_docs_bare_rest_tab",
            "2 lines of gemini-generate: 0 errors, 2 warnings",
        ),
        (
            "dev_generate/input_seed_gemini_ex_bare",
            "3 lines of gemini-generate: 0 errors, 3 warnings",
        ),
        (
            "vertex_embed/input_gemini-embedding-001_docs",
            "2 lines of vertex-embed: 0 errors, 0 warnings",
        ),
        (
            "vertex_embed/input_gemini-embedding-2_docs",
            "2 lines of vertex-embed: 0 errors, 0 warnings",
        ),
        ("vertex_embed/input_legacy_docs", "2 lines of vertex-embed-legacy: 0 errors, 2 warnings"),
        (
            "vertex_generate_gcs/input_docs_line",
            "1 line of vertex-generate: 0 errors, 0 warnings",
        ),
        (
            "vertex_generate_gcs/input_generative-ai_notebook_cell18",
            "1 line of vertex-generate: 0 errors, 0 warnings",
        ),
        (
            "vertex_generate_gcs/input_meteatamel_parts_as_object",
            "7 lines of vertex-generate: 0 errors, 7 warnings",
        ),
    ],
)
def test_every_published_sample_passes(name: str, summary: str) -> None:
    report = bk.check(SAMPLES / f"{name}.jsonl")
    assert str(report).split("\n")[-1] == summary
    assert {problem.rule for problem in report.problems} <= {"no-key", "parts-object"}


def test_every_sample_there_is_is_held_to_that() -> None:
    assert len(list(SAMPLES.glob("*/input_*"))) == 11


WRONG: dict[str, tuple[bytes, str]] = {
    "a flat thinking_config": (
        keyed("r-0042", thinking_config={"thinkingBudget": 0}),
        (
            "line 2, key 'r-0042', $.request.thinking_config: unknown field; "
            "did you mean generationConfig.thinkingConfig?"
        ),
    ),
    "system_instruction beside request": (
        json.dumps({"key": "a", "system_instruction": {"parts": []}, "request": HI}).encode(),
        (
            "line 2, key 'a', $.system_instruction: unknown field; "
            "did you mean request.systemInstruction?"
        ),
    ),
    "an SDK's config": (
        keyed("a", config={"temperature": 0.5}),
        (
            "line 2, key 'a', $.request.config: unknown field; `config` is google-genai's: its "
            "fields belong under generationConfig, and systemInstruction, tools, toolConfig, "
            "safetySettings beside it; `batchkit convert` takes it apart"
        ),
    ),
    "labels on the Developer API": (
        keyed("a", labels={"team": "x"}),
        (
            "line 2, key 'a', $.request.labels: unknown field; "
            "it exists on Vertex AI only: leave it out, or send the batch there"
        ),
    ),
    "role assistant": (
        keyed("a", contents=[{"role": "assistant", "parts": [{"text": "hi"}]}]),
        "line 2, key 'a', $.request.contents[0].role: the role 'assistant' is refused; use model",
    ),
    "a duplicate key": (
        keyed("first"),
        (
            "line 2, key 'first', $.key: the key of line 1 again; "
            "answers are joined by key: give each line one of its own"
        ),
    ),
    "NaN": (
        keyed("a", generationConfig={"temperature": math.nan}),
        (
            "line 2, key 'a', $.request.generationConfig.temperature: NaN is not JSON; "
            "leave the field out, or write a number"
        ),
    ),
    "a line cut in the middle": (
        keyed("a")[:-20],
        "line 2, key 'a', $: the line ends in the middle of its JSON; write the line again, whole",
    ),
}


@pytest.mark.parametrize("line, said", WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_line_is_named_by_line_key_path_and_remedy(
    tmp_path: Path, line: bytes, said: str
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(keyed("first") + line)
    report = bk.check(path)
    assert [str(problem) for problem in report.problems] == [said]
    [problem] = report.problems
    assert problem.severity == "error"
    assert all([problem.line, problem.key, problem.path, problem.message, problem.remedy])
    assert str(bk.check([keyed("first"), line])) == str(report)


@pytest.mark.parametrize(
    "content, said",
    [
        (
            json.dumps([{"key": "a", "request": HI}]).encode(),
            "line 1, $: the file is one JSON array; `batchkit convert` writes one request per line",
        ),
        (
            keyed("a").decode().encode("utf-16"),
            "line 1, $: the file is UTF-16; `batchkit convert` writes it as UTF-8",
        ),
    ],
    ids=["a JSON array", "UTF-16"],
)
def test_a_file_that_is_no_lines_is_named_with_its_remedy(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(content)
    report = bk.check(path)
    assert not report.ok
    assert [str(problem) for problem in report.problems] == [said]
    assert str(bk.check(str(path))) == str(report)


def test_lines_may_be_text_and_come_one_by_one() -> None:
    texts = (keyed(str(n)).decode() for n in range(3))
    assert str(bk.check(texts)) == "3 lines of gemini-generate: 0 errors, 0 warnings"
    report = bk.check(['{"key": "\ud83d", "request": {}}'])
    assert [problem.rule for problem in report.problems] == ["not-utf8"]


def test_the_dialect_and_the_limits_may_be_given() -> None:
    line = json.dumps({"request": {**HI, "labels": {"a": "b"}}})
    assert bk.check([line]).dialect == "vertex-generate"
    report = bk.check([line], dialect="gemini-generate", limits={"max_rows": 1, "max_bytes": 1})
    assert [problem.rule for problem in report.problems] == ["too-large", "no-key", "other-service"]
    with pytest.raises(SetupError, match="dialect 'openai': there are gemini-generate, "):
        bk.check([line], dialect="openai")
    with pytest.raises(TableError, match="no such folder/x cannot be read"):
        bk.check("no such folder/x")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "maxOutputTokens": st.integers(1, 8192),
        "stopSequences": st.lists(TEXT, max_size=2),
        "thinkingConfig": st.fixed_dictionaries({"thinkingBudget": st.integers(-1, 9)}),
        "responseModalities": st.just(["TEXT"]),
    },
)
SCHEMAS = st.sampled_from(
    [
        None,
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]},
        {"type": "array", "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"type": "integer"}}},
        {"type": "STRING", "enum": ["a", "b"]},
    ]
)
SPECS = st.builds(
    lambda config, schema, system, safety, tools: bk.generate(
        "gemini-3.8-flash",
        "Say {text??}!",
        config=config,
        schema=schema,
        system=system,
        safety=safety,
        tools=tools,
    ),
    CONFIGS,
    SCHEMAS,
    st.none() | TEXT.filter(bool),
    st.sampled_from([None, {"hate_speech": "BLOCK_NONE"}]),
    st.sampled_from([None, [{"googleSearch": {}}, {"code_execution": {}}]]),
) | st.builds(
    lambda title, task, size: bk.embed(
        "gemini-embedding-001", "{text}", title=title, task_type=task, dimensions=size
    ),
    st.sampled_from([None, "{title??}", "{key}"]),
    st.sampled_from([None, "RETRIEVAL_DOCUMENT"]),
    st.none() | st.integers(1, 3072),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(SPECS, st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), max_size=4))
def test_whatever_is_built_passes_the_check(
    spec: bk.Spec, rows: list[tuple[str | None, str | None]]
) -> None:
    rows = [*rows, ("one that is fine", "t")]
    table = pa.table(
        {
            "key": [f'{n}\u2028"' for n in range(len(rows))],
            "text": pa.array([text for text, _ in rows], pa.string()),
            "title": pa.array([title for _, title in rows], pa.string()),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        run = bk.build(table, spec, key="key", into=Path(folder) / "run", progress=lambda _: None)
        reports = [bk.check(path) for path in sorted((run.folder / "requests").iterdir())]
        rejected = (run.folder / "rejected.jsonl").read_bytes().count(b"\n")
    assert [str(problem) for report in reports for problem in report.problems] == []
    assert sum(report.lines for report in reports) + rejected == len(rows)
