from __future__ import annotations

import pytest

from batchkit.stray import field_home, stray

GENERATE, EMBED = "GenerateContentRequest", "EmbedContentRequest"


@pytest.mark.parametrize(
    "name, home",
    [
        ("thinking_config", "generationConfig.thinkingConfig"),
        ("thinkingBudget", "generationConfig.thinkingConfig.thinkingBudget"),
        ("temperature", "generationConfig.temperature"),
        ("response_schema", "generationConfig.responseSchema"),
        ("mediaResolution", "generationConfig.mediaResolution"),
        ("mode", "toolConfig.functionCallingConfig.mode"),
        ("threshold", "safetySettings[].threshold"),
        ("text", "contents[].parts[].text"),
        ("parts", "contents[].parts"),
        ("role", "contents[].role"),
        ("system_instruction", "systemInstruction"),
        ("labels", None),
        ("nonsense", None),
    ],
)
def test_the_home_of_a_field_is_the_nearest_message_that_has_it(
    name: str, home: str | None
) -> None:
    assert field_home(name, "gemini", GENERATE) == home


def test_each_service_has_homes_of_its_own() -> None:
    assert field_home("labels", "vertex", GENERATE) == "labels"
    assert field_home("output_dimensionality", "gemini", EMBED) == "outputDimensionality"
    assert field_home("documentOcr", "vertex", EMBED) == "embedContentConfig.documentOcr"
    assert field_home("documentOcr", "gemini", EMBED) is None


@pytest.mark.parametrize(
    "name, type_name, rule, remedy",
    [
        (
            "thinking_config",
            GENERATE,
            "misplaced-field",
            "did you mean generationConfig.thinkingConfig?",
        ),
        (
            "systemInstruction",
            "GenerationConfig",
            "misplaced-field",
            "did you mean systemInstruction?",
        ),
        ("config", GENERATE, "sdk-config", "`config` is google-genai's"),
        ("labels", GENERATE, "other-service", "it exists on Vertex AI only"),
        ("additionalProperties", "Schema", "other-service", "it exists on Vertex AI only"),
        ("maxTokens", "GenerationConfig", "unknown-field", "did you mean maxOutputTokens?"),
        ("content", GENERATE, "unknown-field", "did you mean contents?"),
        (
            "max_tokens",
            GENERATE,
            "unknown-field",
            "did you mean generationConfig.maxOutputTokens?",
        ),
        ("messages", GENERATE, "unknown-field", "did you mean contents?"),
        ("system", GENERATE, "unknown-field", "did you mean systemInstruction?"),
        ("custom_id", GENERATE, "unknown-field", "did you mean key, beside request?"),
        ("qqqqq", GENERATE, "unknown-field", "known here are those of 20251218"),
    ],
    ids=lambda value: value[:40],
)
def test_what_was_meant_by_a_stray_field_is_said(
    name: str, type_name: str, rule: str, remedy: str
) -> None:
    told = stray(name, type_name, "gemini", GENERATE)
    assert told.rule == rule
    assert remedy in told.remedy


def test_a_field_of_the_developer_api_is_sent_there_from_vertex() -> None:
    told = stray("model", GENERATE, "vertex", GENERATE)
    assert told.rule == "other-service"
    assert told.remedy.startswith("it exists on the Developer API only")
    assert "those of 20261106" in stray("qqqqq", GENERATE, "vertex", GENERATE).remedy
