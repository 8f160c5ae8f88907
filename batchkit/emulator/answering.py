"""From a request to a response: what the model refuses, then the answerer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import orjson

from batchkit.emulator.errors import AnswerError, Rpc
from batchkit.emulator.models import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.models import Model

__all__ = ["Answerer", "Answering", "dumps_answer"]

Answerer: TypeAlias = Callable[[Kind, str, dict[str, Any]], dict[str, Any]]

# https://ai.google.dev/api/generate-content#generationconfig
_RANGES = {
    "temperature": (0, 2),
    "topP": (0, 1),
    "topK": (1, 1_000_000),
    "candidateCount": (1, 8),
    "maxOutputTokens": (1, None),
}
_MOST_STOP_SEQUENCES = 5
_MIME_TYPES = (
    "text/plain",
    "application/json",
    "application/xml",
    "application/yaml",
    "text/x.enum",
)


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers one request: a batch row or an interactive call.

    `find_uri` raises AnswerError for a file of this service that is gone.
    """

    answerer: Answerer
    find_uri: Callable[[str], None]

    def __call__(self, model: Model, request: dict[str, Any]) -> dict[str, Any]:
        """The response, vectors in float32; AnswerError when the request is refused."""
        if model.kind == "embed":
            _check_embed(model, request)
            return _in_float32(self.answerer(model.kind, model.name, request))
        self._check_generate(model, request)
        return self.answerer(model.kind, model.name, request)

    def _check_generate(self, model: Model, request: dict[str, Any]) -> None:
        for content in request["contents"]:
            for part in content["parts"]:
                if "fileData" in part:
                    self.find_uri(part["fileData"].get("fileUri", ""))
        if "cachedContent" in request:
            text = "CachedContent not found (or permission denied)"
            raise AnswerError(Rpc.PERMISSION_DENIED, text)
        if "generationConfig" in request:
            for problem in _config_problems(model, request["generationConfig"]):
                text = f"* GenerateContentRequest.generation_config.{problem}\n"
                raise AnswerError(Rpc.INVALID_ARGUMENT, text)


def _config_problems(model: Model, config: dict[str, Any]) -> Iterator[str]:
    for name, (low, high) in _RANGES.items():
        if name in config and not low <= config[name] <= (high or model.output_tokens):
            yield f"{name}: must be in the range [{low}, {high or model.output_tokens}]."
    if len(config.get("stopSequences", ())) > _MOST_STOP_SEQUENCES:
        yield f"stopSequences: must have at most {_MOST_STOP_SEQUENCES} elements."
    yield from _format_problems(config)
    thinking: dict[str, Any] = config.get("thinkingConfig", {})
    if not -1 <= thinking.get("thinkingBudget", -1) <= model.output_tokens:
        yield "thinking_config.thinking_budget: is out of range."
    # https://ai.google.dev/gemini-api/docs/gemini-3
    if {"thinkingBudget", "thinkingLevel"} <= thinking.keys():
        yield "thinking_config: only one of thinking_budget and thinking_level can be set."


def _format_problems(config: dict[str, Any]) -> Iterator[str]:
    if (config.get("responseMimeType") or "text/plain") not in _MIME_TYPES:
        yield f"response_mime_type: allowed mimetypes are {', '.join(_MIME_TYPES)}."
    if {"responseSchema", "responseJsonSchema"} <= config.keys():
        yield "response_json_schema: cannot be set together with response_schema."


def _check_embed(model: Model, request: dict[str, Any]) -> None:
    dimensions = request.get("outputDimensionality", model.dimensions)
    if not 1 <= dimensions <= model.dimensions:
        text = f"* EmbedContentRequest.output_dimensionality: must be in [1, {model.dimensions}].\n"
        raise AnswerError(Rpc.INVALID_ARGUMENT, text)
    if any(part.get("text") == "" for part in request["content"]["parts"]):
        # https://github.com/lingfengQAQ/webnovel-writer/pull/51 quotes the service
        text = "EmbedContentRequest.content contains an empty Part."
        raise AnswerError(Rpc.INVALID_ARGUMENT, text)


def dumps_answer(value: Any) -> bytes:
    """JSON of a message with answers in it, float32 arrays with the digits they have."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _in_float32(response: dict[str, Any]) -> dict[str, Any]:
    """The service keeps and prints 32 bits of each number; what is no vector stays as it is."""
    embedding: Any = response.get("embedding")
    if not isinstance(embedding, dict) or "values" not in embedding:
        return response
    try:
        vector = np.ascontiguousarray(embedding["values"], dtype=np.float32)
    except (TypeError, ValueError):
        return response
    return response | {"embedding": embedding | {"values": vector}}
