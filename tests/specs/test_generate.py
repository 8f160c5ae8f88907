from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pydantic
import pytest
from google.genai import types

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import SetupError, TemplateError
from batchkit.specs.generate import Generate
from batchkit.wire import dialect_for
from tests.specs.asked import asked

MODEL = "gemini-3.8-flash"
DIALECT = dialect_for("gemini", "generate")
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}}
REST_SCHEMA = {
    "type": "OBJECT",
    "properties": {"label": {"type": "STRING"}},
    "propertyOrdering": ["label"],
}


class Verdict(pydantic.BaseModel):
    label: str


class Colour(enum.Enum):
    RED = "red"


def body(prompt: Any = "{x}", **options: Any) -> Any:
    """The request that a spec makes of a row whose column `x` is a."""
    return asked(bk.generate(MODEL, prompt, **options), {"x": ["a"]})[0]


def config(**options: Any) -> Any:
    return body(**options)["generationConfig"]


def errors(spec: Generate) -> list[str]:
    return [str(found) for found in spec.problems(DIALECT) if found.severity == "error"]


def test_a_prompt_alone_is_a_request_of_one_text() -> None:
    assert body("Say {x}") == {"contents": [{"role": "user", "parts": [{"text": "Say a"}]}]}


def test_everything_that_the_api_takes_has_its_place_in_the_request() -> None:
    assert body(
        "{x}",
        system="Be brief",
        config={"temperature": 0.2},
        safety={"harassment": "OFF"},
        tools=[{"googleSearch": {}}],
        tool_config={"functionCallingConfig": {"mode": "NONE"}},
        cached_content="cachedContents/1",
    ) == {
        "contents": [{"role": "user", "parts": [{"text": "a"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief"}]},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "tools": [{"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
        "cachedContent": "cachedContents/1",
        "generationConfig": {"temperature": 0.2},
    }


def test_the_sdk_s_config_gives_a_request_that_the_service_takes() -> None:
    spec = bk.generate(
        MODEL,
        "{x}",
        config=types.GenerateContentConfig(
            system_instruction="Be brief",
            temperature=0.2,
            max_output_tokens=100,
            thinking_config=types.ThinkingConfig(thinking_budget=0),
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory.HARM_CATEGORY_HATE_SPEECH,
                    threshold=types.HarmBlockThreshold.BLOCK_NONE,
                )
            ],
            tools=[types.Tool(code_execution=types.ToolCodeExecution())],
            response_mime_type="application/json",
            response_schema=Verdict,
            http_options=types.HttpOptions(timeout=3),
        ),
    )
    assert errors(spec) == []
    assert asked(spec, {"x": ["a"]}) == [
        {
            "contents": [{"role": "user", "parts": [{"text": "a"}]}],
            "systemInstruction": {"parts": [{"text": "Be brief"}]},
            "safetySettings": [
                {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}
            ],
            "tools": [{"codeExecution": {}}],
            "generationConfig": {
                "temperature": 0.2,
                "maxOutputTokens": 100,
                "thinkingConfig": {"thinkingBudget": 0},
                "responseMimeType": "application/json",
                "responseSchema": {
                    **REST_SCHEMA,
                    "properties": {"label": {"type": "STRING", "title": "Label"}},
                    "required": ["label"],
                    "title": "Verdict",
                },
            },
        }
    ]


@pytest.mark.parametrize(
    "safety",
    [
        {"hate_speech": "BLOCK_NONE"},
        {"HARM_CATEGORY_HATE_SPEECH": "BLOCK_NONE"},
        {types.HarmCategory.HARM_CATEGORY_HATE_SPEECH: types.HarmBlockThreshold.BLOCK_NONE},
        [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
        [types.SafetySetting(category="HARM_CATEGORY_HATE_SPEECH", threshold="BLOCK_NONE")],
    ],
    ids=["short", "long", "enums", "list", "objects"],
)
def test_safety_is_a_map_or_the_api_s_own_list(safety: Any) -> None:
    assert body(safety=safety)["safetySettings"] == [
        {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}
    ]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"config": {"temprature": 1}}, "did you mean temperature?"),
        ({"config": {"temperature": "hot"}}, "the text 'hot' instead of a number"),
        ({"config": {"system_instruction": "x"}}, "did you mean systemInstruction?"),
        ({"safety": {"hate": "BLOCK_NONE"}}, "unknown value 'HARM_CATEGORY_HATE'"),
        ({"safety": {"hate_speech": "none"}}, "unknown value 'none'"),
        ({"tools": [{"google_serch": {}}]}, "did you mean googleSearch?"),
        ({"config": types.GenerateContentConfig(labels={"a": "b"})}, "Vertex AI only"),
    ],
    ids=str,
)
def test_what_the_service_would_refuse_is_found_before_any_row(
    options: dict[str, Any], said: str
) -> None:
    (found,) = errors(bk.generate(MODEL, "{x}", **options))
    assert said in found


@pytest.mark.parametrize("schema", [SCHEMA, REST_SCHEMA, types.Schema.model_validate(REST_SCHEMA)])
def test_a_schema_asks_for_json_that_fits_it(schema: Any) -> None:
    spec = bk.generate(MODEL, "{x}", schema=schema)
    assert spec.body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseSchema": REST_SCHEMA,
    }
    assert spec.answer_schema == REST_SCHEMA
    assert errors(spec) == []


def test_a_model_of_pydantic_is_a_schema() -> None:
    schema = bk.generate(MODEL, "{x}", schema=Verdict).answer_schema or {}
    assert schema["properties"] == {"label": {"type": "STRING", "title": "Label"}}
    assert schema["required"] == ["label"]


def test_a_schema_and_a_config_come_together() -> None:
    given = {"temperature": 0.5, "response_mime_type": "application/json"}
    assert config(config=given, schema=SCHEMA) == {**given, "responseSchema": REST_SCHEMA}


@pytest.mark.parametrize(
    "given",
    [
        {"responseSchema": SCHEMA},
        {"response_schema": SCHEMA},
        {"responseJsonSchema": SCHEMA},
        types.GenerateContentConfig(response_schema=Verdict),
        types.GenerateContentConfig(response_json_schema=SCHEMA),
    ],
    ids=str,
)
def test_two_schemas_are_refused(given: Any) -> None:
    with pytest.raises(SetupError, match="given in config and as schema=; give it once"):
        bk.generate(MODEL, "{x}", config=given, schema=SCHEMA)


def test_a_schema_beside_another_type_of_answer_is_refused() -> None:
    with pytest.raises(SetupError, match="config asks for text/plain, and answers by schema= are"):
        bk.generate(MODEL, "{x}", config={"responseMimeType": "text/plain"}, schema=SCHEMA)


@pytest.mark.parametrize(
    "given",
    [
        {"responseMimeType": "application/json", "responseSchema": REST_SCHEMA},
        {"response_mime_type": "application/json", "response_schema": REST_SCHEMA},
        types.GenerateContentConfig(response_mime_type="application/json", response_schema=SCHEMA),
    ],
    ids=["camel", "snake", "sdk"],
)
def test_answers_by_the_config_s_own_schema_are_known_as_such(given: Any) -> None:
    assert bk.generate(MODEL, "{x}", config=given).answer_schema == REST_SCHEMA


@pytest.mark.parametrize(
    "given",
    [
        None,
        {"responseMimeType": "application/json"},
        types.GenerateContentConfig(response_mime_type="text/x.enum", response_schema=Colour),
    ],
    ids=["text", "free json", "enum"],
)
def test_answers_that_no_schema_describes_stay_text(given: Any) -> None:
    assert bk.generate(MODEL, "{x}", config=given).answer_schema is None


@pytest.mark.parametrize(
    "argument, field",
    [
        ({"system": "x"}, "systemInstruction"),
        ({"tools": [{"codeExecution": {}}]}, "tools"),
        ({"cached_content": "cachedContents/2"}, "cachedContent"),
    ],
    ids=["system", "tools", "cache"],
)
def test_what_is_given_twice_is_refused(argument: dict[str, Any], field: str) -> None:
    given = types.GenerateContentConfig(
        system_instruction="y",
        tools=[types.Tool(google_search={})],
        cached_content="cachedContents/1",
    )
    with pytest.raises(SetupError, match=f"^{field}: given in config and as an argument"):
        bk.generate(MODEL, "{x}", config=given, **argument)


@pytest.mark.parametrize("prompt", [None, 5, {"contents": []}])
def test_a_prompt_is_a_template_or_a_function(prompt: Any) -> None:
    with pytest.raises(SetupError, match="give a template or a function"):
        bk.generate(MODEL, prompt)


def test_an_empty_prompt_is_refused_with_the_table() -> None:
    with pytest.raises(TemplateError, match="the template is empty"):
        body("")


def test_a_text_that_a_function_returns_becomes_the_prompt() -> None:
    made = body(lambda row: f"Say {row['x']}", version="1", system="Be brief")
    assert made == body("Say {x}", system="Be brief")


def test_of_a_body_that_a_function_returns_its_own_fields_win() -> None:
    contents = [{"role": "user", "parts": [{"text": "mine"}]}]
    made = body(
        lambda _: {"contents": contents, "generation_config": {"seed": 1}},
        version="1",
        system="Be brief",
        config={"temperature": 0.5},
    )
    assert made == {
        "systemInstruction": {"parts": [{"text": "Be brief"}]},
        "contents": contents,
        "generation_config": {"seed": 1},
    }


def test_a_function_may_return_what_the_sdk_is_given() -> None:
    content = types.Content(role="user", parts=[types.Part(text="hi")])
    made = body(
        lambda _: {"contents": [content], "generationConfig": {"temperature": np.float64(0.5)}},
        version="1",
    )
    assert made == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"temperature": 0.5},
    }


@pytest.mark.parametrize(
    "spec",
    [
        bk.generate(MODEL, "{x}"),
        bk.generate(MODEL, "{x}", system="s", config={"topK": 3}, schema=SCHEMA),
        bk.generate(MODEL, len, version="1"),  # pyright: ignore[reportArgumentType]
    ],
    ids=["plain", "full", "function"],
)
def test_a_spec_survives_json(spec: Generate) -> None:
    assert Generate.from_json(jsonl.loads(jsonl.dumps(spec.to_json()))) == spec


def test_a_spec_of_a_function_that_was_read_back_cannot_be_bound() -> None:
    spec = Generate.from_json(bk.generate(MODEL, len, version="1").to_json())  # pyright: ignore[reportArgumentType]
    with pytest.raises(SetupError, match="pass the spec that holds it"):
        asked(spec, {"x": ["a"]})
