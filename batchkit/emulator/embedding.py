"""Vectors for texts: texts that share words or parts of words are near each other.

A text is a bag of words and of character trigrams (pairs, in scripts written without spaces),
each hashed to a signed place among 4096. A Hadamard transform mixes the places, so that every
number of the vector depends on every feature. The counts are whole numbers and their sums are
exact: the vectors are the same on every machine.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import zlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from batchkit.emulator.disorder import seeded_numbers, seeded_order

__all__ = ["embed"]

Vector: TypeAlias = npt.NDArray[np.float32]

_SIDE = 64
_PLACES = _SIDE * _SIDE
_WORD = re.compile(r"\w+")
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af]")
# Words of many letters say more than "the" and "of": a word counts by its length up to this.
_HEAVIEST_WORD = 8
_CACHED_WORDS = 1 << 16
_LONGEST_WORD = 200


def embed(text: str, size: int, *, dimensions: int, normalise: bool) -> Vector:
    """The first `dimensions` numbers of the unit vector of `size` numbers that a text has.

    With `normalise` the shortened vector is made of unit length again.
    """
    mixed = _mix(_places(text))[:size].astype(np.float64)
    measured = mixed[:dimensions] if normalise else mixed
    length = np.sqrt(np.dot(measured, measured))
    return (mixed[:dimensions] / (length or 1.0)).astype(np.float32)


def _places(text: str) -> Vector:
    normal = unicodedata.normalize("NFKC", text).casefold()
    words = [_word_places(word[:_LONGEST_WORD]) for word in _WORD.findall(normal)]
    # A text without a word still has a vector, and one that is not zero.
    words = words or [_word_places(normal[:_LONGEST_WORD] or " ")]
    places = np.concatenate([word[0] for word in words])
    weights = np.concatenate([word[1] for word in words])
    counts = np.bincount(places, weights, minlength=_PLACES)
    # Sums of signed whole numbers with an odd total are odd: no number of a vector is ever zero.
    counts[0] += 1 - np.sum(counts) % 2
    return counts.astype(np.float32)


@functools.lru_cache(_CACHED_WORDS)
def _word_places(word: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Where a word's features lie, and their signed weights."""
    spaceless = _SPACELESS.search(word) is not None  # then it is a sentence rather than a word
    width = 2 if spaceless else 3
    framed = f" {word} "
    grams = [framed[start : start + width] for start in range(len(framed) - width + 1)]
    hashes = [zlib.crc32(feature.encode(errors="replace")) for feature in (word, *grams)]
    weights = [1 if spaceless else min(len(word), _HEAVIEST_WORD), *([1] * len(grams))]
    signed = [
        -weight if value >> 31 else weight for value, weight in zip(hashes, weights, strict=True)
    ]
    places = np.array([value % _PLACES for value in hashes], dtype=np.intp)
    return places, np.array(signed, dtype=np.float64)


def _mix(places: Vector) -> Vector:
    """The Hadamard transform of the places under seeded signs, its numbers in seeded order.

    The matrix of 4096 is the Kronecker product of two of 64, hence two small products.
    """
    matrix, signs, order = _tables()
    square = (places * signs).reshape(_SIDE, _SIDE)
    mixed = np.asarray(matrix @ square @ matrix, dtype=np.float32)
    return mixed.reshape(_PLACES)[order]


@functools.lru_cache(1)
def _tables() -> tuple[Vector, Vector, npt.NDArray[np.int64]]:
    matrix = np.ones((1, 1), dtype=np.float32)
    while len(matrix) < _SIDE:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    signs = np.where(seeded_numbers("signs", _PLACES) % 2, 1, -1).astype(np.float32)
    return np.ascontiguousarray(matrix), signs, seeded_order("places", _PLACES)
