from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.canonical import HASH_VERSION, LABEL, canonical_request, request_hash, value_hash
from batchkit.fields import FieldTable, field_table
from tests.echoing import echoed

if TYPE_CHECKING:
    import random

VERTEX = field_table("vertex")
GCS_SAMPLES = Path(__file__).parent / "samples" / "vertex_generate_gcs"


def generate_hash(body: dict[str, Any]) -> str:
    return request_hash(body, VERTEX, "GenerateContentRequest")


def canonical(body: dict[str, Any]) -> Any:
    return canonical_request(body, VERTEX, "GenerateContentRequest")


def test_a_request_is_one_value_in_the_names_of_the_rest_api() -> None:
    body = {
        "system_instruction": {"parts": {"text": "be brief"}},
        "contents": {"role": None, "parts": [{"text": "hi", "file_data": None}]},
        "generation_config": {
            "temperature": 1.0,
            "stop_sequences": "end",
            "thinking_config": {"thinking_budget": 0.0},
        },
        "labels": {LABEL: "bk-abc", "team": "shop"},
        "tools": None,
    }
    assert canonical(body) == {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [{"parts": [{"text": "hi"}]}],
        "generationConfig": {
            "temperature": 1,
            "stopSequences": ["end"],
            "thinkingConfig": {"thinkingBudget": 0},
        },
        "labels": {"team": "shop"},
    }


def test_hash_version_1_is_that_of_compact_json_with_sorted_keys() -> None:
    plain = '{"contents":[{"parts":[{"text":"é"}],"role":"user"}],"generationConfig":{"topK":1}}'
    body = {
        "generation_config": {"top_k": 1.0},
        "contents": [{"role": "user", "parts": {"text": "é"}}],
    }
    assert generate_hash(body) == hashlib.sha256(plain.encode()).hexdigest()
    assert HASH_VERSION == 1


def test_the_body_that_was_given_is_not_changed() -> None:
    body: dict[str, Any] = {"labels": {LABEL: "x"}, "contents": {"parts": None, "n": 1.0}}
    before = json.dumps(body)
    canonical(body)
    assert json.dumps(body) == before


@pytest.mark.parametrize("labels", [None, {}, {LABEL: "bk-abc"}], ids=["null", "empty", "ours"])
def test_labels_that_say_nothing_are_as_none(labels: Any) -> None:
    assert generate_hash({"contents": [], "labels": labels}) == generate_hash({"contents": []})


def test_a_label_of_the_user_is_part_of_the_request() -> None:
    mine = generate_hash({"contents": [], "labels": {"team": "shop", LABEL: "bk-abc"}})
    assert mine == generate_hash({"contents": [], "labels": {"team": "shop"}})
    assert mine != generate_hash({"contents": [], "labels": {"team": "sale"}})
    assert mine != generate_hash({"contents": []})


@pytest.mark.parametrize(
    "field",
    [
        {"contents": [{"parts": [{"functionCall": {"name": "f", "args": "USER"}}]}]},
        {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": "USER"}}]}]},
        {"generationConfig": {"responseSchema": "USER"}},
        {"generationConfig": {"responseJsonSchema": "USER"}},
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": "USER"}]}]},
        {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": "USER"}]}]},
        {"labels": "USER"},
        {"noSuchField": "USER"},
    ],
    ids=["args", "response", "schema", "JSON schema", "parameters", "…", "labels", "unknown"],
)
def test_names_nulls_and_lists_of_the_user_s_own_are_not_touched(field: dict[str, Any]) -> None:
    user = {
        "system_instruction": "mine",
        "parts": {"text": None},
        "max_output_tokens": "7",
        "properties": {"file_data": {"type": "STRING", "nullable": None}},
        "any_of": [],
    }

    def with_user(value: Any) -> dict[str, Any]:
        return json.loads(json.dumps(field).replace('"USER"', json.dumps(value)))

    assert canonical(with_user(user)) == with_user(user)
    for changed in (
        {**user, "systemInstruction": user["system_instruction"]},
        {**user, "parts": [{"text": None}]},
        {**user, "parts": {}},
        {**user, "max_output_tokens": 7},
    ):
        assert generate_hash(with_user(changed)) != generate_hash(with_user(user))


def test_numbers_are_equal_however_they_are_written_and_whoever_s_they_are() -> None:
    def hash_of(number: str) -> str:
        said = '{"contents":[{"parts":[{"functionCall":{"name":"f","args":{"n":%s}}}]}]}' % number  # noqa: UP031
        return generate_hash(json.loads(said))

    assert hash_of("1") == hash_of("1.0") == hash_of("1e0") == hash_of("10e-1")
    assert hash_of("0") == hash_of("-0.0")
    assert hash_of("4611686018427387904") == hash_of("4611686018427387904.0")
    assert len({hash_of(n) for n in ("1", "-1", "1.5", '"1"', "true", "null", "[1]", "1e300")}) == 8


INTEGERS = FieldTable(
    "vertex", "20260101", {"Request": {"fields": {"count": "int64", "name": "string"}}}
)


@pytest.mark.parametrize("number", [0, 7, -7, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_int64_is_the_same_as_a_number_and_as_text(number: int) -> None:
    as_text = request_hash({"count": str(number)}, INTEGERS, "Request")
    assert as_text == request_hash({"count": number}, INTEGERS, "Request")
    assert request_hash({"name": str(number)}, INTEGERS, "Request") != request_hash(
        {"name": number}, INTEGERS, "Request"
    )


@pytest.mark.parametrize("text", ["--5", "²", "", "-", "1.5", str(2**63), "9" * 30, "seven"])
def test_text_that_is_no_int64_stays_text(text: str) -> None:
    assert canonical_request({"count": text}, INTEGERS, "Request") == {"count": text}
    assert len(request_hash({"count": text}, INTEGERS, "Request")) == 64


def test_a_published_echo_has_the_hash_of_its_request() -> None:
    """https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage

    The request is the page's input line; the echo pads each part with nulls.
    """
    question = "What is the relation between the following video and image samples?"
    samples = "gs://cloud-samples-data/generative-ai"
    video = {"fileUri": f"{samples}/video/animals.mp4", "mimeType": "video/mp4"}
    image = {"fileUri": f"{samples}/image/cricket.jpeg", "mimeType": "image/jpeg"}
    parts = [{"text": question}, {"fileData": video}, {"fileData": image}]
    row = json.loads((GCS_SAMPLES / "output_docs_success_2024-11.pretty.json").read_bytes())
    assert generate_hash({"contents": [{"role": "user", "parts": parts}]}) == generate_hash(
        row["request"]
    )


def test_a_published_echo_in_snake_case_has_the_hash_of_its_request() -> None:
    """https://github.com/GoogleCloudPlatform/generative-ai/blob/23b75dab/gemini/batch-prediction/intro_batch_prediction.ipynb"""
    image = "gs://cloud-samples-data/generative-ai/image/gardening-tools.jpeg"
    parts = [
        {"text": "List objects in this image."},
        {"fileData": {"fileUri": image, "mimeType": "image/jpeg"}},
    ]
    body = {
        "contents": [{"role": "user", "parts": parts}],
        "generationConfig": {"temperature": 0.4},
    }
    line = (GCS_SAMPLES / "output_generative-ai_notebook_cell30.jsonl").read_bytes()
    assert generate_hash(body) == generate_hash(json.loads(line)["request"])


def test_the_same_prompt_under_another_instruction_is_another_request() -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    instructed = {**body, "systemInstruction": {"parts": [{"text": "in French"}]}}
    assert generate_hash(body) != generate_hash(instructed)


def test_equal_values_have_equal_hashes_whatever_the_order_of_their_keys() -> None:
    assert value_hash({"a": 1, "b": {"c": 2, "d": []}}) == value_hash(
        {"b": {"d": [], "c": 2}, "a": 1}
    )
    assert value_hash([1, 2]) != value_hash([2, 1])


TEXT = st.text(max_size=5)
SCALARS = TEXT | st.integers(-(2**53), 2**53) | st.booleans() | st.none()
USER = st.dictionaries(
    st.sampled_from(["system_instruction", "fileData", "file_data", "parts", "a"]),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2), max_leaves=3),
    max_size=3,
)
PART = st.fixed_dictionaries({"text": TEXT}) | st.one_of(
    st.fixed_dictionaries({"fileData": st.fixed_dictionaries({"fileUri": TEXT, "mimeType": TEXT})}),
    st.fixed_dictionaries({"functionCall": st.fixed_dictionaries({"name": TEXT, "args": USER})}),
    st.fixed_dictionaries(
        {"functionResponse": st.fixed_dictionaries({"name": TEXT, "response": USER})}
    ),
)
CONTENT = st.fixed_dictionaries({"parts": st.lists(PART, min_size=1, max_size=3)})
CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.integers(0, 2) | st.floats(0, 2),
        "maxOutputTokens": st.integers(1, 2**31 - 1),
        "stopSequences": st.lists(TEXT, min_size=1, max_size=2),
        "responseSchema": USER,
        "thinkingConfig": st.fixed_dictionaries({"includeThoughts": st.booleans()}),
    },
)
DECLARATION = st.fixed_dictionaries({"name": TEXT, "parameters": USER})
BODY = st.fixed_dictionaries(
    {"contents": st.lists(CONTENT, min_size=1, max_size=2)},
    optional={
        "systemInstruction": CONTENT,
        "generationConfig": CONFIG,
        "labels": st.dictionaries(st.sampled_from(["team", "shop_id"]), TEXT, min_size=1),
        "tools": st.lists(
            st.fixed_dictionaries(
                {"functionDeclarations": st.lists(DECLARATION, min_size=1, max_size=2)}
            ),
            min_size=1,
            max_size=1,
        ),
    },
)


@settings(deadline=None)
@given(body=BODY, chance=st.randoms(use_true_random=False), is_labelled=st.booleans())
def test_an_echo_has_the_hash_of_its_request(
    *, body: dict[str, Any], chance: random.Random, is_labelled: bool
) -> None:
    sent = {**body, "labels": {**body.get("labels", {}), LABEL: "bk-x"}} if is_labelled else body
    echo = json.loads(json.dumps(echoed(sent, "", chance)))
    assert generate_hash(echo) == generate_hash(body)


@settings(deadline=None)
@given(BODY)
def test_a_canonical_request_is_its_own_and_forgets_nothing(body: dict[str, Any]) -> None:
    plain = canonical(body)
    assert canonical(plain) == plain
    assert plain.keys() == body.keys()
    for name in body:
        without = {other: value for other, value in body.items() if other != name}
        assert generate_hash(without) != generate_hash(body)
    other = {**body, "contents": [*body["contents"], {"parts": [{"text": "more"}]}]}
    assert generate_hash(other) != generate_hash(body)
