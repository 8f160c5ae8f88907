"""The work of a prediction job: from objects or a table to rows, from answers to either."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchkit.emulator.answering import dumps_answer
from batchkit.emulator.blemishes import befallen, broken_line, versions
from batchkit.emulator.clock import timestamp
from batchkit.emulator.disorder import seeded_order
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.life import WorkError
from batchkit.emulator.models import known_model
from batchkit.emulator.rows import Rows
from batchkit.emulator.vertex.answers import AnsweredRow
from batchkit.emulator.vertex.intake import import_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from batchkit.emulator.blemishes import Blemishes
    from batchkit.emulator.jobs import EndState, Job
    from batchkit.emulator.storage import Access
    from batchkit.emulator.vertex.answers import Answers
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
        order, fate = self.orders.find(job.id), self.workspace.fate
        rows, seed = self._rows(job), f"{self.workspace.seed}/{job.blob}"
        numbers = seeded_order(seed, count)
        blemishes = befallen(fate.of_rows(job), rows, seed)
        answered = self._answered(job, numbers, blemishes, is_table=bool(order.output_table))
        if order.output_table:
            failed = self.tables.write(order, job, answered, at=at)
        else:
            failed = self._write_object(order, job, answered, at)
        fate.count(blemishes[number].kind for number in numbers.tolist() if number in blemishes)
        return failed

    def _write_object(
        self, order: Order, job: Job, answered: Iterator[AnsweredRow], at: int
    ) -> int:
        model, moment = known_model(job.model), f"{timestamp(at)[:-7]}+00:00"
        failed: set[int] = set()
        try:
            with self.access.create(
                f"{order.output_folder}/{_OUTPUT}", content_type="application/jsonl"
            ) as stream:
                for each in answered:
                    if each.answer.status:
                        failed.add(each.number)
                    line = dumps_answer(self.answers.line(model, each.row, each.answer, moment))
                    stream.write(broken_line(each.fault, line) + b"\n")
        except ApiError as error:
            text = f"Failed to write to {order.output_folder}: {error.message}"
            raise WorkError(Rpc.NOT_FOUND, text) from error
        return len(failed)

    def _answered(
        self, job: Job, numbers: npt.NDArray[np.int64], blemishes: Blemishes, *, is_table: bool
    ) -> Iterator[AnsweredRow]:
        """What is written, in its order: a row once, unless its fault says otherwise."""
        model, rows = known_model(job.model), self._rows(job)
        for number, row in zip(numbers.tolist(), rows.read(numbers), strict=True):
            fault = blemishes.get(number)
            answer = self.answers.answer(model, row, fault)
            for known_as, change in versions(fault, row, breaks_lines=not is_table):
                changed = replace(answer, response=change(answer.response))
                yield AnsweredRow(number, known_as, changed, fault)

    def _rows(self, job: Job) -> Rows:
        return Rows(self.workspace.blobs, job.blob)
