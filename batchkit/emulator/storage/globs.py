"""Glob patterns of object names.

https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob
"""

from __future__ import annotations

import re

from batchkit.emulator.storage.errors import invalid

__all__ = ["glob"]

_TOKEN = re.compile(r"\*\*|\*|\?|\[!?[^\]]+\]|\{[^{}]*\}|\\.|[^\[\]{}\\]", re.DOTALL)
_WILD = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


def glob(pattern: str) -> re.Pattern[str]:
    """What a pattern matches; StorageError 400 when it is malformed.

    `*` and `?` stay within a path component, `**` does not; there are `[a-z]`, `[!a-z]` and
    `{one,other}`.
    """
    expression, end = "", 0
    for token in _TOKEN.finditer(pattern):
        if token.start() != end:
            break
        expression += _expression(token[0])
        end = token.end()
    try:
        if end == len(pattern):
            return re.compile(expression, re.DOTALL)
    except re.error:
        pass
    text = f"Invalid matchGlob: {pattern}"
    raise invalid(text)


def _expression(token: str) -> str:
    if token in _WILD:
        return _WILD[token]
    if len(token) > 1 and token[0] == "[":
        negated = token[1] == "!"
        characters = token[1 + negated : -1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[{'^/' if negated else ''}{characters}]"
    if len(token) > 1 and token[0] == "{":
        return f"(?:{'|'.join(glob(choice).pattern for choice in token[1:-1].split(','))})"
    return re.escape(token[-1])
