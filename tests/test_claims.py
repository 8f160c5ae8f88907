from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit import jsonl
from batchkit.claims import Terms, claims_of

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.ledger import Attempt

ROWS, SHARD_ROWS, MOST = 9, 4, 3
SPEC = bk.generate("gemini-3.8-flash", "{text}", config={"maxOutputTokens": 8})


def candidate(text: str, reason: str = "STOP") -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    return {"response": {"candidates": [{"content": content, "finishReason": reason}]}}


# What a service may say of a row (None: nothing), and whether it deserves to be asked again.
SAID: dict[str, tuple[dict[str, Any] | None, bool]] = {
    "fine": (candidate("yes"), False),
    "silent": (None, True),
    "empty": (candidate(""), True),
    "garbled": (candidate("x", "MALFORMED_RESPONSE"), True),
    "cut": (candidate("ye", "MAX_TOKENS"), False),
    "refused": (candidate("", "SAFETY"), False),
    "other": (candidate("", "OTHER"), False),
    "cancelled": ({"error": {"code": 1, "message": "x"}}, True),
    "wrong": ({"error": {"code": 3, "message": "x"}}, False),
    "late": ({"error": {"code": 4, "message": "x"}}, True),
    "unknown": ({"error": {"code": 5, "message": "x"}}, False),
    "forbidden": ({"error": {"code": 7, "message": "x"}}, False),
    "busy": ({"error": {"code": 429, "message": "x"}}, True),
    "setup": ({"error": {"code": 9, "message": "agents are being provisioned"}}, True),
    "state": ({"error": {"code": 9, "message": "x"}}, False),
    "broken": ({"error": {"code": 13, "message": "x"}}, True),
    "down": ({"error": {"code": 503, "message": "x"}}, True),
}


def built(folder: Path) -> bk.Run:
    table = [{"id": f"k{i}", "text": "x"} for i in range(ROWS)]
    return bk.build(table, SPEC, key="id", into=folder, limits={"max_rows": SHARD_ROWS})


def answer(run: bk.Run, attempt: Attempt, moods: dict[int, str]) -> None:
    """The job of an attempt ends, and this is its output."""
    for kind in ("intent", "created", "ended", "fetched"):
        known = {"job": f"batches/{attempt.name}", "account": "x", "state": "succeeded"}
        attempt = run.ledger.write(attempt, kind, **known)
    lines = [
        jsonl.dumps({"key": f"k{row}", **said})
        for row, mood in moods.items()
        if (said := SAID[mood][0]) is not None
    ]
    path = run.responses_path(attempt)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def rows_of(run: bk.Run, name: str) -> list[int]:
    return pq.read_table(run.rows_path(name)).column("row").to_pylist()


@pytest.mark.parametrize("mood", SAID)
def test_what_deserves_to_be_asked_again(tmp_path: Path, mood: str) -> None:
    run = built(tmp_path / "run")
    for attempt in run.attempts():
        answer(run, attempt, dict.fromkeys(rows_of(run, attempt.shard), mood))
    again = bk.retry(run)
    is_owed = SAID[mood][1]
    assert again.rows == (ROWS if is_owed else 0)
    failed = 0 if mood == "fine" or is_owed else ROWS
    assert sum(again.left.values()) == again.left.get("final", 0) == failed


@settings(max_examples=25)
@given(data=st.data())
def test_no_row_is_asked_twice_at_once_nor_too_often_nor_once_it_is_ok(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    run = built(tmp_path_factory.mktemp("claims") / "run")
    now = dict.fromkeys(range(ROWS), "waiting")
    asked: Counter[int] = Counter()
    for _ in range(MOST + 1):
        for shard, attempt in run.asked():
            is_open = attempt.stage == "unsent"
            if not (is_open and data.draw(st.booleans(), label=f"{attempt.name} ends")):
                continue
            rows = rows_of(run, shard.name)
            moods = {row: data.draw(st.sampled_from(list(SAID))) for row in rows}
            assert all(now[row] == "waiting" for row in rows)
            asked.update(rows)
            now |= moods
            answer(run, attempt, moods)
        limit = data.draw(st.integers(1, 3))
        again = bk.retry(run, max_attempts=MOST, limits={"max_rows": limit})
        owed = [r for r, mood in now.items() if mood in SAID and SAID[mood][1] and asked[r] < MOST]
        assert again.rows == len(owed)
        kept = [row for row, mood in now.items() if mood not in {"waiting", "fine"}]
        assert again.rows + sum(again.left.values()) == len(kept)
        now |= dict.fromkeys(owed, "waiting")
        waiting = [rows_of(run, s.name) for s, a in run.asked() if a.stage == "unsent"]
        flat = sorted(row for rows in waiting for row in rows)
        assert flat == [row for row, mood in now.items() if mood == "waiting"]
        tally = run.tally()
        assert (sum(tally.values()), tally["pending"]) == (ROWS, len(flat))
        assert tally["ok"] == sum(mood == "fine" for mood in now.values())
    assert max(asked.values(), default=0) <= MOST


def test_rows_without_a_request_are_never_asked(tmp_path: Path) -> None:
    table = [{"text": "x"}, {"text": None}]
    run = bk.build(table, SPEC, into=tmp_path / "run")
    (shard,) = run.shards.shards
    claims = claims_of(run, shard, Terms(3, None, bisect=True))
    assert (claims.claims, claims.left) == ((), {"final": 1})
