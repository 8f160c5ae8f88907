from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

import batchkit as bk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Service, VertexService

SPEC = bk.generate("gemini-3.8-flash", "{text}")
TABLE = [{"id": f"r{i}", "text": None if i == 1 else "text"} for i in range(6)]


@pytest.fixture(autouse=True)
def _open_to_all() -> Iterator[None]:
    """A umask that takes nothing away, so that each mode is one that we chose."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> list[str]:
    wanted = {True: 0o700, False: 0o600}
    found = [folder, *folder.rglob("*")]
    return [f"{path}: {mode(path):o}" for path in found if mode(path) != wanted[path.is_dir()]]


@pytest.mark.parametrize("target", ["inline", "file"])
def test_all_of_a_run_can_be_read_by_its_owner_only(
    tmp_path: Path, service: Service, target: str
) -> None:
    folder = tmp_path / "runs" / "one"
    limits = {"max_rows": 2}
    results = bk.run(
        TABLE, SPEC, key="id", into=folder, target=target, limits=limits, client=service.client
    )
    results.to_parquet()
    assert len(list(folder.rglob("*"))) > 25
    assert (folder / "results").is_dir()
    assert open_to_others(tmp_path / "runs") == []


def test_a_run_on_objects_is_as_private(tmp_path: Path, vertex: VertexService) -> None:
    folder = tmp_path / "run"
    bk.run(TABLE, SPEC, key="id", into=folder, target=vertex.uri("p"), client=vertex.client)
    assert open_to_others(folder) == []


def test_a_download_is_private(tmp_path: Path, service: Service) -> None:
    bk.run(TABLE, SPEC, into=tmp_path / "run", target="file", client=service.client)
    (job,) = service.client.batches.list_all()
    to = tmp_path / "responses.jsonl"
    assert service.client.batches.write_output(service.client.batches.get(job.name), to)
    assert mode(to) == 0o600


def test_a_result_that_was_asked_for_elsewhere_follows_the_umask(
    tmp_path: Path, service: Service
) -> None:
    results = bk.run(TABLE, SPEC, into=tmp_path / "run", client=service.client)
    os.umask(0o027)
    results.to_parquet(tmp_path / "out" / "all.parquet")
    results.to_parquet(tmp_path / "out" / "parts")
    results.to_csv(tmp_path / "out" / "all.csv")
    results.to_jsonl(tmp_path / "out" / "all.jsonl")
    found = {mode(path) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {0o640}
    assert mode(tmp_path / "out") == mode(tmp_path / "out" / "parts") == 0o750
