"""A million rows there and back: seconds and peak memory of the client, step by step.

usage: python benchmarks/million.py [--rows N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import batchkit as bk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

# fmt: off
WORDS = np.array([
    "the", "quick", "brown", "fox", '"quoted"', "back\\slash", "naïve", "東京", "emoji😀",
    "line\nbreak", "tab\there", "€", "12,50",
])
# fmt: on
WORDS_PER_ROW = 20
GROUP_ROWS = 100_000


def write_rows(path: Path, rows: int) -> None:
    """About 150 bytes of text a row, of several scripts, with everything JSON must escape."""
    draw = np.random.default_rng(0)
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("n", pa.int64())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, GROUP_ROWS):
            numbers = range(start, min(start + GROUP_ROWS, rows))
            picked = WORDS[draw.integers(0, len(WORDS), (len(numbers), WORDS_PER_ROW))]
            texts = [f"{n} " + " ".join(words) for n, words in zip(numbers, picked, strict=True)]
            ids = [f"row-{n:08d}" for n in numbers]
            writer.write_table(pa.table([ids, texts, list(numbers)], schema=schema))


def serve(pipe: Connection) -> None:
    """The emulator, apart, so that its memory is not the client's."""
    with bk.emulator.serve() as emulator:
        pipe.send((emulator.url, emulator.api_key))
        while pipe.recv() == "stats":
            stats = emulator.stats()
            counts = set(stats.pop("requests").values())
            pipe.send({**stats, "times each key was processed": counts})


def step(name: str, work: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{name:<10} {seconds:8.1f} s   client's peak so far {peak:7.0f} MB", flush=True)
    return result


def check(path: Path, table: Path) -> int:
    """How many rows have an answer that is not to their own text."""
    wrong = 0
    answered, asked = pq.ParquetFile(path), pq.ParquetFile(table)
    pairs = zip(values(answered, "response"), values(asked, "n"), strict=True)
    for response, number in pairs:
        wrong += not str(response).startswith(f"Echo: {number} ")
    return wrong


def values(file: pq.ParquetFile, column: str) -> Iterator[Any]:
    for batch in file.iter_batches(columns=[column]):
        yield from batch.column(0).to_pylist()


def travel(folder: Path, rows: int) -> int:
    table, run = folder / "rows.parquet", folder / "run"
    apart = multiprocessing.get_context("spawn")  # neither counts as the client's memory
    writer = apart.Process(target=write_rows, args=(table, rows))
    writer.start()
    writer.join()
    ours, theirs = apart.Pipe()
    process = apart.Process(target=serve, args=(theirs,))
    process.start()
    url, key = ours.recv()
    client = bk.Gemini(key, base_url=url)
    spec = bk.generate("gemini-3.8-flash", "{text}")
    built = step("build", lambda: bk.build(table, spec, key="id", into=run, target="file"))
    step("submit", lambda: bk.submit(built, client=client))
    step("wait", lambda: bk.wait(built, client=client, poll_seconds=1))
    results = step("collect", lambda: bk.collect(built, client=client))
    out = step("to_parquet", lambda: results.to_parquet(folder / "out.parquet"))
    tally = results.tally()
    wrong = check(out, table)
    ours.send("stats")
    print(f"{sum(tally.values()):,} rows: {tally}")
    print(f"{len(built.shards.shards)} shards, {sum(s.bytes for s in built.shards.shards):,} bytes")
    print(f"answers on the wrong row: {wrong}")
    print(f"emulator: {ours.recv()}")
    ours.send("stop")
    process.join()
    return 0 if tally["ok"] == rows and wrong == 0 else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        return travel(options.folder, options.rows)
    with tempfile.TemporaryDirectory() as name:
        return travel(Path(name), options.rows)


if __name__ == "__main__":
    sys.exit(main())
