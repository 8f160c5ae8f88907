from __future__ import annotations

import pytest

from batchkit.errors import CapabilityError, SetupError
from batchkit.limits import default_limits
from batchkit.rundir import Shard
from batchkit.targets.target import choose_target, target_named
from batchkit.wire import dialect_for


def shard(requests: int, size: int) -> Shard:
    return Shard("00000", 0, requests, requests, size, "")


LIMITS = default_limits(dialect_for("gemini", "generate"), "gemini-3.8-flash")


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


@pytest.mark.parametrize("name", ["s3://bucket", "inline://x", "gs", "bq", "files", ""])
def test_an_unknown_target_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(CapabilityError, match="knows 'inline', 'file', 'gs://bucket/folder', 'bq"):
        target_named(name)


@pytest.mark.parametrize(
    "name, service, is_table",
    [
        ("inline", "gemini", False),
        ("file", "gemini", False),
        ("gs://my-bucket/some/folder", "vertex", False),
        ("gs://my-bucket", "vertex", False),
        ("bq://my-project.my_dataset", "vertex", True),
    ],
)
def test_a_target_tells_its_service(name: str, service: str, *, is_table: bool) -> None:
    target = target_named(name)
    assert (target.service, target.is_table) == (service, is_table)


@pytest.mark.parametrize(
    "name, said",
    [
        ("gs://", "gs://bucket/folder"),
        ("gs://Bad Bucket/x", "gs://bucket/folder"),
        ("bq://project", "bq://project.dataset.table"),
        ("bq://project.dataset.table", "each job has its tables"),
    ],
)
def test_an_address_that_is_none_is_refused(name: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        target_named(name)


@pytest.mark.parametrize("output", ["folder/x", "bq://p.d", "gs://"])
def test_output_goes_to_objects_only(output: str) -> None:
    with pytest.raises(SetupError, match="gs://bucket/folder"):
        target_named("bq://project.dataset").check_output(output)
    with pytest.raises(CapabilityError, match="the Developer API keeps a job's output itself"):
        target_named("file").check_output(output)


def test_an_inline_shard_has_half_of_the_documented_twenty_megabytes() -> None:
    assert target_named("inline").largest_shard(LIMITS) == 10_000_000
