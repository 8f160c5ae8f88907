"""A job of BigQuery that runs once, though it is asked for again: after a crash, or by another."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import Conflict, NotFound

from batchkit.failures import google_errors

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["last_run", "run_once"]

_MOST_TRIES = 20


def run_once(
    client: Any,
    job_id: str,
    location: str,
    begin: Callable[[str], Any],
    *,
    operation: str,
    holds: Callable[[Any], bool],
) -> Any:
    """The job of this id, run to its end by whoever began it; `begin` starts it under a name.

    After one that failed, or what it did no longer `holds`, another is begun under the next number.
    """
    for number in count(1):
        name = f"{job_id}-{number}"
        with google_errors(operation):
            job = _found(client, name, location)
            has_ended = job and job.state == "DONE" and number < _MOST_TRIES
            if has_ended and (job.error_result or not holds(job)):
                continue  # one that failed wrote nothing, and one may have been undone
            job = job or _begun(client, name, location, begin)
            job.result()
            return job
    raise AssertionError


def last_run(client: Any, job_id: str, location: str, *, operation: str) -> Any:
    """The last job of this id that was begun, None when none was."""
    last = None
    for number in range(1, _MOST_TRIES + 1):
        with google_errors(operation):
            job = _found(client, f"{job_id}-{number}", location)
        if job is None:
            break
        last = job
    return last


def _found(client: Any, name: str, location: str) -> Any:
    try:
        return client.get_job(name, location=location)
    except NotFound:
        return None


def _begun(client: Any, name: str, location: str, begin: Callable[[str], Any]) -> Any:
    try:
        return begin(name)
    except Conflict:  # its reply was lost, and the library asked again
        return client.get_job(name, location=location)
