from __future__ import annotations

import pytest

from batchkit.engines import engine_named
from batchkit.errors import SetupError


def test_the_local_engine_runs_tasks_one_after_the_other() -> None:
    seen: list[int] = []

    def work(task: int) -> int:
        seen.append(task)
        return task * 10

    results = engine_named("local").map(work, [1, 2, 3])
    assert seen == []
    assert list(results) == [10, 20, 30]
    assert seen == [1, 2, 3]


def test_an_object_with_map_is_an_engine() -> None:
    class Mine:
        def map(self, function, tasks):  # noqa: ANN001, ANN202
            return [function(task) for task in tasks]

    mine = Mine()
    assert engine_named(mine) is mine


@pytest.mark.parametrize("engine", ["spark", None, 3, "map"])
def test_anything_else_is_refused_with_what_may_be_given(engine: object) -> None:
    with pytest.raises(SetupError, match="give 'local', or an object with map"):
        engine_named(engine)
