from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchkit import jsonl
from batchkit.errors import NotAuthorisedError, NotFoundError, ServiceFailureError
from batchkit.targets.output import fetch_output, is_gone
from tests.google import answered_lines, google
from tests.scripted import Said

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = answered_lines(["a", "b"])


def test_a_file_is_fetched_without_asking_for_its_job(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with google() as service:
        job = service.add_job("a name")
        service.end(job, output=CONTENT)

        def tell(received: int, total: int | None) -> None:
            told.append((received, total))

        to = tmp_path / "out"
        assert fetch_output(service.client(), job, "files/batch-j0", to, on_progress=tell)
        assert service.asked("GET", "batches/") == []
    assert to.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_job_is_asked_where_its_output_is(tmp_path: Path) -> None:
    with google() as service:
        job = service.add_job("a name")
        service.end(job, output=CONTENT)
        assert fetch_output(service.client(), job, None, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_job_without_output_gives_no_file(tmp_path: Path) -> None:
    with google() as service:
        job = service.add_job("a name")
        service.end(job, "CANCELLED")
        assert not fetch_output(service.client(), job, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_inlined_responses_become_lines(tmp_path: Path) -> None:
    items = [{"metadata": {"key": "ü\u2028"}, "response": {"x": 2**63}}, {"error": {"code": 13}}]
    with google() as service:
        job = service.add_job("a name")
        service.jobs[job]["response"] = {"inlinedResponses": {"inlinedResponses": items}}
        assert fetch_output(service.client(), job, None, tmp_path / "out")
    lines = (tmp_path / "out").read_bytes().split(b"\n")[:-1]
    assert [jsonl.loads(line) for line in lines] == items


def test_an_output_that_breaks_off_for_good_leaves_no_file(tmp_path: Path) -> None:
    cut = Said(body=b"x" * 500_000, sent_bytes=1_000)
    with google() as service:
        job = service.add_job("a name")
        service.end(job, output=CONTENT)
        service.answers = {"GET /download/": [cut] * 100}
        with pytest.raises(ServiceFailureError):
            fetch_output(service.client(), job, "files/batch-j0", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error, gone",
    [
        (NotFoundError(404, "NOT_FOUND", "no such file"), True),
        (NotAuthorisedError(403, "PERMISSION_DENIED", "… access … or it may not exist."), True),
        (NotAuthorisedError(403, "PERMISSION_DENIED", "billing is disabled"), False),
        (NotAuthorisedError(401, "UNAUTHENTICATED", "who are you"), False),
    ],
)
def test_a_file_that_is_gone_is_told_from_one_that_may_not_be_read(
    error: NotFoundError | NotAuthorisedError, *, gone: bool
) -> None:
    assert is_gone(error) is gone
