"""The output of a job that has ended, brought into the run directory as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit import jsonl
from batchkit.durable import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchkit.service.client import Gemini

__all__ = ["fetch_output"]


def fetch_output(
    client: Gemini,
    job_name: str,
    to: Path,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> bool:
    """Write the job's responses to a JSONL file; False when the job ended without any."""
    job = client.batches.get(job_name)
    place = job.destination
    if place.file_name is not None:
        client.files.download(place.file_name, to, on_progress=on_progress)
        return True
    if place.inlined is None:
        return False
    with whole_file(to) as file:
        file.writelines(jsonl.dumps(item) + b"\n" for item in place.inlined)
    return True
