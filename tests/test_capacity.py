from __future__ import annotations

from batchkit.capacity import Capacity


def test_no_more_jobs_are_tried_than_are_taken_at_once() -> None:
    capacity = Capacity(max_jobs=2, max_tokens=1000)
    for name in ("a", "b"):
        assert capacity.why_not(10) is None
        capacity.took(name, 10)
    assert capacity.why_not(10) == "2 jobs are under way, of 2"
    capacity.see({"b": 10})
    assert capacity.why_not(10) is None


def test_tokens_of_all_jobs_are_counted_together() -> None:
    capacity = Capacity(max_jobs=100, max_tokens=100)
    capacity.took("a", 60)
    assert capacity.why_not(40) is None
    assert capacity.why_not(41) == "about 60 tokens are under way, of 100"


def test_a_job_larger_than_the_limit_is_tried_alone() -> None:
    assert Capacity(max_jobs=1, max_tokens=5).why_not(1000) is None


def test_after_a_refusal_nothing_is_tried_until_a_job_has_ended() -> None:
    capacity = Capacity(max_jobs=100, max_tokens=10**9)
    capacity.see({"a": 50, "b": 50})
    capacity.refused(50, None)
    assert capacity.why_not(1) == "the service takes no more until a job has ended"
    capacity.see({"a": 50, "b": 50})
    assert capacity.why_not(1) is not None
    capacity.see({"b": 50})
    assert capacity.why_not(50) is None
    capacity.took("c", 50)
    assert capacity.why_not(50) == "the service takes less than about 150 tokens at once"
    assert capacity.why_not(49) is None


def test_with_no_job_under_way_tries_are_apart() -> None:
    capacity = Capacity(max_jobs=100, max_tokens=10**9)
    assert capacity.why_not(10) is None
    capacity.refused(10, None)
    said = "the service takes no job now, and none of this run is under way"
    assert capacity.why_not(10) == said
