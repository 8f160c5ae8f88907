"""Feeds damaged files to what reads them, for so many seconds: `python -m tests.fuzz 600`.

A crash is any error that is not one of batchkit's own, and any growth beyond a bound. What was
found is written to `found/` beside this file; the smallest of it is kept in `corpus/`, which
`tests/test_fuzz.py` reads again.
"""

from __future__ import annotations

import argparse
import logging
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from batchkit.errors import BatchkitError
from tests.fuzz.mutation import mutated
from tests.fuzz.subjects import SUBJECTS, seeds_of

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_BYTES = 3 << 30  # of address space; what a subject needs to start with is part of it
_HERE = Path(__file__).parent
_MEMORY = Path("/dev/shm")  # noqa: S108  # where syncing takes no time
_CHEAP = 20  # inputs for what takes no run, for one that does


def main() -> int:
    """Fuzz, print figures, and exit with 1 when anything was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    given = parser.parse_args()
    logging.getLogger("batchkit").setLevel(logging.ERROR)
    print(f"seed {given.seed}")  # noqa: T201  # a script's figures
    chance = random.Random(given.seed)  # noqa: S311  # no secret
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        folder = Path(name)
        seeds = {subject: seeds_of(subject, folder) for subject in SUBJECTS}
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
        end = time.monotonic() + given.seconds
        while time.monotonic() < end:
            subject = chance.choice(list(SUBJECTS))
            for _ in range(1 if subject.startswith("run/") else _CHEAP):
                content = mutated(chance.choice(seeds[subject]), chance, seeds[subject])
                counts[_tried(subject, content, folder)] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{counts.total():,} inputs, peak {peak:,} MB: {dict(counts)}")  # noqa: T201  # as above
    return 1 if any(kind.startswith("crash") for kind in counts) else 0


def _tried(subject: str, content: bytes, folder: Path) -> str:
    """What became of one input."""
    read: Callable[[bytes, Path], object] = SUBJECTS[subject]
    began = time.monotonic()
    try:
        read(content, folder)
    except BatchkitError as error:
        return f"{subject} {type(error).__name__}"
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what we look for
        _keep(subject, content, error)
        return f"crash {subject} {type(error).__name__}"
    if time.monotonic() - began > 20:  # seconds
        _keep(subject, content, TimeoutError())
        return f"crash {subject} slow"
    return f"{subject} read"


def _keep(subject: str, content: bytes, error: Exception) -> None:
    folder = _HERE / "found"
    folder.mkdir(exist_ok=True)
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = f"{Path(frame[0].filename).stem}-{frame[0].lineno}" if frame else "none"
    path = folder / f"{subject.replace('/', '+')}@{type(error).__name__}-{where}"
    if not path.exists() or path.stat().st_size > len(content):
        path.write_bytes(content)
        path.with_name(f"{path.name}.txt").write_text("".join(traceback.format_exception(error)))


if __name__ == "__main__":
    sys.exit(main())
