"""The documented limits of the services, as values a test can shrink."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Limits"]

_GIBIBYTE = 1024**3
_HOUR_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the service accepts and how long it keeps it.

    `inline_bytes`, `file_bytes`, `storage_bytes`, `concurrent_jobs`, `file_seconds`,
    `job_seconds`: https://ai.google.dev/gemini-api/docs/batch-api and
    https://ai.google.dev/gemini-api/docs/files. `file_id_characters` and
    `display_name_characters`: https://ai.google.dev/api/files. `output_seconds` is not
    documented: the emulator keeps a job's output as long as any other file. `line_bytes` is
    the emulator's own, so that a file without newlines does not fill the memory.
    `enqueued_tokens` are those of all jobs of a model that have not ended, by the emulator's count;
    they depend on account and model (https://ai.google.dev/gemini-api/docs/rate-limits), and are
    not limited unless asked for.

    Those of Vertex AI begin with `vertex_`: bytes of each input object, rows of a job that
    generates, embeds, or embeds with a text-embedding model, how long it may wait and then run.
    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-gemini.
    `token_seconds` is how long an OAuth token is good for.
    """

    inline_bytes: int = 20_000_000
    file_bytes: int = 2 * _GIBIBYTE
    storage_bytes: int = 20 * _GIBIBYTE
    concurrent_jobs: int = 100
    enqueued_tokens: float = math.inf
    file_seconds: float = 48 * _HOUR_SECONDS
    output_seconds: float = 48 * _HOUR_SECONDS
    job_seconds: float = 48 * _HOUR_SECONDS
    file_id_characters: int = 40
    display_name_characters: int = 512
    line_bytes: int = 64 * 1024**2
    vertex_object_bytes: int = _GIBIBYTE
    vertex_rows: int = 200_000
    vertex_embedding_rows: int = 1_000_000
    vertex_legacy_rows: int = 30_000
    vertex_pending_seconds: float = 72 * _HOUR_SECONDS
    vertex_running_seconds: float = 24 * _HOUR_SECONDS
    token_seconds: float = _HOUR_SECONDS
