"""How many tokens a text has: an estimate, the same wherever the emulator counts."""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["BYTES_PER_TOKEN", "content_tokens", "cut_to_tokens", "request_tokens", "text_tokens"]

# About four letters of English make a token: https://ai.google.dev/gemini-api/docs/tokens.
# In bytes of UTF-8 the rule also gives sensible numbers for other scripts.
BYTES_PER_TOKEN = 4
# An image of up to 384 pixels a side, by the same page; the emulator looks into no media.
_MEDIA_TOKENS = 258


def text_tokens(text: str) -> int:
    """A token for every four bytes of UTF-8 begun."""
    return (len(text.encode()) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN


def cut_to_tokens(text: str, tokens: int) -> str:
    """The longest beginning of a text that has at most `tokens` tokens."""
    return text.encode()[: tokens * BYTES_PER_TOKEN].decode(errors="ignore")


def content_tokens(content: dict[str, Any]) -> int:
    """The tokens of one Content message."""
    return sum(_part_tokens(part) for part in content.get("parts", ()))


def request_tokens(request: dict[str, Any]) -> int:
    """The tokens of a GenerateContentRequest: contents, system instruction and tools."""
    count = sum(content_tokens(content) for content in request.get("contents", ()))
    if "systemInstruction" in request:
        count += content_tokens(request["systemInstruction"])
    if "tools" in request:
        count += _json_tokens(request["tools"])
    return count


def _part_tokens(part: dict[str, Any]) -> int:
    if "text" in part:
        return text_tokens(part["text"])
    if "inlineData" in part or "fileData" in part:
        return _MEDIA_TOKENS
    return _json_tokens(part)


def _json_tokens(value: Any) -> int:
    return (len(orjson.dumps(value)) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN
