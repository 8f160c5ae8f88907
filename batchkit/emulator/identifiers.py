"""Names the service makes up: reproducible under a seed, never repeated under a counter."""

from __future__ import annotations

import hashlib

__all__ = ["identifier"]

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def identifier(seed: int, kind: str, number: int, length: int) -> str:
    """The `number`-th identifier of a kind: `length` lower-case letters and digits, at most 48."""
    digest = hashlib.sha256(f"{seed}/{kind}/{number}".encode()).digest()
    rest = int.from_bytes(digest, "big")
    characters: list[str] = []
    for _ in range(length):
        rest, index = divmod(rest, len(_ALPHABET))
        characters.append(_ALPHABET[index])
    return "".join(characters)
