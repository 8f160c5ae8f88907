"""A shard whose job has ended, and whose response file a test writes as it likes."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from batchkit.collecting import collect_responses
from batchkit.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    import batchkit as bk

__all__ = ["Shard", "receive", "rewrite_requests"]

SILENT = Verdict("missing", "GONE", "no line for this key")


@dataclass(frozen=True)
class Shard:
    """The only shard of the run in a folder of its own."""

    folder: Path

    def collect(self, lines: list[Any] | None, attempt: int = 1) -> dict[str, Any]:
        """Collect these lines, given as bytes or as what their JSON says; returns the counts."""
        if lines is not None:
            path = self.folder / "responses" / f"00000-{attempt}.jsonl"
            path.parent.mkdir(exist_ok=True)
            texts = [x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines]
            path.write_bytes(b"".join(text + b"\n" for text in texts))
        (self.folder / "outcomes").mkdir(exist_ok=True)
        if attempt > 1:  # it asks what the first one asked
            for kind, ending in (("rows", "parquet"), ("requests", "jsonl")):
                first = self.folder / kind / f"00000.{ending}"
                shutil.copy(first, first.with_stem(f"00000-{attempt}"))
        return collect_responses(self.folder, "00000", attempt, SILENT)

    def rows(self, attempt: int = 1) -> list[dict[str, Any]]:
        return pq.read_table(self.folder / "outcomes" / f"00000-{attempt}.parquet").to_pylist()

    def aside(self, attempt: int = 1) -> list[dict[str, Any]]:
        """The lines kept aside; none when there is no file of them."""
        path = self.folder / "outcomes" / f"00000-{attempt}.quarantine.jsonl"
        texts = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in texts]

    def requests(self) -> list[dict[str, Any]]:
        """The lines that were sent."""
        text = (self.folder / "requests" / "00000.jsonl").read_bytes()
        return [json.loads(line) for line in text.split(b"\n")[:-1]]


def receive(run: bk.Run, content: bytes) -> None:
    """Put this in place of what came back for the first shard, as if it had come so."""
    (attempt, *_) = run.attempts()
    run.responses_path(attempt).write_bytes(content)
    fetched = attempt.last("fetched")
    assert fetched is not None
    path = run.folder / "ledger" / attempt.name / fetched.name
    fact = {**json.loads(path.read_bytes()), "bytes": len(content)}
    path.write_bytes(json.dumps(fact).encode())


def rewrite_requests(run: bk.Run, old: bytes, new: bytes, shard: str = "00000") -> None:
    """Have a shard ask something else, as if it had been built so; a driver opens the run anew."""
    path = run.requests_path(shard)
    content = path.read_bytes().replace(old, new)
    path.write_bytes(content)
    shards = json.loads((run.folder / "shards.json").read_bytes())
    for each in shards["shards"]:
        if each["name"] == shard:
            each |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (run.folder / "shards.json").write_text(json.dumps(shards))
