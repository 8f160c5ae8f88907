"""Requests as a service may send them back: other spellings, another order, nulls put in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

__all__ = ["echoed"]

# What is inside these is the user's.
USERS = {"args", "response", "responseSchema", "parameters", "labels"}
LISTS = {"contents", "parts", "tools", "functionDeclarations", "stopSequences"}
PADDING = {
    "parts": "videoMetadata",
    "contents": "role",
    "generationConfig": "topK",
    "systemInstruction": "role",
    "tools": "googleSearch",
}


def echoed(value: Any, name: str, chance: random.Random, *, is_users: bool = False) -> Any:
    """The value as a service may send it back: spelled, ordered, wrapped and padded at will."""
    if isinstance(value, dict):
        renamed = (
            {}
            if is_users or chance.random() < 0.5 or name not in PADDING
            else {PADDING[name]: None}
        )
        for key, item in value.items():
            said = echoed(item, key, chance, is_users=is_users or key in USERS)
            snake = re.sub("([A-Z])", lambda found: f"_{found[1].lower()}", key)
            renamed[key if is_users or chance.random() < 0.5 else snake] = said
        keys = sorted(renamed, key=lambda _: chance.random())
        return {key: renamed[key] for key in keys}
    if isinstance(value, list):
        items = [echoed(item, name, chance, is_users=is_users) for item in value]
        single = len(items) == 1 and name in LISTS and not is_users
        return items[0] if single and chance.random() < 0.5 else items
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole and chance.random() < 0.5 else value
