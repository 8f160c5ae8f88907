"""The life of a job by the clock: pending, running, and one of four ends.

Nothing runs in the background. What should have happened by now is done when somebody looks, and
looks as if it had happened in time.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batchkit.emulator.clock import nanoseconds
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.files import Files, StoredFile
from batchkit.emulator.intake import BrokenLineError, import_file
from batchkit.emulator.locks import Locks
from batchkit.emulator.models import known_model
from batchkit.emulator.output import write_output
from batchkit.emulator.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.answering import Answering
    from batchkit.emulator.jobs import EndState, Job, Jobs
    from batchkit.emulator.workspace import Workspace

__all__ = ["Life"]

# A cancelled operation has an error of code 1: https://google.aip.dev/151. Which error an expired
# one has is not documented.
_ERRORS: dict[str, tuple[int, str]] = {
    "FAILED": (Rpc.INVALID_ARGUMENT, "Failed to import data."),
    "CANCELLED": (Rpc.CANCELLED, "The operation was cancelled."),
    "EXPIRED": (Rpc.DEADLINE_EXCEEDED, "The batch job did not finish in time and has expired."),
}


@dataclass(frozen=True, slots=True)
class Life:
    """Moves the jobs of one emulator to where the clock says they are."""

    workspace: Workspace
    jobs: Jobs
    files: Files
    answering: Answering
    locks: Locks = field(default_factory=Locks)

    def observe(self, job_id: str) -> Job:
        """A job as it is now; ApiError 404 when there is none."""
        job = self._observed(job_id)
        if job is None:
            raise ApiError(Rpc.NOT_FOUND, "Requested entity was not found.")
        return job

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        for job_id in self.jobs.due(self.workspace.clock.nanoseconds()):
            self._observed(job_id)  # None when somebody deleted it in the meantime

    def cancel(self, job_id: str) -> None:
        """Stop a job: the rows answered so far are paid, and nothing comes of them."""
        with self.locks[job_id]:
            job = self.observe(job_id)
            if not job.state:
                self._halted(job, "CANCELLED", self.workspace.clock.nanoseconds())
        if not job.state:
            self.workspace.effect("batch.cancelled", f"batches/{job.id}")

    def delete(self, job_id: str) -> None:
        """Stop a job if it runs, and forget it; its output file stays until it expires."""
        with self.locks[job_id]:
            job = self.observe(job_id)
            if not job.state:
                self._halted(job, "CANCELLED", self.workspace.clock.nanoseconds())
            self.jobs.drop(job_id)
            if not job.file_name:
                self.workspace.blobs.delete(job.output_blob)
        self.workspace.effect("batch.deleted", f"batches/{job.id}")

    def rows(self, job: Job) -> Rows:
        """Where a job's imported requests lie."""
        return Rows(self.workspace.blobs, job.blob)

    def clear(self, job: Job) -> None:
        """Delete the blobs that only a job which can go on needs."""
        self.workspace.blobs.delete(*self._working_blobs(job))

    def blobs(self) -> Iterator[str]:
        """The blobs that jobs still need."""
        for job in self.jobs.all():
            if not job.state:
                yield from self._working_blobs(job)
            elif not job.file_name:
                yield job.output_blob

    def _observed(self, job_id: str) -> Job | None:
        with self.locks[job_id]:
            before = self.jobs.find(job_id)
            if before is None:
                return None
            job = self._advanced(before, self.workspace.clock.nanoseconds())
        if job.state and not before.state:
            kind = "batch.expired" if job.state == "EXPIRED" else "batch.processed"
            self.workspace.effect(kind, f"batches/{job.id}")
        return job

    def _advanced(self, job: Job, now: int) -> Job:
        if not (job.state or job.imported) and job.starts <= min(now, job.expires):
            job = self._imported(job)
        if job.state:
            return job
        if job.due <= min(now, job.expires):
            return self._answered(job)
        if job.expires <= now:
            return self._halted(job, "EXPIRED", job.expires)
        return job

    def _imported(self, job: Job) -> Job:
        path = self.workspace.blobs.path(job.input_blob)
        longest = self.workspace.limits.line_bytes
        try:
            import_file(job, path, self.rows(job), longest)
        except BrokenLineError as error:
            text = f"Failed to import data from {job.file_name}: {error}"
            return self._kept(_end(job, "FAILED", job.starts, text), processed=0)
        job = replace(job, imported=True)
        self.jobs.keep(job)
        self.workspace.blobs.delete(job.input_blob)
        return job

    def _answered(self, job: Job) -> Job:
        model = known_model(job.model)
        with self.workspace.blobs.write(job.output_blob) as stream:
            answer = functools.partial(self.answering, model)
            failed = write_output(
                self.rows(job),
                answer,
                stream,
                seed=self.workspace.seed,
                separator=b"\n" if job.file_name else b",",
            )
        job = replace(job, succeeded=job.total - failed, failed=failed)
        job = _end(job, "SUCCEEDED", job.due)
        file = self._output_file(job) if job.file_name else None
        return self._kept(job, processed=job.total, file=file)

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

    def _halted(self, job: Job, state: EndState, at: int) -> Job:
        """Ended before all rows were answered: those that were are paid, and lost."""
        processed = job.answered(at)
        return self._kept(_end(replace(job, succeeded=processed), state, at), processed=processed)

    def _kept(self, job: Job, *, processed: int, file: StoredFile | None = None) -> Job:
        """Put an end on disk with all that belongs to it, then drop what led there."""
        with self.workspace.state.transaction():
            if processed:
                self.jobs.count_processed(self.rows(job).wire_keys(processed))
            if file is not None:
                self.files.add(file)
            self.jobs.keep(job)
        self.clear(job)
        return job

    def _working_blobs(self, job: Job) -> tuple[str, ...]:
        return (job.input_blob, *self.rows(job).blob_names)


def _end(job: Job, state: EndState, at: int, message: str = "") -> Job:
    code, default_message = _ERRORS.get(state, (0, ""))
    return replace(
        job, state=state, ended=at, error_code=code, error_message=message or default_message
    )
