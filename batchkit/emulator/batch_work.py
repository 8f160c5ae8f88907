"""The work of a Developer API job: its file becomes rows, its responses a file or inline."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.emulator.blemishes import befallen
from batchkit.emulator.clock import nanoseconds
from batchkit.emulator.errors import Rpc
from batchkit.emulator.files import Files, StoredFile
from batchkit.emulator.intake import BrokenLineError, import_file
from batchkit.emulator.life import WorkError
from batchkit.emulator.models import known_model
from batchkit.emulator.output import write_output
from batchkit.emulator.rows import Rows

if TYPE_CHECKING:
    from batchkit.emulator.answering import Answering
    from batchkit.emulator.jobs import EndState, Job
    from batchkit.emulator.workspace import Workspace

__all__ = ["BatchWork"]


@dataclass(frozen=True, slots=True)
class BatchWork:
    """The work of the jobs of one emulator's Developer API."""

    workspace: Workspace
    files: Files
    answering: Answering

    def name(self, job: Job) -> str:
        """`batches/…`."""
        return f"batches/{job.id}"

    def take(self, job: Job) -> Job:
        """The requests of the job's file as rows; WorkError for a line that is none."""
        path = self.workspace.blobs.path(job.input_blob)
        try:
            import_file(job, path, self._rows(job), self.workspace.limits.line_bytes)
        except BrokenLineError as error:
            text = f"Failed to import data from {job.file_name}: {error}"
            raise WorkError(Rpc.INVALID_ARGUMENT, text) from error
        return job

    def answer(self, job: Job) -> int:
        """All responses, in a blob."""
        answer = functools.partial(self.answering, known_model(job.model))
        rows, fate = self._rows(job), self.workspace.fate
        blemishes = befallen(fate.of_rows(job), rows, f"{self.workspace.seed}/{rows.name}")
        with self.workspace.blobs.write(job.output_blob) as stream:
            failed = write_output(
                rows,
                answer,
                stream,
                seed=self.workspace.seed,
                is_file=bool(job.file_name),
                blemishes=blemishes,
            )
        fate.count(fault.kind for fault in blemishes.values())
        return failed

    def halt(self, _job: Job, _count: int, _at: int) -> int:
        """Nothing comes of rows that were answered when a job stopped."""
        return 0

    def late(self, _job: Job) -> EndState:
        """A job that waited or ran for too long has expired."""
        return "EXPIRED"

    def keep(self, job: Job) -> None:
        """The output file of a job that had an input file."""
        if job.state == "SUCCEEDED" and job.file_name:
            self.files.add(self._output_file(job))

    def output_blobs(self, job: Job) -> tuple[str, ...]:
        """Responses that are shown inline; a file has its blob for itself."""
        return () if job.file_name else (job.output_blob,)

    def _output_file(self, job: Job) -> StoredFile:
        blobs = self.workspace.blobs
        return StoredFile(
            id=job.output_file,
            display_name="",
            mime_type="application/jsonl",
            size=blobs.size(job.output_blob),
            sha256=blobs.sha256(job.output_blob),
            created=job.due,
            expires=job.due + nanoseconds(self.workspace.limits.output_seconds),
            source="GENERATED",
            blob=job.output_blob,
        )

    def _rows(self, job: Job) -> Rows:
        return Rows(self.workspace.blobs, job.blob)
