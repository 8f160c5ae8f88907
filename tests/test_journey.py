from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import batchkit as bk
from batchkit.emulator import AnswerError, Limits, echo, serve
from batchkit.errors import CredentialsError, RunChangedError
from batchkit.events import Built, Collected, Event, Polled, Said, Sent
from tests.conftest import Service, quick_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
FRAME = pd.DataFrame({"id": ["a", "b", "c"], "text": ["x", "y", "z"]})


def test_one_call_takes_a_table_there_and_back(tmp_path: Path, service: Service) -> None:
    results = bk.run(FRAME, SPEC, key="id", into=tmp_path / "run", client=service.client)
    assert results.to_pandas()["response"].tolist() == ["Echo: Say x", "Echo: Say y", "Echo: Say z"]


def test_the_same_call_again_asks_the_service_for_nothing(tmp_path: Path, service: Service) -> None:
    first = bk.run(FRAME, SPEC, key="id", into=tmp_path / "run", client=service.client)
    again = bk.run(FRAME, SPEC, key="id", into=tmp_path / "run")  # not even a key is needed
    assert again.to_arrow().equals(first.to_arrow())
    assert service.paid() == {"a": 1, "b": 1, "c": 1}


def test_a_changed_call_is_refused_with_what_changed(tmp_path: Path, service: Service) -> None:
    bk.run(FRAME, SPEC, key="id", into=tmp_path / "run", client=service.client)
    other = bk.generate("gemini-3.5-flash", "Say {text}")
    with pytest.raises(RunChangedError, match=r"spec model: the run has 'gemini-3\.8-flash'"):
        bk.run(FRAME, other, key="id", into=tmp_path / "run", client=service.client)


def test_a_missing_key_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with pytest.raises(CredentialsError, match="GEMINI_API_KEY"):
        bk.run(FRAME, SPEC, key="id", into=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_shards_that_are_held_back_follow_as_jobs_end(tmp_path: Path) -> None:
    limits = Limits(concurrent_jobs=2)
    told: list[Event] = []
    with serve(limits=limits, job_seconds=0.3) as emulator:
        table = [{"id": i, "text": "x"} for i in range(7)]
        results = bk.run(
            table,
            SPEC,
            key="id",
            into=tmp_path / "run",
            client=quick_client(emulator),
            limits={"max_rows": 1},
            target="file",
            poll_seconds=0.05,
            progress=told.append,
        )
        assert results.tally()["ok"] == 7
        assert emulator.stats()["requests"] == {str(i): 1 for i in range(7)}
    assert any(isinstance(event, Said) and "takes no more now" in event.text for event in told)


def test_what_happens_is_told_as_it_happens(tmp_path: Path, service: Service) -> None:
    told: list[Event] = []
    bk.run(
        FRAME,
        SPEC,
        key="id",
        into=tmp_path / "run",
        client=service.client,
        poll_seconds=0.01,
        progress=told.append,
    )
    kinds = [type(event) for event in told]
    assert Said(f"run directory: {tmp_path / 'run'}") in told
    assert Built(3, 3, tmp_path / "run") in told
    assert Sent(1, 1) in told
    assert kinds.index(Built) < kinds.index(Sent) < kinds.index(Polled) < kinds.index(Collected)


# Three processes that share nothing but the name of a directory.
BUILD = """
import sys, pandas as pd, batchkit as bk
index = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["shop", "number"])
frame = pd.DataFrame({"text": ["x", None, "z"], "price": [1.5, float("nan"), 3.0]}, index=index)
frame["at"] = pd.to_datetime(["2026-01-01", "2026-01-02", None]).tz_localize("Europe/Berlin")
frame["kind"] = pd.Categorical(["u", "v", "u"], categories=["v", "u"], ordered=True)
frame.to_pickle(sys.argv[2])
spec = bk.generate("gemini-3.8-flash", "Say {text??nothing}")
bk.build(frame, spec, key=["shop", "number"], into=sys.argv[1], limits={"max_rows": 2})
"""
SUBMIT = "import sys, batchkit as bk; assert bk.submit(sys.argv[1]).is_complete"
COLLECT = """
import sys, batchkit as bk
bk.wait(sys.argv[1], poll_seconds=0.05)
bk.collect(sys.argv[1]).to_pandas().to_pickle(sys.argv[2])
"""


def test_built_submitted_and_collected_in_three_processes_from_a_frame_that_is_gone(
    tmp_path: Path, service: Service
) -> None:
    before, after = tmp_path / "before.pickle", tmp_path / "after.pickle"
    for name, code, pickle in (("b", BUILD, before), ("s", SUBMIT, before), ("c", COLLECT, after)):
        where = tmp_path / name  # each is somewhere else
        where.mkdir()
        subprocess.run(  # noqa: S603  # our own interpreter
            [sys.executable, "-c", code, str(tmp_path / "run"), str(pickle)],
            env={**os.environ, **service.emulator.environment},
            cwd=where,
            check=True,
            timeout=120,
        )
    frame, result = pd.read_pickle(before), pd.read_pickle(after)  # noqa: S301  # written above
    pd.testing.assert_frame_equal(result[list(frame.columns)], frame)
    assert result["response"].tolist() == ["Echo: Say x", "Echo: Say nothing", "Echo: Say z"]
    assert service.paid() == {'["a",1]': 1, '["a",2]': 1, '["b",1]': 1}


def test_two_runs_can_go_on_side_by_side(tmp_path: Path, service: Service) -> None:
    done: dict[str, bk.Results] = {}

    def go(name: str) -> None:
        done[name] = bk.run(FRAME, SPEC, key="id", into=tmp_path / name, client=service.client)

    threads = [threading.Thread(target=go, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [done[name].tally()["ok"] for name in ("one", "two")] == [3, 3]


def test_without_into_a_new_folder_is_named_after_the_table(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    FRAME.to_parquet("shop reviews.parquet")
    results = bk.run("shop reviews.parquet", SPEC, key="id", client=service.client)
    assert results.run.folder.parent.name == "runs"
    assert results.run.folder.name.startswith("shop-reviews-")


def failing(times: int) -> Callable[[Any, str, dict[str, Any]], dict[str, Any]]:
    """A model that fails so often before it answers, each prompt for itself; "z" it never does."""
    asked: Counter[str] = Counter()

    def answer(kind: Any, model: str, request: dict[str, Any]) -> dict[str, Any]:
        text = request["contents"][0]["parts"][0]["text"]
        asked[text] += 1
        if asked[text] <= times or text == "Say z":
            raise AnswerError(14, "try again")
        return echo(kind, model, request)

    return answer


def test_rows_that_fail_are_asked_again_as_often_as_was_said(tmp_path: Path) -> None:
    with serve(answerer=failing(1)) as emulator:
        client = quick_client(emulator)

        def go(retries: int) -> bk.Results:
            into = tmp_path / "run"
            return bk.run(
                FRAME,
                SPEC,
                key="id",
                into=into,
                client=client,
                poll_seconds=0.01,
                retries=retries,
            )

        assert go(0).tally()["error"] == 3
        for _ in range(2):  # repeated, it asks nothing more
            assert go(1).to_pandas()["status"].tolist() == ["ok", "ok", "error"]
            assert emulator.stats()["requests"] == {"a": 2, "b": 2, "c": 2}
        assert go(3).tally()["error"] == 1
        assert emulator.stats()["requests"] == {"a": 2, "b": 2, "c": 4}


def test_a_run_goes_on_with_rows_that_were_built_to_be_asked_again(tmp_path: Path) -> None:
    with serve(answerer=failing(1)) as emulator:
        client = quick_client(emulator)
        results = bk.run(FRAME, SPEC, key="id", into=tmp_path / "run", client=client)
        assert bk.retry(results.run).rows == 3
        results = bk.run(FRAME, SPEC, key="id", into=tmp_path / "run", client=client)
        assert results.tally()["ok"] == 2
