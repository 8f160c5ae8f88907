"""A job's responses, in another order than the requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit.emulator.answering import dumps_answer
from batchkit.emulator.disorder import seeded_order
from batchkit.emulator.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from batchkit.emulator.rows import Row, Rows

__all__ = ["write_output"]


def write_output(
    rows: Rows,
    answer: Callable[[dict[str, Any]], dict[str, Any]],
    stream: IO[bytes],
    *,
    seed: int,
    separator: bytes,
) -> int:
    """Answer every row and write its JSON; returns how many rows failed.

    The `separator` stands between two rows, a newline behind the last.
    """
    failed = 0
    order = seeded_order(f"{seed}/{rows.name}", len(rows))
    for position, row in enumerate(rows.read(order)):
        try:
            response = answer(row.request)
        except AnswerError as error:
            failed += 1
            line = {**row.tag, "error": error.row()}
        else:
            line = _line(row, response, position)
        stream.write((separator if position else b"") + dumps_answer(line))
    stream.write(b"\n")
    return failed


def _line(row: Row, response: dict[str, Any], position: int) -> dict[str, Any]:
    """`response` comes before `key`, and after `metadata`; its own fields come in either order.

    https://github.com/google-gemini/cookbook/blob/main/quickstarts/Batch_mode.ipynb
    """
    if position % 2:
        response = dict(reversed(response.items()))
    if "metadata" in row.tag:
        return {**row.tag, "response": response}
    return {"response": response, **row.tag}
