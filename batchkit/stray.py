"""Stray fields: those a message does not have, and what was most likely meant by them."""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from batchkit import jsonl
from batchkit.fields import Service, field_table, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SDK_CONFIG", "Stray", "field_home", "stray"]

# The messages in which the home of a field is looked for.
_HOMES = frozenset(
    {
        "Content",
        "EmbedContentRequestEmbedContentConfig",
        "FunctionCallingConfig",
        "GenerationConfig",
        "GenerationConfigThinkingConfig",
        "ImageConfig",
        "Part",
        "SafetySetting",
        "SpeechConfig",
        "ThinkingConfig",
        "ToolConfig",
    }
)
# What other APIs call it.
_FOREIGN: Mapping[str, str] = MappingProxyType(
    {
        "custom_id": "key, beside request",
        "input": "contents",
        "messages": "contents",
        "n": "generationConfig.candidateCount",
        "prompt": "contents",
        "response_format": "generationConfig.responseSchema",
        "stop": "generationConfig.stopSequences",
        "system": "systemInstruction",
    }
)


@dataclass(frozen=True, slots=True)
class Stray:
    """Why a field is one, as the stable name of a rule, and what to do."""

    rule: str
    remedy: str


SDK_CONFIG = Stray(
    "sdk-config",
    "`config` is google-genai's: its fields belong under generationConfig, and systemInstruction, "
    "tools, toolConfig, safetySettings beside it; `batchkit convert` takes it apart",
)


@functools.lru_cache(maxsize=4_096)
def stray(name: str, type_name: str, service: Service, request_type: str) -> Stray:
    """What to say of a field that a message lacks; a home is a path from the request."""
    if name == "config":
        return SDK_CONFIG
    home = field_home(name, service, request_type)
    if home is not None:
        return Stray("misplaced-field", f"did you mean {home}?")
    other = field_table("vertex" if service == "gemini" else "gemini")
    if name in (other.message(type_name) or {}):
        only = "Vertex AI" if service == "gemini" else "the Developer API"
        remedy = f"it exists on {only} only: leave it out, or send the batch there"
        return Stray("other-service", remedy)
    meant = _meant(name, type_name, service, request_type)
    day = field_table(service).revision
    known = f"the service refuses fields it does not know; known here are those of {day}"
    return Stray("unknown-field", f"did you mean {meant}?" if meant else known)


def _meant(name: str, type_name: str, service: Service, request_type: str) -> str | None:
    """The field that was most likely meant: of this message, else of the whole request."""
    fields = field_table(service).message(type_name) or {}
    near = nearest(name, (field.name for field in fields.values()))
    if near or type_name != request_type:
        return near
    homes = _homes(service, request_type)
    guess = nearest(name, homes)
    return _FOREIGN.get(name) or (homes[guess] if guess else None)


def field_home(name: str, service: Service, request_type: str) -> str | None:
    """The path from a request to the nearest message that has this field, None without one."""
    return _homes(service, request_type).get(name)


@functools.cache
def _homes(service: Service, request_type: str) -> dict[str, str]:
    """Where each field of a request belongs, under both spellings.

    A system instruction is no home: a role or parts that stand alone are those of the contents.
    """
    table = field_table(service)
    homes: dict[str, str] = {}
    queue: deque[tuple[str, str]] = deque([(request_type, "")])
    seen = {request_type}
    while queue:
        type_name, prefix = queue.popleft()
        for spelled, field in (table.message(type_name) or {}).items():
            homes.setdefault(spelled, f"{prefix}{field.name}")
            repeated = jsonl.is_list(field.type)
            inner = field.type[0] if repeated else field.type
            wanted = isinstance(inner, str) and inner in _HOMES and inner not in seen
            if wanted and field.name != "systemInstruction":
                seen.add(inner)
                queue.append((inner, f"{prefix}{field.name}{'[]' if repeated else ''}."))
    return homes
