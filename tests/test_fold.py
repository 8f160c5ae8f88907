from __future__ import annotations

import gc
import itertools
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.fold import ShardOutcomes, tally
from batchkit.outcome import STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("response", pa.large_string()),
        ("embedding", pa.list_(pa.float32())),
        ("status", pa.string()),
    ]
)


def written(path: Path, outcomes: dict[int, str], group_rows: int = 3) -> Path:
    """An outcomes file of rows and their statuses; the response says which file and row it is."""
    rows = sorted(outcomes)
    columns = [
        rows,
        [f"{path.stem}:{row}" for row in rows],
        [[float(row)] for row in rows],
        [outcomes[row] for row in rows],
    ]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)]
    pq.write_table(pa.table(arrays, schema=SCHEMA), path, row_group_size=group_rows)
    return path


def folded(
    folder: Path, *attempts: dict[int, str], first_row: int = 0, rows: int = 4
) -> ShardOutcomes:
    paths = {
        number: written(folder / f"{number}.parquet", outcomes)
        for number, outcomes in enumerate(attempts)
    }
    return ShardOutcomes(paths, SCHEMA, first_row, rows)


def shown(outcomes: ShardOutcomes, start: int = 0, stop: int = 4) -> list[tuple[str, str | None]]:
    window = outcomes.window(start, stop)
    assert window.schema.equals(SCHEMA)
    return [(row["status"], row["response"]) for row in window.to_pylist()]


def test_a_row_without_an_outcome_is_pending(tmp_path: Path) -> None:
    outcomes = folded(tmp_path, {1: "rejected"}, {0: "ok", 3: "missing"})
    assert shown(outcomes) == [
        ("ok", "1:0"),
        ("rejected", "0:1"),
        ("pending", None),
        ("missing", "1:3"),
    ]
    assert outcomes.attempts(0, 4).tolist() == [1, 0, -1, 1]
    assert outcomes.statuses() == {"ok": 1, "rejected": 1, "missing": 1, "pending": 1}


def test_the_first_ok_wins_and_of_other_outcomes_the_last(tmp_path: Path) -> None:
    outcomes = folded(
        tmp_path,
        {0: "error", 1: "ok", 2: "error", 3: "blocked"},
        {0: "ok", 1: "ok", 2: "missing"},
        {0: "ok", 1: "error"},
    )
    assert shown(outcomes) == [
        ("ok", "1:0"),
        ("ok", "0:1"),
        ("missing", "1:2"),
        ("blocked", "0:3"),
    ]


def test_a_shard_with_no_outcomes_at_all_is_pending(tmp_path: Path) -> None:
    outcomes = ShardOutcomes({}, SCHEMA, 0, 3)
    assert shown(outcomes, 0, 3) == [("pending", None)] * 3
    assert outcomes.statuses() == {"pending": 3}
    empty = folded(tmp_path, {}, rows=3)
    assert shown(empty, 0, 3) == [("pending", None)] * 3
    assert empty.statuses() == {"pending": 3}


def test_a_shard_s_rows_are_counted_from_its_first(tmp_path: Path) -> None:
    outcomes = folded(tmp_path, {1002: "ok", 1000: "empty"}, first_row=1000, rows=3)
    assert shown(outcomes, 0, 3) == [("empty", "0:1000"), ("pending", None), ("ok", "0:1002")]
    assert shown(outcomes, 2, 3) == [("ok", "0:1002")]
    assert shown(outcomes, 1, 1) == []


def test_a_shard_of_no_rows_has_none() -> None:
    outcomes = ShardOutcomes({}, SCHEMA, 0, 0)
    assert outcomes.window(0, 0).num_rows == 0
    assert sum(outcomes.statuses().values()) == 0


def test_an_answer_cut_short_gives_way_to_a_whole_one_only(tmp_path: Path) -> None:
    outcomes = folded(
        tmp_path,
        {0: "truncated", 1: "truncated", 2: "error", 3: "truncated"},
        {0: "missing", 1: "ok", 2: "truncated", 3: "truncated"},
        {2: "blocked"},
    )
    assert shown(outcomes) == [
        ("truncated", "0:0"),
        ("ok", "1:1"),
        ("truncated", "1:2"),
        ("truncated", "1:3"),
    ]


def test_a_row_that_is_asked_again_is_pending_unless_it_is_ok(tmp_path: Path) -> None:
    attempts = {1: written(tmp_path / "1.parquet", {10: "ok", 11: "error", 12: "truncated"})}
    again = written(tmp_path / "asked.parquet", dict.fromkeys((10, 11, 12), "ok"))
    outcomes = ShardOutcomes(attempts, SCHEMA, 10, 4, [again])
    assert [status for status, _ in shown(outcomes)] == ["ok", "pending", "pending", "pending"]
    assert outcomes.statuses() == {"ok": 1, "pending": 3}
    assert outcomes.attempts(0, 4).tolist() == [1, -1, -1, -1]


FULL_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("status", pa.string()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("output_tokens", pa.int64()),
    ]
)
Outcome = tuple[int, str, str | None, str | None, int | None]


def full(folder: Path, *attempts: list[Outcome], first_row: int = 0) -> ShardOutcomes:
    """The outcomes of attempts 0, 1, …, with why and how many tokens."""
    paths: dict[int, Path] = {}
    for number, outcomes in enumerate(attempts):
        columns = list(zip(*outcomes, strict=True)) or [()] * len(FULL_SCHEMA)
        arrays = [pa.array(c, t) for c, t in zip(columns, FULL_SCHEMA.types, strict=True)]
        paths[number] = folder / f"{number}.parquet"
        pq.write_table(pa.table(arrays, schema=FULL_SCHEMA), paths[number])
    return ShardOutcomes(paths, FULL_SCHEMA, first_row, 5)


def test_failures_are_rows_in_order_with_what_was_last_said_of_them(tmp_path: Path) -> None:
    outcomes = full(
        tmp_path,
        [(101, "rejected", "REJECTED", "no text", None)],
        [
            (100, "error", "INTERNAL", "first", None),
            (102, "ok", None, None, 3),
            (103, "missing", None, "gone", None),
        ],
        [(100, "error", "UNAVAILABLE", "second", None)],
        first_row=100,
    )
    assert [tuple(row.values()) for row in outcomes.failures().to_pylist()] == [
        (100, 2, "error", "UNAVAILABLE", "second"),
        (101, 0, "rejected", "REJECTED", "no text"),
        (103, 1, "missing", None, "gone"),
    ]
    assert full(tmp_path, [], []).failures().num_rows == 0


def test_times_and_costs_of_asking_leave_out_who_was_refused_with_all_others(
    tmp_path: Path,
) -> None:
    outcomes = full(
        tmp_path,
        [(4, "rejected", "REJECTED", "no text", None)],
        [(row, "error", "INVALID_ARGUMENT", "the whole", None) for row in range(4)],
        [(0, "ok", None, None, 5), (1, "error", "INTERNAL", "x", None)],
        [(2, "truncated", None, None, 7), (3, "error", "INVALID_ARGUMENT", "the whole", None)],
        [(1, "ok", None, None, 11)],
    )
    refusals = {1: "the whole", 3: "the whole"}
    assert outcomes.times_asked(refusals).tolist() == [1, 2, 1, 0, 0]
    assert outcomes.spent(refusals) == [
        {"requests": 3, "ok": 1, "output_tokens": 12},
        {"requests": 1, "ok": 1, "output_tokens": 11},
    ]
    assert outcomes.times_asked({}).tolist() == [2, 3, 2, 2, 0]
    assert full(tmp_path, []).spent({}) == []


ATTEMPTS = st.lists(
    st.dictionaries(st.integers(0, 19), st.sampled_from(["ok", "error", "missing", "blocked"])),
    max_size=4,
)


@settings(deadline=None)
@given(attempts=ATTEMPTS, cuts=st.lists(st.integers(0, 20), max_size=4), data=st.data())
def test_windows_of_any_size_in_any_order_say_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    attempts: list[dict[int, str]],
    cuts: list[int],
    data: st.DataObject,
) -> None:
    outcomes = folded(tmp_path_factory.mktemp("fold"), *attempts, rows=20)
    expected: list[tuple[str, str | None]] = []
    for row in range(20):
        said = [(there[row], f"{n}:{row}") for n, there in enumerate(attempts) if row in there]
        good = [outcome for outcome in said if outcome[0] == "ok"]
        expected.append(good[0] if good else said[-1] if said else ("pending", None))
    edges = sorted({0, 20, *cuts})
    windows = data.draw(st.permutations(list(itertools.pairwise(edges))))
    for start, stop in windows:
        assert shown(outcomes, start, stop) == expected[start:stop]
    assert sum(outcomes.statuses().values()) == 20


def test_the_tally_names_every_status_in_order_and_adds_up(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    shards = [
        folded(tmp_path, {0: "ok", 1: "error"}),
        folded(tmp_path / "b", {4: "ok", 7: "blocked"}, first_row=4),
    ]
    counts = tally(shards)
    assert list(counts) == list(STATUSES)
    assert {status: n for status, n in counts.items() if n} == {
        "ok": 2,
        "blocked": 1,
        "error": 1,
        "pending": 4,
    }
    assert set(tally([]).values()) == {0}


def test_a_tally_holds_one_shard_at_a_time(tmp_path: Path) -> None:
    rows, most = 100_000, 0
    path = written(tmp_path / "1.parquet", dict.fromkeys(range(rows), "ok"), group_rows=rows)
    before = pa.total_allocated_bytes()

    def shards() -> Iterator[ShardOutcomes]:
        nonlocal most
        for _ in range(10):
            yield ShardOutcomes({1: path}, SCHEMA, 0, rows)
            gc.collect()  # what nobody holds is not held
            most = max(most, pa.total_allocated_bytes() - before)

    assert tally(shards())["ok"] == 10 * rows
    assert most < 3 * 10 * rows  # the statuses of three shards at most, of ten bytes each


@pytest.mark.parametrize("size, least, most", [(10, 100_000, 10_000_000), (1_000_000, 50, 80)])
def test_a_window_may_have_the_rows_of_about_64_mb_of_answers(
    tmp_path: Path, size: int, least: int, most: int
) -> None:
    schema = pa.schema(
        [("row", pa.int64()), ("response", pa.large_string()), ("status", pa.string())]
    )
    for attempt, length in ((0, 1), (1, size), (2, 1)):
        numbers = pa.array(range(20), pa.int64())
        texts = pa.array([f"{row}".rjust(length) for row in range(20)], pa.large_string())
        table = pa.table([numbers, texts, pa.array(["ok"] * 20)], schema=schema)
        pq.write_table(table, tmp_path / f"{attempt}.parquet", use_dictionary=["status"])
    paths = {attempt: tmp_path / f"{attempt}.parquet" for attempt in range(3)}
    assert least < ShardOutcomes(paths, schema, 0, 20).window_rows < most


def test_a_shard_without_outcomes_has_a_window_of_any_size() -> None:
    assert ShardOutcomes({}, SCHEMA, 0, 5).window_rows > 1_000_000


def test_a_window_reads_only_the_row_groups_it_needs(tmp_path: Path) -> None:
    rows, width, step = 40_000, 100, 1_000  # 16 MB of vectors
    schema = pa.schema(
        [("row", pa.int64()), ("embedding", pa.list_(pa.float32())), SCHEMA.field("status")]
    )
    path = tmp_path / "1.parquet"
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, step):
            vectors = [[float(row)] * width for row in range(start, start + step)]
            numbers = pa.array(range(start, start + step), pa.int64())
            columns = [numbers, pa.array(vectors, schema.field(1).type), pa.array(["ok"] * step)]
            writer.write_table(pa.table(columns, schema=schema))
    outcomes = ShardOutcomes({1: path}, schema, 0, rows)
    before = pa.total_allocated_bytes()
    for start in range(0, rows, 700):
        stop = min(start + 700, rows)
        window = outcomes.window(start, stop)
        assert window.column("embedding").to_pylist()[-1][0] == stop - 1
        assert pa.total_allocated_bytes() - before < rows * width * 4 / 4  # a quarter of all
