"""What is not known of the service, or has changed: each way that somebody reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Quirks"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """How Vertex AI's batches behave where accounts of them differ.

    `echo`: requests come back "verbatim" with sorted keys, as since 2025, or as in "2024": in
    snake_case, with nulls for the kinds of data that a part is not, and a single part as an object.
    `echoes_key`: a line that generates gets its `key` back, which is not documented.
    `embed_config`: where the options of a gemini embedding may stand, in `embed_content_config`
    ("docs") or in the request itself ("inline"); the other one fails the job.
    `ignores_dimensions`: vectors come in full size whatever was asked for.
    """

    echo: Literal["verbatim", "2024"] = "verbatim"
    echoes_key: bool = False
    embed_config: Literal["docs", "inline", "both"] = "both"
    ignores_dimensions: bool = False
