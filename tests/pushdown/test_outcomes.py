from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud.bigquery import SchemaField
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchkit.outcome import FINISH_STATUSES
from batchkit.pushdown.outcomes import OUTCOME_COLUMNS, answers_sql, outcomes_sql
from batchkit.wire import RPC_REASONS, decode_item

if TYPE_CHECKING:
    from tests.warehouse import Warehouse

SAMPLES = Path(__file__).parent.parent / "samples"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def candidate(*parts: Any, reason: Any = "STOP", **fields: Any) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, **fields}


def generated(*candidates: Any, **fields: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), **fields}


def by_rules(item: dict[str, Any]) -> dict[str, Any]:
    """The outcome that the row-by-row way gives a row of an output table."""
    said = decode_item(item, keep_body=True)
    outcome = {
        name: getattr(said, "text" if name == "response" else name) for name in OUTCOME_COLUMNS
    }
    return {**outcome, "notes": list(said.notes), "raw": read(said.body)}


def read(body: str | None) -> Any:
    """A body as a value: how JSON is written is not what is compared."""
    return None if body is None else json.loads(body)


def by_sql(
    bigquery: Warehouse, items: list[dict[str, Any]], kind: str = "STRING", name: str = "answers"
) -> dict[str, dict[str, Any]]:
    """The outcomes that SQL gives the rows of an output table, by key."""
    fields = [("key", "STRING"), ("request", "STRING"), ("response", kind), ("status", "STRING")]
    schema = [SchemaField(field, type_) for field, type_ in fields]
    rows = [{**item, "request": "{}"} for item in items]
    bigquery.load(rows, name, schema=schema, write_disposition="WRITE_TRUNCATE")
    found = bigquery.ask(outcomes_sql(answers_sql(bigquery.sql(name), kind)))
    outcomes = {row.pop("batchkit_key"): {**row, "raw": read(row["raw"])} for row in found}
    assert len(outcomes) == len(found)
    return outcomes


def answered(answer: Any, key: str = "a", status: str | None = "") -> dict[str, Any]:
    body = None if answer is None else json.dumps(answer, ensure_ascii=False)
    return {"key": key, "response": body, "status": status}


def assert_equal_outcomes(bigquery: Warehouse, items: list[dict[str, Any]]) -> None:
    found = by_sql(bigquery, items)
    assert found == {item["key"]: by_rules(item) for item in items}


PARTS: dict[str, Any] = {
    "a null content": None,
    "an empty content": {},
    "no parts": {"role": "model"},
    "empty parts": {"parts": []},
    "null parts": {"parts": None},
    "an empty part": {"parts": [{}]},
    "an empty text": {"parts": [{"text": ""}]},
    "a null text": {"parts": [{"text": None}]},
    "a text that is a number": {"parts": [{"text": 5}]},
    "thoughts only": {"parts": [{"text": "hm", "thought": True}]},
    "a signature only": {"parts": [{"thoughtSignature": "c2ln"}]},
    "null siblings": {"parts": [{"text": None, "functionCall": None}]},
    "parts of another type": {"parts": "text"},
    "a content of another type": "text",
    "parts that are null": {"parts": [None, {"text": "a"}]},
    "parts as an object": {"parts": {"text": "a"}},
    "several parts": {
        "parts": [
            {"text": "let me see", "thought": True},
            {"text": "one ", "thoughtSignature": "c2ln"},
            {"text": "two", "thought": False},
            {"thoughtSignature": "c2ln"},
        ]
    },
    "a call": {"parts": [{"text": None, "functionCall": {"name": "f", "args": {}}}]},
    "media": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]},
    "code": {"parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "b"}]},
    "a thought that calls": {"parts": [{"functionCall": {"name": "f"}, "thought": True}]},
}
FEEDBACK = {"blockReason": "SAFETY", "blockReasonMessage": "unsafe"}
ANSWERS: dict[str, Any] = {
    **{
        name: {"candidates": [{"content": content, "finishReason": "STOP"}]}
        for name, content in PARTS.items()
    },
    "nothing": None,
    "an empty object": {},
    "a text": "text",
    "a number": 1,
    "a boolean": True,
    "a list": ["candidates"],
    "candidates that are an object": {"candidates": {"content": {}}},
    "candidates that are a text": {"candidates": "text"},
    "candidates that are a number": {"candidates": 1},
    "a candidate that is null": {"candidates": [None]},
    "a candidate that is a list": {"candidates": [[]]},
    "null candidates": {"candidates": None},
    "no candidates": {"candidates": []},
    "candidates that are false": {"candidates": False},
    "half an answer": generated(candidate({"text": "half an"}, reason="MAX_TOKENS")),
    "all thought": generated(candidate(reason="MAX_TOKENS")),
    "no reason": generated(candidate({"text": "a"}, reason=None)),
    "an empty reason": generated(candidate({"text": "a"}, reason="")),
    "no reason and no text": generated(candidate(reason=None)),
    "a new reason": generated(candidate({"text": "a"}, reason="NEW_IN_2027")),
    "a message": generated(candidate(reason="SAFETY", finishMessage="I cannot")),
    "a message of a good answer": generated(candidate({"text": "a"}, finishMessage="fine")),
    "a message and no text": generated(candidate(finishMessage="so it is")),
    "a blocked prompt": {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
    "a blocked prompt with words": generated(candidate(), promptFeedback=FEEDBACK),
    "a blocked prompt and an answer": generated(candidate({"text": "a"}), promptFeedback=FEEDBACK),
    "a prompt that passed": {"promptFeedback": {"safetyRatings": []}},
    "feedback of another type": {"promptFeedback": "SAFETY"},
    "two candidates": generated(candidate({"text": "b"}, index=1), candidate({"text": "a"})),
    "two candidates and no reason": generated(
        candidate({"text": "b"}, reason=None), candidate({"text": "a"}, index=-1, reason=None)
    ),
    "fields nobody knows": generated(
        candidate({"text": "a", "new": {}}, newer=[1]), embedding=None, modelVersion=3
    ),
    "a model version": generated(candidate({"text": "a"}), modelVersion="gemini-2.5-flash"),
    "an empty embedding": {"embedding": {}},
    "an embedding of nulls": {"embedding": {"values": None}},
}


def test_answers_of_every_shape_have_the_outcomes_of_the_row_by_row_way(
    bigquery: Warehouse,
) -> None:
    assert_equal_outcomes(bigquery, [answered(answer, key) for key, answer in ANSWERS.items()])


def test_every_finish_reason_has_its_status(bigquery: Warehouse) -> None:
    items = [
        answered(generated(candidate(*parts, reason=reason)), f"{reason} {len(parts)}")
        for reason in FINISH_STATUSES
        for parts in ([], [{"text": "a"}])
    ]
    assert_equal_outcomes(bigquery, items)


COUNTS: list[Any] = [0, 7, 7.0, 2**53 + 1, 2**63 - 1, 2**63, 1e30, 7.5, -1, True, None, [7], {}]
USAGES: list[Any] = [None, "7", [], {}]
TEXTS = ["0", "7", str(2**53 + 1), str(2**63 - 1), str(2**63), "9" * 50, "-1", "seven", "²", ""]


def test_counts_are_numbers_or_their_texts(bigquery: Warehouse) -> None:
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    names += ("cachedContentTokenCount", "totalTokenCount")
    items = [
        answered(generated(candidate({"text": "a"}), usageMetadata={name: count}), f"{i} {name}")
        for i, count in enumerate([*COUNTS, *TEXTS])
        for name in names
    ]
    items += [
        answered(generated(candidate({"text": "a"}), usageMetadata=usage), f"usage {usage}")
        for usage in USAGES
    ]
    assert_equal_outcomes(bigquery, items)


# Without a message an error that is UNKNOWN is told in other words, so 0 and 2 are looked at below.
CODES_WITHOUT_WORDS = (1, *range(3, 17), 429, 500, 504)
STATUSES = [
    'Bad Request: {"error": {"code": 400, "message": "wrong role", "status": "INVALID_ARGUMENT"}}',
    'Bad Request: {"error":{"code":400,"message":"a\\nb: {}"}} ',
    '{"code": 8, "message": "quota"}',
    '{"code": 0, "message": "odd"}',
    '{"code": 999, "message": "odd"}',
    '{"error": {"error": {"status": "ABORTED", "message": "o"}}}',
    '{"error": "quota"}',
    '{"error": "UNAVAILABLE: try again"}',
    '{"error": {}, "code": 13}',
    '{"error": null, "code": 13, "message": ""}',
    "INVALID_ARGUMENT",
    " INTERNAL : try later",
    "OK: odd",
    "Error: quota exceeded",
    'Bad Request: {"error": {"code',
    "Bad Request: {}",
    "two\nlines",
    'Bad Request: {"error":\n{"code": 404}}\n',
    *(f'Error: {{"error": {{"code": {code}}}}}' for code in CODES_WITHOUT_WORDS),
    *RPC_REASONS[1:],
]


def test_a_status_that_is_not_empty_is_a_failure(bigquery: Warehouse) -> None:
    answer = generated(candidate({"text": "a"}))
    items = [answered(answer if i % 2 else None, f"{i}", s) for i, s in enumerate(STATUSES)]
    assert_equal_outcomes(bigquery, items)


def published() -> list[dict[str, Any]]:
    """Every published line of generation, as a row of an output table."""
    items: list[dict[str, Any]] = []
    for folder in ("dev_generate", "vertex_generate_gcs"):
        for path in sorted((SAMPLES / folder).glob("output_*")):
            content = path.read_text()
            lines = [content] if "pretty" in path.name else content.splitlines()
            for line in filter(None, lines):
                item = json.loads(line)
                status = item.get("status") or ""
                items.append(answered(item.get("response"), f"{path.name} {len(items)}", status))
    rows = SAMPLES / "vertex_generate_bq"
    success = json.loads((rows / "output_docs_success_response_column.json").read_text())
    failure = (rows / "output_docs_failed_status_column.txt").read_text().strip()
    return [*items, answered(success, "bq success"), answered({}, "bq failure", failure)]


@pytest.mark.parametrize("kind", ["STRING", "JSON"])
def test_published_answers_have_the_outcomes_of_the_row_by_row_way(
    bigquery: Warehouse, kind: str
) -> None:
    items = published()
    assert len(items) > 5
    assert {by_rules(item)["status"] for item in items} >= {"ok", "error"}
    is_json = kind == "JSON"
    rows = [{**i, "response": json.loads(i["response"] or "null")} for i in items]
    found = by_sql(bigquery, rows if is_json else items, kind)
    assert found == {item["key"]: by_rules(item) for item in items}


def test_an_error_without_words_is_told_as_it_came(bigquery: Warehouse) -> None:
    statuses = ['Error: {"code": 2}', 'Error: {"code": 0}', '{"reason": "x"}']
    found = by_sql(bigquery, [answered(None, status, status) for status in statuses])
    told = {
        key: (row["status"], row["error_code"], row["error_message"]) for key, row in found.items()
    }
    assert told == {status: ("error", "UNKNOWN", status) for status in statuses}


def test_a_response_that_is_no_json_is_malformed_and_a_null_status_is_none(
    bigquery: Warehouse,
) -> None:
    items = [{"key": text, "response": text, "status": ""} for text in ("", "nope", '{"a":', "[")]
    items.append(answered(generated(candidate({"text": "a"})), "no status", None))
    assert_equal_outcomes(bigquery, items)


def test_a_vector_is_no_answer_to_a_prompt(bigquery: Warehouse) -> None:
    found = by_sql(bigquery, [answered({"embedding": {"values": [1.0]}})])["a"]
    assert (found["status"], found["response"]) == ("malformed", None)
    assert found["error_message"] == "the answer is a vector, and none was asked for"


def test_equal_answers_to_one_key_count_once_and_differing_ones_are_an_error(
    bigquery: Warehouse,
) -> None:
    one, other = (generated(candidate({"text": text})) for text in "ab")
    items = [answered(one, "same"), answered(one, "same"), answered(one, "answers")]
    items += [
        answered(other, "answers"),
        answered(one, "failures"),
        answered(one, "failures", "no"),
    ]
    items += [answered(one, "silence"), answered(None, "silence"), answered(one, "alone")]
    found = by_sql(bigquery, items)
    statuses = {key: (row["status"], row["error_code"]) for key, row in found.items()}
    conflict = ("error", "CONFLICT")
    assert statuses == {
        "same": ("ok", None),
        "alone": ("ok", None),
        "answers": conflict,
        "failures": conflict,
        "silence": conflict,
    }
    assert (found["answers"]["response"], found["answers"]["raw"]) == (None, None)
    assert found["answers"]["error_message"] == "the service gave differing answers to one key"


PIECE = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXT | st.none() | st.integers(-5, 5),
        "thought": st.booleans() | st.none(),
        "functionCall": st.none() | st.just({"name": "f"}),
    },
)
CANDIDATE = st.fixed_dictionaries(
    {},
    optional={
        "content": st.none() | st.fixed_dictionaries({}, optional={"parts": st.lists(PIECE)}),
        "finishReason": st.none() | st.sampled_from(["", "NEW", *FINISH_STATUSES]),
        "finishMessage": TEXT | st.none(),
        "index": st.integers(-3, 3),
    },
)
ANSWER = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.none() | st.lists(CANDIDATE, max_size=3),
        "promptFeedback": st.none()
        | st.fixed_dictionaries({}, optional={"blockReason": TEXT, "blockReasonMessage": TEXT}),
        "modelVersion": TEXT | st.none() | st.integers(),
    },
)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(ANSWER, min_size=20, max_size=40))
def test_answers_of_any_text_have_the_outcomes_of_the_row_by_row_way(
    bigquery: Warehouse, answers: list[Any]
) -> None:
    assert_equal_outcomes(bigquery, [answered(a, str(i)) for i, a in enumerate(answers)])
