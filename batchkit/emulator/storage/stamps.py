"""Moments and entity tags, as Cloud Storage writes them."""

from __future__ import annotations

import base64

from batchkit.emulator.clock import timestamp

__all__ = ["entity_tag", "moment"]

_SEVEN_BITS = 0x7F


def moment(instant: int) -> str:
    """RFC 3339 in milliseconds, of nanoseconds since 1970."""
    return f"{timestamp(instant)[:-7]}Z"


def entity_tag(*numbers: int) -> str:
    """The tag of an object's generation and metageneration, or of a bucket's metageneration.

    Numbered fields of a protocol buffer, by the look of tags such as CKih16GjycICEAE= and CAE=.
    """
    fields = (bytes([field << 3]) + _varint(number) for field, number in enumerate(numbers, 1))
    return base64.b64encode(b"".join(fields)).decode()


def _varint(number: int) -> bytes:
    """A number in groups of seven bits: https://protobuf.dev/programming-guides/encoding/."""
    groups = bytearray()
    while number > _SEVEN_BITS:
        groups.append(number & _SEVEN_BITS | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
