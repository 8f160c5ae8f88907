from __future__ import annotations

import json
from typing import Any

import pytest

from batchkit.emulator.errors import ApiError
from batchkit.emulator.messages import decode_body, line_decoder

from .client import text_request


def decoded(type_name: str, value: Any) -> dict[str, Any]:
    return decode_body(type_name, json.dumps(value).encode())


def refusal(type_name: str, value: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        decoded(type_name, value)
    assert caught.value.http_status == 400
    return caught.value


def request_refusal(**fields: Any) -> str:
    return refusal("GenerateContentRequest", text_request("x") | fields).message


def line_reasons(type_name: str, value: Any) -> list[str]:
    faults: list[Any] = []
    line_decoder(type_name)(value, None, faults)
    return [f"{fault.reason} at '{fault.place}'" for fault in faults]


def test_snake_case_and_camel_case_are_the_same_field() -> None:
    snake = {
        "contents": [{"parts": [{"file_data": {"file_uri": "u", "mime_type": "m"}}]}],
        "system_instruction": {"parts": [{"text": "s"}]},
        "generation_config": {"max_output_tokens": 5, "response_modalities": ["TEXT"]},
    }
    assert decoded("GenerateContentRequest", snake) == {
        "contents": [{"parts": [{"fileData": {"fileUri": "u", "mimeType": "m"}}]}],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "generationConfig": {"maxOutputTokens": 5, "responseModalities": ["TEXT"]},
    }


def test_an_unknown_field_is_named_with_its_place_in_googles_words() -> None:
    body = {"batch": {"inputConfig": {"fileName": "files/a", "x": 1}}}
    error = refusal("BatchGenerateContentRequest", body)
    sentence = (
        "Invalid JSON payload received. Unknown name \"x\" at 'batch.input_config': "
        "Cannot find field."
    )
    assert error.message == sentence
    assert error.details == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "batch.input_config", "description": sentence}],
        }
    ]


def test_an_unknown_field_at_the_root_has_no_place() -> None:
    error = refusal("BatchGenerateContentRequest", {"temperature": 1, "batch": {}})
    assert (
        error.message
        == 'Invalid JSON payload received. Unknown name "temperature": Cannot find field.'
    )
    assert "field" not in error.details[0]["fieldViolations"][0]


def test_every_fault_of_a_body_is_listed() -> None:
    message = request_refusal(thinking_config={}, generationConfig={"topK": "many", "seed": 1.5})
    assert message.split("\n") == [
        'Invalid JSON payload received. Unknown name "thinking_config": Cannot find field.',
        "Invalid value at 'generation_config.top_k' (TYPE_INT32), \"many\"",
        "Invalid value at 'generation_config.seed' (TYPE_INT32), 1.5",
    ]


@pytest.mark.parametrize(
    "config, place",
    [
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"responseLogprobs": 1}, "response_logprobs"),
        ({"responseMimeType": 5}, "response_mime_type"),
        ({"maxOutputTokens": 2**31}, "max_output_tokens"),
        ({"maxOutputTokens": "9" * 5000}, "max_output_tokens"),
        ({"responseModalities": ["SMELL"]}, "response_modalities[0]"),
        ({"responseSchema": {"type": "TEXT"}}, "response_schema.type"),
        ({"thinkingConfig": {"includeThoughts": "yes"}}, "thinking_config.include_thoughts"),
        (
            {"responseSchema": {"properties": {"a": {"items": {"type": 1}}}}},
            "response_schema.properties.a.items.type",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_where_it_stands(config: Any, place: str) -> None:
    assert f"'generation_config.{place}'" in request_refusal(generationConfig=config)


def test_a_list_where_one_value_is_meant_is_refused_in_googles_words() -> None:
    assert request_refusal(generationConfig={"responseSchema": []}) == (
        "Invalid JSON payload received. Unknown name \"response_schema\" at 'generation_config': "
        "Proto field is not repeating, cannot start list."
    )


def test_numbers_are_read_as_proto_json_reads_them() -> None:
    config = {"topK": "40", "seed": 7.0, "temperature": "0.5", "topP": 1}
    request = decoded("GenerateContentRequest", text_request("x", **config))
    assert request["generationConfig"] == {"topK": 40, "seed": 7, "temperature": 0.5, "topP": 1}


def test_a_null_is_a_field_that_is_not_there() -> None:
    request = text_request("x") | {"generationConfig": None, "tools": None}
    assert decoded("GenerateContentRequest", request) == text_request("x")


@pytest.mark.parametrize("data", ["aGk=", "aGk", "_-8="])
def test_bytes_are_base64_in_either_alphabet(data: str) -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": data}}
    body = {"contents": [{"parts": [part]}]}
    assert decoded("GenerateContentRequest", body)["contents"][0]["parts"] == [part]


@pytest.mark.parametrize("data", ["a", "not base64!", 7])
def test_bytes_that_are_not_base64_are_refused(data: Any) -> None:
    body = {"contents": [{"parts": [{"inlineData": {"data": data}}]}]}
    assert "TYPE_BYTES" in refusal("GenerateContentRequest", body).message


def test_durations_and_timestamps_have_their_forms() -> None:
    def body(start: str, offset: str) -> dict[str, Any]:
        part = {"text": "x", "videoMetadata": {"startOffset": offset}}
        search = {"googleSearch": {"timeRangeFilter": {"startTime": start}}}
        return {"contents": [{"parts": [part]}], "tools": [search]}

    assert decoded("GenerateContentRequest", body("2026-01-06T11:09:11.9Z", "1.5s"))
    assert "Timestamp" in refusal("GenerateContentRequest", body("yesterday", "1s")).message
    assert (
        "Duration" in refusal("GenerateContentRequest", body("2026-01-06T00:00:00Z", "1")).message
    )


def test_an_empty_message_type_takes_no_field() -> None:
    assert decoded("GenerateContentRequest", text_request("x") | {"tools": [{"codeExecution": {}}]})
    assert "Cannot find field" in request_refusal(tools=[{"codeExecution": {"a": 1}}])


def test_free_objects_keep_their_field_names() -> None:
    call = {"functionCall": {"name": "f", "args": {"snake_case": {"deep_er": None}}}}
    body = {"contents": [{"role": "model", "parts": [call]}]}
    assert decoded("GenerateContentRequest", body) == body


@pytest.mark.parametrize("role", ["assistant", "system", "User", ""])
def test_a_role_that_is_none_of_the_apis_is_refused(role: str) -> None:
    message = request_refusal(contents=[{"role": role, "parts": [{"text": "x"}]}])
    assert "Please use a valid role: user, model." in message


@pytest.mark.parametrize("role", ["user", "model", "function"])
def test_the_apis_roles_are_accepted(role: str) -> None:
    body = {"contents": [{"role": role, "parts": [{"text": "x"}]}]}
    assert decoded("GenerateContentRequest", body) == body


def test_a_system_instruction_may_have_the_role_system() -> None:
    instruction = {"role": "system", "parts": [{"text": "x"}]}
    assert decoded("GenerateContentRequest", text_request("x") | {"systemInstruction": instruction})
    assert "valid role" in request_refusal(systemInstruction={"role": "boss", "parts": []})


@pytest.mark.parametrize(
    "contents, words",
    [
        ([], "contents is not specified"),
        (None, "contents is not specified"),
        ([{"role": "user"}], "contents.parts must not be empty"),
        ([{}], "contents.parts must not be empty"),
        ([{"parts": [{"text": "x"}]}, {}], "contents[1].parts: contents.parts must"),
        ([{"parts": []}], "contents.parts must not be empty"),
        ([{"parts": [{}]}], "required oneof field 'data' must have one initialized field"),
        ([{"parts": [{"text": "a", "fileData": {"fileUri": "u"}}]}], "set more than once"),
        ("hello", "Invalid value at 'contents"),
    ],
)
def test_contents_that_say_nothing_are_refused(contents: Any, words: str) -> None:
    assert words in request_refusal(contents=contents)


def test_the_http_parser_takes_one_value_for_a_list_and_enums_in_lower_case() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = {"contents": {"parts": {"text": "x"}}, "generationConfig": {"responseSchema": schema}}
    assert decoded("GenerateContentRequest", body) == text_request("x") | {
        "contents": [{"parts": [{"text": "x"}]}],
        "generationConfig": {
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
        },
    }


def test_the_file_import_takes_neither() -> None:
    line = {"key": "a", "request": {"contents": [{"parts": {"text": "x"}}]}}
    assert line_reasons("GenerateContentLine", line)[0] == (
        "expected '[', got '{' at 'request.contents[0].parts'"
    )
    line = {"key": "a", "request": text_request("x", responseSchema={"type": "string"})}
    assert "invalid value" in line_reasons("GenerateContentLine", line)[0]


def test_the_file_import_names_an_unknown_field_in_its_own_words() -> None:
    line = {"key": "a", "request": text_request("x") | {"thinking_config": {}}}
    assert line_reasons("GenerateContentLine", line) == [
        "no such field: 'thinking_config' at 'request'"
    ]


@pytest.mark.parametrize("text", [b"{", b"\xff", b'{"a": NaN}', b"[]", b'"x"'])
def test_a_body_that_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(ApiError, match="Invalid JSON payload received"):
        decode_body("BatchGenerateContentRequest", text)


def test_a_body_nested_without_end_is_refused() -> None:
    schema = b'{"items":' * 900 + b"{}" + b"}" * 900
    text = b'{"generationConfig":{"responseSchema":' + schema + b"}}"
    with pytest.raises(ApiError):
        decode_body("GenerateContentRequest", text)
