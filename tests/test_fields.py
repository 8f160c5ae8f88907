from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from batchkit.fields import FieldTable, Service, field_table, nearest

SERVICES: tuple[Service, ...] = get_args(Service)
FIELDS = [
    (service, message, field)
    for service in SERVICES
    for message, entry in field_table(service).types.items()
    if isinstance(entry, dict)
    for field in entry.get("fields", {})
]
PLAIN = {
    *("string", "boolean", "int32", "int64", "float", "double", "byte", "any", "object"),
    *("date-time", "google-datetime", "google-duration"),
}


def names_in(field_type: Any) -> set[str]:
    """Every type that a field's type speaks of."""
    if isinstance(field_type, list):
        return names_in(field_type[0])
    if isinstance(field_type, dict):
        return names_in(field_type["map"]) if "map" in field_type else set()
    return {field_type}


@pytest.mark.parametrize("service", SERVICES)
def test_every_type_a_field_names_is_in_the_table(service: Service) -> None:
    table = field_table(service)
    named = {
        name
        for message in table.types
        for field in (table.message(message) or {}).values()
        for name in names_in(field.type)
    }
    assert named - set(table.types) - PLAIN == set()
    assert re.fullmatch("20[0-9]{6}", table.revision)


def test_both_spellings_of_every_field_lead_to_its_camel_case_name() -> None:
    """https://protobuf.dev/programming-guides/json/: a name in snake_case, its letters raised."""
    assert len(FIELDS) > 500
    for service, message, name in FIELDS:
        known = field_table(service).message(message) or {}
        spellings = [spelling for spelling, field in known.items() if field.name == name]
        snake = re.sub("([A-Z])", lambda found: f"_{found[1].lower()}", name)
        assert set(spellings) == {name, snake}, (message, name)


@pytest.mark.parametrize("service", SERVICES)
def test_requests_and_responses_are_messages_of_the_table(service: Service) -> None:
    table = field_table(service)
    request = table.message("GenerateContentRequest") or {}
    assert request["contents"].type == ["Content"]
    assert request["system_instruction"].name == "systemInstruction"
    assert request["generation_config"].type == "GenerationConfig"
    assert (table.message("EmbedContentRequest") or {})["content"].type == "Content"
    assert {"candidates", "promptFeedback"} <= set(table.message("GenerateContentResponse") or {})


def test_labels_are_a_field_of_vertex_alone() -> None:
    assert "labels" in (field_table("vertex").message("GenerateContentRequest") or {})
    assert "labels" not in (field_table("gemini").message("GenerateContentRequest") or {})


def test_what_is_no_message_has_no_fields() -> None:
    table = field_table("gemini")
    for name in ("Operation", "HarmCategory", "NoSuchType", {"enum": ["A"]}, ["Content"], None):
        assert table.message(name) is None


def test_an_enum_has_its_values_whether_it_has_a_name_or_not() -> None:
    table = FieldTable("gemini", "20260101", {"Mood": {"enum": ["GOOD", "BAD"]}, "Free": "object"})
    assert table.enum("Mood") == table.enum({"enum": ["GOOD", "BAD"]}) == ("GOOD", "BAD")
    for other in ("Free", "Unknown", "string", ["Mood"], {"map": "Mood"}, None):
        assert table.enum(other) is None


def test_the_owners_of_a_field_are_the_messages_that_have_it() -> None:
    table = field_table("gemini")
    assert table.owners("thinkingConfig") == ["GenerationConfig"]
    assert table.owners("thinking_config") == ["GenerationConfig"]
    assert table.owners("noSuchField") == []


def test_a_table_is_read_once() -> None:
    assert field_table("vertex") is field_table("vertex")


@pytest.mark.parametrize(
    "name, meant",
    [
        ("system_instructions", "systemInstruction"),
        ("SystemInstruction", "systemInstruction"),
        ("generationconfig", "generationConfig"),
        ("content", "contents"),
        ("qwertyuiop", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_the_one_most_likely_meant(name: str, meant: str | None) -> None:
    candidates = ["contents", "systemInstruction", "generationConfig", "tools", "toolConfig"]
    assert nearest(name, candidates) == meant


def test_nothing_is_nearest_among_nothing() -> None:
    assert nearest("contents", []) is None
