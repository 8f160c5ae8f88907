from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pydantic
import pytest
from google.genai import types

from batchkit.errors import SetupError
from batchkit.specs.rest import (
    as_plain,
    as_rest,
    as_schema,
    as_system,
    config_schema,
    model_name,
    split_config,
    split_sdk_config,
)

Config = types.GenerateContentConfig


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Verdict(pydantic.BaseModel):
    label: str
    score: float | None = None


def kept(**fields: Any) -> dict[str, Any]:
    return split_config(Config(**fields))[0]


def beside(**fields: Any) -> dict[str, Any]:
    return split_config(Config(**fields))[1]


@pytest.mark.parametrize(
    "value, plain",
    [
        ({"a": (1, [2])}, {"a": [1, [2]]}),
        ({"a": Colour.RED}, {"a": "red"}),
        ({Colour.RED: 1}, {"red": 1}),
        (types.MediaResolution.MEDIA_RESOLUTION_LOW, "MEDIA_RESOLUTION_LOW"),
        ([types.Part(text="x")], [{"text": "x"}]),
        (types.ThinkingConfig(thinking_budget=0), {"thinkingBudget": 0}),
        ({"t": np.float64(0.5)}, {"t": 0.5}),
        ({"big": 2**64 - 1, "small": -(2**63), "none": None}, None),
    ],
    ids=str,
)
def test_a_value_becomes_plain_json_values(value: Any, plain: Any) -> None:
    assert as_rest(value, "config") == (value if plain is None else plain)


def test_a_float_of_numpy_becomes_python_s_own() -> None:
    assert type(as_rest({"t": np.float64(0.5)}, "config")["t"]) is float


def test_what_was_handed_over_may_change_afterwards() -> None:
    given = {"stopSequences": ["a"]}
    plain = as_rest(given, "config")
    given["stopSequences"].append("b")
    assert plain == {"stopSequences": ["a"]}


@pytest.mark.parametrize(
    "value, said",
    [
        ({"temperature": float("nan")}, "config.temperature: nan is not JSON"),
        ({"a": [1, float("-inf")]}, "config.a[1]: -inf is not JSON"),
        ({"seed": 2**64}, "config.seed: 18446744073709551616 does not fit 64 bits"),
        ({"a": b"x"}, "config.a: a bytes is not JSON"),
        ({"a": {"b": {1, 2}}}, "config.a.b: a set is not JSON"),
        ({1: 2}, "config: the key 1 is not text"),
        ({"a": "\ud800"}, "config.a: the text holds a lone surrogate, which is not UTF-8"),
        ([print], "config[0]: a builtin_function_or_method is not JSON"),
    ],
    ids=str,
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(SetupError) as caught:
        as_rest(value, "config")
    assert str(caught.value) == said


def test_plain_values_may_still_hold_what_json_cannot() -> None:
    assert as_plain({"a": (b"x",)}, "body") == {"a": [b"x"]}


@pytest.mark.parametrize("config", [[1], "text", 5])
def test_a_config_is_a_mapping_or_an_object_of_an_sdk(config: Any) -> None:
    with pytest.raises(SetupError, match=f"config is a {type(config).__name__}: give a mapping"):
        split_config(config)


def test_a_mapping_is_taken_as_it_is() -> None:
    config = {"top_k": 3, "thinkingConfig": {"thinkingBudget": 0}, "responseSchema": {"type": "X"}}
    assert split_config(config) == (config, {})
    assert split_config(None) == ({}, {})
    assert config_schema(config) is None


@pytest.mark.parametrize(
    "fields, config",
    [
        ({"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2, "topP": 0.9}),
        ({"max_output_tokens": 5, "seed": 1}, {"maxOutputTokens": 5, "seed": 1}),
        ({"stop_sequences": ["a"]}, {"stopSequences": ["a"]}),
        (
            {"thinking_config": types.ThinkingConfig(include_thoughts=True, thinking_budget=0)},
            {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 0}},
        ),
        (
            {"thinking_config": types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW)},
            {"thinkingConfig": {"thinkingLevel": "LOW"}},
        ),
        (
            {"media_resolution": types.MediaResolution.MEDIA_RESOLUTION_LOW},
            {"mediaResolution": "MEDIA_RESOLUTION_LOW"},
        ),
        ({"response_modalities": ["AUDIO"]}, {"responseModalities": ["AUDIO"]}),
        (
            {"image_config": types.ImageConfig(aspect_ratio="1:1")},
            {"imageConfig": {"aspectRatio": "1:1"}},
        ),
        ({"response_json_schema": {"type": "object"}}, {"responseJsonSchema": {"type": "object"}}),
        ({"http_options": types.HttpOptions(timeout=3)}, {}),
        (
            {
                "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
                "should_return_http_response": True,
            },
            {},
        ),
    ],
    ids=str,
)
def test_the_sdk_s_config_becomes_the_generation_config(
    fields: dict[str, Any], config: dict[str, Any]
) -> None:
    assert split_config(Config(**fields)) == (config, {})


def test_a_generation_config_of_the_sdk_is_taken_too() -> None:
    config = types.GenerationConfig(temperature=0.1, top_k=3)
    assert split_config(config) == ({"temperature": 0.1, "topK": 3}, {})


@pytest.mark.parametrize(
    "fields, body",
    [
        (
            {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]},
            {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]},
        ),
        ({"tools": [types.Tool(google_search={})]}, {"tools": [{"googleSearch": {}}]}),
        (
            {
                "tools": [
                    types.Tool(
                        function_declarations=[
                            types.FunctionDeclaration(
                                name="f",
                                parameters=types.Schema(
                                    type=types.Type.OBJECT,
                                    properties={"a": types.Schema(type=types.Type.STRING)},
                                ),
                            )
                        ]
                    )
                ],
                "tool_config": types.ToolConfig(
                    function_calling_config=types.FunctionCallingConfig(
                        mode=types.FunctionCallingConfigMode.ANY
                    )
                ),
            },
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {
                                "name": "f",
                                "parameters": {
                                    "type": "OBJECT",
                                    "properties": {"a": {"type": "STRING"}},
                                },
                            }
                        ]
                    }
                ],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            },
        ),
        ({"cached_content": "cachedContents/1"}, {"cachedContent": "cachedContents/1"}),
        ({"labels": {"team": "shop"}}, {"labels": {"team": "shop"}}),
    ],
    ids=",".join,
)
def test_what_stands_beside_the_generation_config_is_taken_out_of_it(
    fields: dict[str, Any], body: dict[str, Any]
) -> None:
    assert split_config(Config(**fields)) == ({}, body)


@pytest.mark.parametrize(
    "system, content",
    [
        ("brief", {"parts": [{"text": "brief"}]}),
        (["one", types.Part(text="two")], {"parts": [{"text": "one"}, {"text": "two"}]}),
        (types.Part(text="one"), {"parts": [{"text": "one"}]}),
        (
            types.Content(role="user", parts=[types.Part(text="one")]),
            {"role": "user", "parts": [{"text": "one"}]},
        ),
    ],
    ids=["text", "list", "part", "content"],
)
def test_the_sdk_s_system_instruction_becomes_a_content(
    system: Any, content: dict[str, Any]
) -> None:
    assert beside(system_instruction=system) == {"systemInstruction": content}


def test_a_dumped_config_with_names_in_either_spelling_is_taken_apart() -> None:
    dumped = {"temperature": 1, "system_instruction": "x", "toolConfig": {}, "http_options": {}}
    assert split_sdk_config(dumped) == (
        {"temperature": 1},
        {"toolConfig": {}, "systemInstruction": {"parts": [{"text": "x"}]}},
    )


def test_nan_in_a_config_of_the_sdk_is_refused_with_its_place() -> None:
    with pytest.raises(SetupError, match=r"config\.temperature: nan is not JSON"):
        kept(temperature=float("nan"))


def test_a_function_as_a_tool_is_refused_with_what_to_give() -> None:
    with pytest.raises(SetupError, match=r"function.*; of a function, give its declaration"):
        kept(tools=[test_a_value_becomes_plain_json_values])


@pytest.mark.parametrize("schema", [Verdict, list[Verdict], Colour, {"type": "OBJECT"}], ids=str)
def test_the_schema_of_the_sdk_s_config_is_left_for_conversion(schema: Any) -> None:
    config = Config(response_mime_type="application/json", response_schema=schema)
    assert split_config(config) == ({"responseMimeType": "application/json"}, {})
    assert config_schema(config) is not None


@pytest.mark.parametrize(
    "schema, mapping",
    [
        ({"type": "object"}, {"type": "object"}),
        (types.Schema(type=types.Type.STRING, nullable=True), {"type": "STRING", "nullable": True}),
        (Colour, {"type": "string", "enum": ["red", "blue"], "title": "Colour"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Verdict, Verdict.model_json_schema()),
    ],
    ids=str,
)
def test_a_schema_is_a_mapping_or_what_pydantic_can_describe(
    schema: Any, mapping: dict[str, Any]
) -> None:
    assert as_schema(schema) == mapping


@pytest.mark.parametrize("schema", ["object", 5, [{"type": "string"}]], ids=str)
def test_what_is_no_schema_is_refused_with_what_to_give(schema: Any) -> None:
    with pytest.raises(SetupError, match="give a JSON Schema, a REST responseSchema or a pydantic"):
        as_schema(schema)


@pytest.mark.parametrize(
    "system, content",
    [
        ("brief", {"parts": [{"text": "brief"}]}),
        ({"parts": [{"text": "x"}], "role": "user"}, {"parts": [{"text": "x"}], "role": "user"}),
        (types.Content(parts=[types.Part(text="x")]), {"parts": [{"text": "x"}]}),
    ],
    ids=["text", "mapping", "object"],
)
def test_a_system_instruction_becomes_a_content(system: Any, content: dict[str, Any]) -> None:
    assert as_system(system) == content


@pytest.mark.parametrize("system", [5, ["text"], {"text": "x"}, None], ids=str)
def test_what_is_no_system_instruction_is_refused_with_its_form(system: Any) -> None:
    with pytest.raises(SetupError, match="system is a text, or a Content"):
        as_system(system)


@pytest.mark.parametrize(
    "model, name",
    [
        ("gemini-3.8-flash", "gemini-3.8-flash"),
        ("models/gemini-3.8-flash", "gemini-3.8-flash"),
        (" gemini-3.8-flash\n", "gemini-3.8-flash"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("publishers/google/models/x", "publishers/google/models/x"),
    ],
)
def test_a_model_is_named_without_its_prefix(model: str, name: str) -> None:
    assert model_name(model) == name


@pytest.mark.parametrize("model", ["", " ", "models/"])
def test_no_model_is_refused(model: str) -> None:
    with pytest.raises(SetupError, match="no model: name one"):
        model_name(model)
