"""A job's responses, in another order than the requests, and with the faults that befall them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit.emulator.answering import dumps_answer
from batchkit.emulator.blemishes import broken_line, spoilt, versions
from batchkit.emulator.disorder import seeded_order
from batchkit.emulator.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from batchkit.emulator.blemishes import Blemishes
    from batchkit.emulator.faults import RowFault
    from batchkit.emulator.rows import Row, Rows

    Answer = Callable[[dict[str, Any]], dict[str, Any]]

__all__ = ["write_output"]


def write_output(
    rows: Rows,
    answer: Answer,
    stream: IO[bytes],
    *,
    seed: int,
    is_file: bool,
    blemishes: Blemishes,
) -> int:
    """Answer every row and write its JSON; returns how many rows failed.

    Each has a line in a file; else there is a comma between two, and a newline behind the last.
    """
    failed = written = 0
    order = seeded_order(f"{seed}/{rows.name}", len(rows))
    for position, (number, row) in enumerate(zip(order.tolist(), rows.read(order), strict=True)):
        fault = blemishes.get(number)
        error, response = _answered(row, answer, fault)
        failed += error is not None
        for line in _lines(row, error or response, fault, position, is_file=is_file):
            text = dumps_answer(line)
            if is_file:
                stream.write(broken_line(fault, text) + b"\n")
            else:
                stream.write((b"," if written else b"") + text)
            written += 1
    if not is_file:
        stream.write(b"\n")
    return failed


def _answered(
    row: Row, answer: Answer, fault: RowFault | None
) -> tuple[AnswerError | None, dict[str, Any]]:
    try:
        return None, spoilt(fault, answer(row.request))
    except AnswerError as error:
        return error, {}


def _lines(
    row: Row,
    answer: AnswerError | dict[str, Any],
    fault: RowFault | None,
    position: int,
    *,
    is_file: bool,
) -> Iterator[dict[str, Any]]:
    for known_as, change in versions(fault, row, breaks_lines=is_file):
        if isinstance(answer, AnswerError):
            yield {**known_as.tag, "error": answer.row()}
        else:
            yield _line(known_as, change(answer), position)


def _line(row: Row, response: Any, position: int) -> dict[str, Any]:
    """`response` comes before `key`, and after `metadata`; its own fields come in either order.

    https://github.com/google-gemini/cookbook/blob/main/quickstarts/Batch_mode.ipynb
    """
    if position % 2 and response.__class__ is dict:
        response = dict(reversed(response.items()))
    if "metadata" in row.tag:
        return {**row.tag, "response": response}
    return {"response": response, **row.tag}
