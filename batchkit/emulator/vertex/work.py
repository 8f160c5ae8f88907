"""The work of a prediction job: from objects or a table to rows, from answers to either."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchkit.emulator.answering import dumps_answer
from batchkit.emulator.clock import timestamp
from batchkit.emulator.disorder import seeded_order
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.life import WorkError
from batchkit.emulator.models import known_model
from batchkit.emulator.rows import Rows
from batchkit.emulator.vertex.intake import import_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchkit.emulator.jobs import EndState, Job
    from batchkit.emulator.rows import Row
    from batchkit.emulator.storage import Access
    from batchkit.emulator.vertex.answers import Answer, Answers
    from batchkit.emulator.vertex.orders import Order, Orders
    from batchkit.emulator.vertex.tables import Tables
    from batchkit.emulator.workspace import Workspace

__all__ = ["PredictionWork"]

_OUTPUT = "predictions.jsonl"


@dataclass(frozen=True, slots=True)
class PredictionWork:
    """The work of the jobs of one emulator's Vertex AI."""

    workspace: Workspace
    orders: Orders
    access: Access
    tables: Tables
    answers: Answers

    def name(self, job: Job) -> str:
        """`projects/…/locations/…/batchPredictionJobs/…`."""
        return self.orders.find(job.id).name

    def take(self, job: Job) -> Job:
        """The lines of objects, or the rows of a table; there must be a place for the output."""
        order = self.orders.find(job.id)
        model, limits = known_model(job.model), self.workspace.limits
        self._check_output(order)
        rows = self._rows(job)
        if order.input_table:
            total = self.tables.take(order, job, rows, model)
        else:
            total = import_objects(
                self.access,
                order.object_uris,
                rows,
                model=model,
                limits=limits,
                quirks=self.answers.quirks,
            )
        return replace(job, total=total)

    def answer(self, job: Job) -> int:
        """Every row's line or row of output, in another order than theirs."""
        return self._written(job, job.total, job.due)

    def halt(self, job: Job, count: int, at: int) -> int:
        """What is answered is exported as the job goes: it stays when the job stops."""
        with contextlib.suppress(WorkError):
            return self._written(job, count, at)
        return 0

    def late(self, job: Job) -> EndState:
        """A job that waited for too long has expired, one that ran for too long has failed."""
        return "FAILED" if job.imported else "EXPIRED"

    def keep(self, job: Job) -> None:
        """Objects and tables are not of the emulator's own state."""

    def output_blobs(self, _job: Job) -> tuple[str, ...]:
        """Output lies where the client told it to."""
        return ()

    def _check_output(self, order: Order) -> None:
        if order.output_table:
            self.tables.check_output(order)
            return
        try:
            self.access.location(order.output_folder.removeprefix("gs://").partition("/")[0])
        except ApiError as error:
            text = f"Failed to write to {order.output_folder}: {error.message}"
            raise WorkError(Rpc.NOT_FOUND, text) from error

    def _written(self, job: Job, count: int, at: int) -> int:
        order = self.orders.find(job.id)
        seed = f"{self.workspace.seed}/{job.blob}"
        numbers = seeded_order(seed, count)
        answered = self._answered(job, self._rows(job).read(numbers))
        if order.output_table:
            return self.tables.write(order, job, answered, numbers=numbers, at=at)
        try:
            with self.access.create(
                f"{order.output_folder}/{_OUTPUT}", content_type="application/jsonl"
            ) as stream:
                failed = 0
                for row, answer in answered:
                    failed += bool(answer.status)
                    stream.write(dumps_answer(self._line(job, row, answer, at)) + b"\n")
                return failed
        except ApiError as error:
            text = f"Failed to write to {order.output_folder}: {error.message}"
            raise WorkError(Rpc.NOT_FOUND, text) from error

    def _answered(self, job: Job, rows: Iterator[Row]) -> Iterator[tuple[Row, Answer]]:
        model = known_model(job.model)
        for row in rows:
            yield row, self.answers.answer(model, row)

    def _line(self, job: Job, row: Row, answer: Answer, at: int) -> dict[str, Any]:
        moment = f"{timestamp(at)[:-7]}+00:00"
        return self.answers.line(known_model(job.model), row, answer, moment)

    def _rows(self, job: Job) -> Rows:
        return Rows(self.workspace.blobs, job.blob)
