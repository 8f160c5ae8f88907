from __future__ import annotations

from batchkit.emulator.storage.stamps import entity_tag, moment


def test_a_tag_packs_two_numbers_as_a_published_one_does() -> None:
    """https://github.com/googleapis/google-cloud-ruby: a moment of December 2014, and 1."""
    assert entity_tag(1418688703353000, 1) == "CKih16GjycICEAE="


def test_a_buckets_tag_packs_one() -> None:
    """https://github.com/googleapis/google-cloud-python: `CAE=` in samples of buckets."""
    assert entity_tag(1) == "CAE="


def test_a_moment_is_in_milliseconds() -> None:
    assert moment(1_767_697_751_943_530_999) == "2026-01-06T11:09:11.943Z"
