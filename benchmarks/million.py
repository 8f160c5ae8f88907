"""A million rows there and back: seconds and peak memory of the client, step by step.

usage: python benchmarks/million.py [--target file|gs] [--rows N] [--folder DIR]

With `--target gs` the table, the requests, the responses and the result are objects.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import batchkit as bk
from batchkit.storage import ObjectUri

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
BUCKET = "a-million"
TABLE, OUT = f"gs://{BUCKET}/rows.parquet", f"gs://{BUCKET}/out.parquet"


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


def serve(pipe: Connection, table: Path) -> None:
    """The emulator, apart, so that its memory is not the client's; the table is in its bucket."""
    with bk.emulator.serve(buckets=[BUCKET]) as emulator:
        with table.open("rb") as file, emulator.storage.create(TABLE) as stream:
            shutil.copyfileobj(file, stream)
        pipe.send(emulator.environment)
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


def check(answered: pq.ParquetFile, asked: pq.ParquetFile) -> int:
    """How many rows have an answer that is not to their own text."""
    wrong = 0
    pairs = zip(values(answered, "response"), values(asked, "n"), strict=True)
    for response, number in pairs:
        wrong += not str(response).startswith(f"Echo: {number} ")
    return wrong


def values(file: pq.ParquetFile, column: str) -> Iterator[Any]:
    for batch in file.iter_batches(columns=[column]):
        yield from batch.column(0).to_pylist()


def written(out: Path | str, client: bk.Gemini | bk.Vertex) -> pq.ParquetFile:
    """The file of results, wherever it was written."""
    if isinstance(client, bk.Gemini):
        return pq.ParquetFile(out)
    objects = client.cloud.objects
    (stored,) = objects.list(ObjectUri.parse(OUT))
    return pq.ParquetFile(objects.open(stored))


def travel(folder: Path, rows: int, target: str) -> int:
    local, run = folder / "rows.parquet", folder / "run"
    apart = multiprocessing.get_context("spawn")  # neither counts as the client's memory
    writer = apart.Process(target=write_rows, args=(local, rows))
    writer.start()
    writer.join()
    ours, theirs = apart.Pipe()
    process = apart.Process(target=serve, args=(theirs, local))
    process.start()
    os.environ.update(ours.recv())
    if target == "gs":
        client, table, out, way = bk.Vertex(), TABLE, OUT, f"gs://{BUCKET}/runs"
    else:
        client, table, out, way = bk.Gemini(), local, folder / "out.parquet", target
    spec = bk.generate("gemini-3.8-flash", "{text}")
    built = step(
        "build", lambda: bk.build(table, spec, key="id", into=run, target=way, client=client)
    )
    step("submit", lambda: bk.submit(built, client=client))
    step("wait", lambda: bk.wait(built, client=client, poll_seconds=1))
    results = step("collect", lambda: bk.collect(built, client=client))
    step("to_parquet", lambda: results.to_parquet(out, client=client))
    tally = results.tally()
    wrong = check(written(out, client), pq.ParquetFile(local))
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
    parser.add_argument("--target", choices=["file", "gs"], default="file")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        return travel(options.folder, options.rows, options.target)
    with tempfile.TemporaryDirectory() as name:
        return travel(Path(name), options.rows, options.target)


if __name__ == "__main__":
    sys.exit(main())
