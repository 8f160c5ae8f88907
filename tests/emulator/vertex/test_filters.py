from __future__ import annotations

from typing import Any

import pytest

from batchkit.emulator.errors import ApiError
from batchkit.emulator.vertex.filters import parse_filter

JOB: dict[str, Any] = {
    "displayName": 'batchkit-a "b"',
    "state": "JOB_STATE_RUNNING",
    "labels": {"team": "a", "empty": ""},
}


@pytest.mark.parametrize(
    "text, holds",
    [
        ("", True),
        ('state="JOB_STATE_RUNNING"', True),
        ("state=JOB_STATE_RUNNING", True),
        ('state="JOB_STATE_FAILED"', False),
        ('state!="JOB_STATE_FAILED"', True),
        (r'display_name="batchkit-a \"b\""', True),
        ('displayName="batchkit-a"', False),
        ('display_name:"batchkit-*"', True),
        ('display_name:"other*"', False),
        ('labels.team="a"', True),
        ('labels.team="b"', False),
        ('labels.other="a"', False),
        ('labels.other!="a"', True),
        ("labels.empty:*", True),
        ("labels.other:*", False),
        ('state="JOB_STATE_RUNNING" AND labels.team="a"', True),
        ('state="JOB_STATE_RUNNING" AND labels.team="b"', False),
        ('display_name="x AND y"', False),
    ],
)
def test_a_job_is_meant_when_every_term_holds(text: str, holds: bool) -> None:  # noqa: FBT001
    assert parse_filter(text)(JOB) is holds


@pytest.mark.parametrize(
    "text",
    [
        "state",
        'state="x" AND',
        'state="x" OR state="y"',
        'state="x" state="y"',
        'priority="1"',
        'state="x',
        "labels=1",
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="Invalid filter: "):
        parse_filter(text)
