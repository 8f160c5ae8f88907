from __future__ import annotations

import pytest

from batchkit.errors import CapabilityError
from batchkit.limits import default_limits
from batchkit.rundir import Shard
from batchkit.targets.target import choose_target, target_named


def shard(requests: int, size: int) -> Shard:
    return Shard("00000", 0, requests, requests, size, "")


LIMITS = default_limits("gemini", "generate", "gemini-3.8-flash")


@pytest.mark.parametrize(
    "shards, target",
    [
        ([shard(1_000, 5_000)], "inline"),
        ([shard(1_001, 5_000)], "file"),
        ([shard(10, 10_000_001)], "file"),
        ([shard(10, 100), shard(10, 100)], "file"),
        ([], "file"),
    ],
)
def test_one_small_shard_goes_inline_and_all_else_by_file(shards: list[Shard], target: str) -> None:
    assert choose_target(shards, LIMITS) == target


def test_an_unknown_target_is_refused_with_those_there_are() -> None:
    with pytest.raises(CapabilityError, match="knows 'inline', 'file'"):
        target_named("gs://bucket")


def test_an_inline_shard_has_half_of_the_documented_twenty_megabytes() -> None:
    assert target_named("inline").largest_shard(LIMITS) == 10_000_000
