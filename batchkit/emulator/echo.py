"""The default answerer: answers made from the request alone, so that a person can recognise them.

Responses have the shape of https://ai.google.dev/api/generate-content#generatecontentresponse and
https://ai.google.dev/api/embeddings#EmbedContentResponse.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from batchkit.emulator.embedding import embed
from batchkit.emulator.errors import AnswerError, Rpc
from batchkit.emulator.jsonschema import rest_schema
from batchkit.emulator.models import Kind, Model, known_model
from batchkit.emulator.structure import Draws, fitting_value
from batchkit.emulator.tokens import (
    BYTES_PER_TOKEN,
    content_tokens,
    cut_to_tokens,
    request_tokens,
    text_tokens,
)

__all__ = ["echo"]

_OPENING_CHARACTERS = 80
_PROMPT_WORDS = 24
_DEFAULT_THOUGHTS = 32
_STRUCTURED_TYPES = {"application/json", "text/x.enum"}
# What a JSON Schema that makes no sense leads to: nobody has looked at its types.
_UNFOLLOWED = (
    *(TypeError, ValueError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError),
)
# What a request may say or leave out without asking for anything else.
_UNSEEN = {"model", "labels"}
_LEVEL_THOUGHTS = {"MINIMAL": 0, "LOW": 16, "MEDIUM": 64, "HIGH": 256}


def echo(kind: Kind, model: str, request: dict[str, Any]) -> dict[str, Any]:
    """An answer to a GenerateContentRequest or an EmbedContentRequest, the same every time.

    Text begins with the opening words of the last user text. A response schema is kept, and its
    values differ from prompt to prompt. A thinking budget is used up, and counts against
    `maxOutputTokens`; thoughts nobody set a budget for do not. An embedding is a float32 array.
    """
    if kind == "embed":
        return _embedding(known_model(model), request)
    return _generation(known_model(model), request)


@dataclass(frozen=True, slots=True)
class _Thoughts:
    """How many tokens were thought, whether they count against the limit, and are shown."""

    tokens: int
    budgeted: bool
    included: bool


def _generation(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = request.get("generationConfig", {})
    digest = _digest(request)
    prompt = _last_user_text(request)
    thoughts = _thoughts(model, config)
    candidates: list[dict[str, Any]] = []
    answered = 0
    for index in range(config.get("candidateCount", 1)):
        text = _answer_text(prompt, config, digest, index)
        candidate, tokens = _candidate(text, config, thoughts, prompt)
        candidate["index"] = index
        candidates.append(candidate)
        answered += tokens
    return {
        "candidates": candidates,
        "usageMetadata": _usage(request_tokens(request), answered, thoughts.tokens),
        "modelVersion": model.name,
        "responseId": base64.urlsafe_b64encode(digest)[:22].decode(),
    }


def _digest(request: dict[str, Any]) -> bytes:
    """What decides where an answer is free: the same for the same request on any way here."""
    asked = {name: value for name, value in request.items() if name not in _UNSEEN}
    return hashlib.blake2b(
        orjson.dumps(asked, option=orjson.OPT_SORT_KEYS), digest_size=16
    ).digest()


def _usage(prompt: int, answered: int, thoughts: int) -> dict[str, Any]:
    """Counts of zero are left out, as proto JSON does."""
    counts = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": answered,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": prompt + answered + thoughts,
    }
    usage: dict[str, Any] = {name: count for name, count in counts.items() if count}
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt}]
    return usage


def _candidate(
    text: str, config: dict[str, Any], thoughts: _Thoughts, prompt: str
) -> tuple[dict[str, Any], int]:
    """A candidate and how many tokens its text has, within what the limits leave."""
    for stop in config.get("stopSequences", ()):
        text = text.partition(stop)[0] if stop else text
    finish = "STOP"
    most = config.get("maxOutputTokens")
    if most is not None:
        left = max(0, most - thoughts.tokens) if thoughts.budgeted else most
        if len(text) * 3 > left * BYTES_PER_TOKEN and text_tokens(text) > left:
            text, finish = cut_to_tokens(text, left), "MAX_TOKENS"
    parts: list[dict[str, Any]] = []
    if thoughts.included and thoughts.tokens:
        parts.append({"text": f"Thinking about: {_opening(prompt)}", "thought": True})
    if text:
        parts.append({"text": text})
    content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    return {"content": content, "finishReason": finish}, text_tokens(text)


def _thoughts(model: Model, config: dict[str, Any]) -> _Thoughts:
    thinking: dict[str, Any] = config.get("thinkingConfig", {})
    budget = thinking.get("thinkingBudget", -1)
    included = thinking.get("includeThoughts", False)
    if budget >= 0:
        return _Thoughts(budget, budgeted=True, included=included)
    level = _LEVEL_THOUGHTS.get(thinking.get("thinkingLevel", ""))
    if level is not None:
        return _Thoughts(level, budgeted=True, included=included)
    asked = model.thinks or bool(thinking)
    return _Thoughts(_DEFAULT_THOUGHTS if asked else 0, budgeted=False, included=included)


def _last_user_text(request: dict[str, Any]) -> str:
    for content in reversed(request["contents"]):
        if content.get("role", "user") == "user":
            texts = [part["text"] for part in content["parts"] if "text" in part]
            if texts:
                return texts[0] if len(texts) == 1 else "\n".join(texts)
    return ""


def _opening(prompt: str) -> str:
    """The first words of a prompt on one line; an ellipsis says that there was more."""
    words = " ".join(prompt[: 2 * _OPENING_CHARACTERS].split())
    if len(words) <= _OPENING_CHARACTERS and len(prompt) <= 2 * _OPENING_CHARACTERS:
        return words
    cut = words[: _OPENING_CHARACTERS + 1]
    return (cut.rpartition(" ")[0] or cut[:_OPENING_CHARACTERS]) + "…"


def _answer_text(prompt: str, config: dict[str, Any], digest: bytes, index: int) -> str:
    if config.get("responseMimeType") not in _STRUCTURED_TYPES:
        # So a schema without that type is ignored, as the service does:
        # https://github.com/googleapis/go-genai/issues/297
        nth = f" ({index + 1})" if index else ""
        return f"Echo{nth}: {_opening(prompt) or 'no text'}"
    words = prompt[: _PROMPT_WORDS * 8].split()[:_PROMPT_WORDS]
    draws = Draws(int.from_bytes(digest[:8], "big") + index, words)
    try:
        value = fitting_value(_schema(config), draws)
        text = orjson.dumps(value).decode()
    except _UNFOLLOWED as error:
        reason = f"The response schema cannot be followed: {error}"
        raise AnswerError(Rpc.INVALID_ARGUMENT, reason) from error
    return str(value) if config.get("responseMimeType") == "text/x.enum" else text


def _schema(config: dict[str, Any]) -> dict[str, Any]:
    """The schema to follow; without one, JSON is an object with one text."""
    if "responseSchema" in config:
        return config["responseSchema"]
    for name in ("responseJsonSchema", "_responseJsonSchema"):
        if name in config:
            return rest_schema(config[name])
    return {"type": "OBJECT", "properties": {"answer": {}}, "required": ["answer"]}


def _embedding(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = request["content"]
    text = " ".join(part["text"] for part in content["parts"] if "text" in part)
    vector = embed(
        # What is longer than the model reads is cut without a word, as the service does.
        cut_to_tokens(f"{request.get('title', '')} {text}".strip(), model.input_tokens),
        model.dimensions,
        dimensions=request.get("outputDimensionality", model.dimensions),
        normalise=model.normalises,
    )
    return {"embedding": {"values": vector}, "tokenCount": str(content_tokens(content))}
