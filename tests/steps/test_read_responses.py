from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit.errors import RowsError

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLES = Path(__file__).parent.parent / "samples"
COOKBOOK = (
    "https://github.com/google-gemini/cookbook/blob/f1e7e3de/quickstarts/Batch_mode.ipynb, cell"
)
NOTEBOOK = (
    "https://github.com/GoogleCloudPlatform/generative-ai/blob/23b75dab/gemini/batch-prediction/"
    "intro_batch_prediction.ipynb, cell"
)
VERTEX = "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/"
GCS = f"{VERTEX}batch-prediction-from-cloud-storage"
BIGQUERY = f"{VERTEX}batch-prediction-from-bigquery"
EMBEDDINGS = (
    "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/"
    "batch-prediction-genai-embeddings"
)
QUBITS = (
    "Quantum computers use **qubits** that can be 0, 1, or both simultaneously "
    "(**superposition**), and be interconnected (**entanglement**). They manipulate these states, "
    "causing correct answers to **reinforce** and incorrect ones to cancel out, to solve complex "
    "problems by exploring vast possibilities at once."
)
GARDEN = (
    "Here's a list of the objects in the image:\n\n* **Watering can:** A green plastic watering "
    "can with a white rose head.\n* **Plant:** A small plant (possibly oregano) in a terracotta "
    "pot.\n* **Terracotta pots:** Two terracotta pots, one containing the plant and another empty, "
    "stacked on top of each other.\n* **Gardening gloves:** A pair of striped gardening gloves.\n"
    "* **Gardening tools:** A small trowel and a hand cultivator (hoe).  Both are green with black "
    "handles."
)
SELFIES = (
    "This video shows a Google Photos marketing campaign where animals at the Los Angeles Zoo take "
    "self-portraits using a modified Google phone housed in a protective case. The image is "
    "unrelated."
)
FLOUR = "In a medium bowl, whisk together the flour, baking soda, baking powder."
WRONG_ROLE = "Please use a valid role: user, model."

# Per file: where it was published, and key, status, and text, vector or reason of each line.
Row = tuple[str | None, str, "str | list[float] | None"]
PUBLISHED: dict[str, tuple[str, list[Row]]] = {
    "dev_generate/output_cookbook_cell25.jsonl": (
        f"{COOKBOOK} 25",
        [
            (
                "request_1",
                "ok",
                "AI learns patterns from data to make decisions or predictions.",
            ),
            ("request_2", "ok", QUBITS),
        ],
    ),
    "dev_embed/output_cookbook_cell48.jsonl": (
        f"{COOKBOOK} 48",
        [
            ("request_1", "ok", [-0.034119852, 0.0025719088, 0.017325249]),
            ("request_2", "ok", [0.020208105, -0.016668973, -0.011120025, -0.063684635]),
        ],
    ),
    "vertex_generate_gcs/output_generative-ai_notebook_cell30.jsonl": (
        f"{NOTEBOOK} 30",
        [(None, "ok", GARDEN)],
    ),
    "vertex_generate_gcs/output_docs_success_2024-11.pretty.json": (GCS, [(None, "ok", SELFIES)]),
    "vertex_generate_gcs/output_docs_failed_2025-07.pretty.json": (
        GCS,
        [(None, "error", WRONG_ROLE)],
    ),
    "vertex_generate_bq/output_docs_success_response_column.json": (
        BIGQUERY,
        [(None, "ok", FLOUR)],
    ),
    "vertex_generate_bq/output_docs_failed_status_column.txt": (
        BIGQUERY,
        [(None, "malformed", None)],
    ),
    "vertex_generate_bq/output_docs_failed_request_column.json": (
        BIGQUERY,
        [(None, "empty", None)],
    ),
    "vertex_embed/output_gemini-embedding_docs_elided.txt": (
        EMBEDDINGS,
        [(None, "malformed", None)] * 2,
    ),
    "vertex_embed/output_legacy_docs_elided.txt": (EMBEDDINGS, [(None, "malformed", None)] * 2),
    "vertex_embed/output_legacy_bq_docs_elided.md": (EMBEDDINGS, [(None, "malformed", None)] * 4),
}


def written(path: Path, *lines: bytes | dict[str, Any]) -> Path:
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"".join(text + b"\n" for text in texts))
    return path


def as_lines(sample: Path, folder: Path) -> Path:
    """The sample itself, or a copy with its one JSON value on one line."""
    if sample.suffix != ".json":
        return sample
    return written(folder / "line.jsonl", json.loads(sample.read_bytes()))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return bk.read_responses(path).to_pylist()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_output_has_its_key_status_and_text_or_vector(
    name: str, tmp_path: Path
) -> None:
    source, expected = PUBLISHED[name]
    rows = rows_of(as_lines(SAMPLES / name, tmp_path))
    assert [(row["key"], row["status"]) for row in rows] == [line[:2] for line in expected], source
    for row, (_, status, said) in zip(rows, expected, strict=True):
        if isinstance(said, list):
            assert row["embedding"] == [float(np.float32(value)) for value in said]
            assert row["response"] is None
        elif status == "error":
            assert (row["error_message"], row["response"]) == (said, None)
        else:
            assert (row["response"], row["embedding"]) == (said, None)


def test_every_published_output_is_in_the_table() -> None:
    there = {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("output_*")}
    assert there == set(PUBLISHED)


def test_published_counts_versions_and_reasons_come_with_the_rows() -> None:
    first, second = rows_of(SAMPLES / "dev_generate/output_cookbook_cell25.jsonl")
    names = ("prompt_tokens", "output_tokens", "thoughts_tokens", "cached_tokens", "total_tokens")
    assert [first[name] for name in names] == [8, 11, 829, None, 848]
    assert [second[name] for name in names] == [9, 63, 1180, None, 1252]
    assert first["model_version"] == "gemini-2.5-flash"
    assert first["finish_reason"] == "STOP"
    vector = rows_of(SAMPLES / "dev_embed/output_cookbook_cell48.jsonl")[0]
    assert [vector[name] for name in names] == [1, None, None, None, 1]


def test_a_published_failure_has_its_reason(tmp_path: Path) -> None:
    sample = SAMPLES / "vertex_generate_gcs/output_docs_failed_2025-07.pretty.json"
    (row,) = rows_of(as_lines(sample, tmp_path))
    assert row["error_code"] == "INVALID_ARGUMENT"
    assert len(row["request_hash"]) == 64


@pytest.mark.parametrize("as_text", [False, True], ids=["as JSON", "as text"])
def test_a_bigquery_row_is_read_with_its_columns_as_json_or_as_text(
    tmp_path: Path, *, as_text: bool
) -> None:
    folder = SAMPLES / "vertex_generate_bq"
    answer = json.loads((folder / "output_docs_success_response_column.json").read_bytes())
    request = json.loads((folder / "output_docs_failed_request_column.json").read_bytes())
    status = (folder / "output_docs_failed_status_column.txt").read_text(encoding="utf-8")

    def column(value: Any) -> Any:
        return json.dumps(value) if as_text else value

    path = written(
        tmp_path / "rows.jsonl",
        {"key": "r1", "request": column(request), "response": column(answer), "status": ""},
        {"key": "r2", "request": column(request), "response": column({}), "status": status},
        {"key": "r3", "request": column(request), "response": None, "status": status},
    )
    good, bad, null = rows_of(path)
    assert (good["key"], good["status"], good["response"]) == ("r1", "ok", FLOUR)
    assert (bad["key"], bad["status"], bad["error_code"]) == ("r2", "error", "INVALID_ARGUMENT")
    assert bad["error_message"] == null["error_message"] == WRONG_ROLE
    assert good["request_hash"] == bad["request_hash"] == null["request_hash"] is not None


def test_the_columns_are_those_that_the_documentation_names(tmp_path: Path) -> None:
    table: pa.Table = bk.read_responses(written(tmp_path / "empty.jsonl"))
    assert table.num_rows == 0
    assert table.column_names == [
        "key",
        "status",
        "response",
        "embedding",
        "finish_reason",
        "error_code",
        "error_message",
        "prompt_tokens",
        "output_tokens",
        "thoughts_tokens",
        "cached_tokens",
        "total_tokens",
        "model_version",
        "notes",
        "request_hash",
        "line",
        "file",
    ]


def test_several_files_come_in_the_order_given_with_their_line_numbers(tmp_path: Path) -> None:
    second = written(tmp_path / "b.jsonl", {"key": "x", "response": {}}, b"", {"key": "y"})
    first = written(tmp_path / "a.jsonl", b" \t", {"key": "z"})
    table = bk.read_responses([second, str(first)])
    assert table.select(["key", "line", "file"]).to_pylist() == [
        {"key": "x", "line": 1, "file": str(second)},
        {"key": "y", "line": 3, "file": str(second)},
        {"key": "z", "line": 2, "file": str(first)},
    ]


def test_more_lines_than_one_batch_holds_all_come(tmp_path: Path) -> None:
    path = written(tmp_path / "many.jsonl", *({"key": f"k{i}"} for i in range(10_000)))
    table = bk.read_responses(path)
    assert table.column("key").to_pylist() == [f"k{i}" for i in range(10_000)]
    assert table.column("line").to_pylist() == list(range(1, 10_001))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"key":"a","response":{"cand', id="cut in the middle"),
        pytest.param(b'{"key":"\xff\xfe"}', id="broken UTF-8"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="UTF-16"),
        pytest.param(b'{"key":"a","response":{"candidates":[{"avgLogprobs":NaN}]}}', id="NaN"),
        pytest.param(b"[" * 100_000, id="brackets"),
        pytest.param(b'"\\ud83d"' + b"[" * 100_000, id="brackets and half an emoji"),
        pytest.param(b'["\\ud83d",' + b"[" * 50_000 + b"]" * 50_000 + b"]", id="a deep list"),
        pytest.param(b'[{"key":"a"}]', id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b"1e999", id="infinity"),
        pytest.param(b'{"key":1e999,"x":"\\ud83d"', id="infinity and half an emoji, cut"),
        pytest.param(b"9" * 5_000, id="a long number"),
        pytest.param(b'["\\ud83d",' + b"9" * 5_000 + b"]", id="a long number and half an emoji"),
        pytest.param(b"\x00\x01\x02", id="control characters"),
    ],
)
def test_a_line_that_cannot_be_read_is_malformed_and_the_next_is_read(
    line: bytes, tmp_path: Path
) -> None:
    bad, good = rows_of(written(tmp_path / "out.jsonl", line, {"key": "b", "response": {}}))
    assert (bad["key"], bad["status"], bad["line"]) == (None, "malformed", 1)
    assert bad["error_message"]
    assert (good["key"], good["line"]) == ("b", 2)


def test_a_last_line_without_its_newline_is_read(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"key":"a"}\r\n{"key":"b"}')
    assert [row["key"] for row in rows_of(path)] == ["a", "b"]


def test_text_that_other_readers_cut_at_is_one_line(tmp_path: Path) -> None:
    text = "one\u2028two\u2029three\x85four\x0bfive\x0csix"
    answer = {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
    line = json.dumps({"key": "k\u2028", "response": answer}, ensure_ascii=False).encode()
    (row,) = rows_of(written(tmp_path / "out.jsonl", line))
    assert (row["key"], row["response"]) == ("k\u2028", text)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"none\.jsonl cannot be read: No such file"):
        bk.read_responses(tmp_path / "none.jsonl")
    with pytest.raises(RowsError, match="cannot be read: Is a directory"):
        bk.read_responses([tmp_path])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["key", "response"]), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.lists(st.binary() | JSON.map(lambda value: json.dumps(value).encode())))
def test_no_line_is_an_exception_and_each_is_one_row(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]
) -> None:
    lines = [text.replace(b"\n", b" ") for text in texts]
    path = written(tmp_path_factory.mktemp("law") / "out.jsonl", *lines)
    rows = rows_of(path)
    present = [number for number, line in enumerate(lines, 1) if line.strip(b" \t\r\n")]
    assert [row["line"] for row in rows] == present
    assert {row["status"] for row in rows} <= {
        *("ok", "truncated", "blocked", "empty", "malformed", "error"),
    }


def test_a_line_without_an_end_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(b'{"key": "a", "response": {}}\n')
        file.truncate(3_000_000_000)  # a hole, which takes no disk
    code = (
        "import resource, sys, batchkit as bk\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))\n"
        "print(bk.read_responses(sys.argv[1]).column('status').to_pylist())"
    )
    command = [sys.executable, "-c", code, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert said.stdout.strip() == "['empty', 'malformed']", said.stderr[-500:]
