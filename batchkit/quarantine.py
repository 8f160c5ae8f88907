"""Response lines kept aside: they fit no row, or contradict one another, and are never lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from batchkit import jsonl

if TYPE_CHECKING:
    from batchkit.outcome import Response

__all__ = ["Quarantine"]


_SHOWN_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The file where such lines go, with where they stood in `source` and why."""

    file: IO[bytes]
    source: str

    def keep(self, numbered: tuple[int, bytes], response: Response, reason: str) -> None:
        """Write one line, by its number, with what was read of it.

        Of a line that is too long to be read the beginning stands for it.
        """
        number, line = numbered
        text = line if len(line) <= jsonl.LONGEST_LINE_BYTES else line[:_SHOWN_BYTES]
        entry = {
            "file": f"responses/{self.source}",
            "line": number,
            "key": response.key,
            "reason": reason,
            "text": text.decode(errors="replace"),
        }
        self.file.write(jsonl.dumps(entry) + b"\n")
