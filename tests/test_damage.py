from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.damage import RESTORE, check_digest, check_size, reading
from batchkit.emulator import serve
from batchkit.errors import RunDirectoryError
from tests.conftest import quick_client, quick_vertex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "{text}")
TABLE = [{"id": "a", "text": "one"}, {"id": "b", "text": None}, {"id": "c", "text": "three"}]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was collected, with a row that was rejected."""
    folder = tmp_path_factory.mktemp("damage") / "run"
    with serve() as emulator:
        bk.run(
            TABLE,
            SPEC,
            key="id",
            into=folder,
            target="file",
            provenance=True,
            client=quick_client(emulator),
        )
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be damaged."""
    return shutil.copytree(whole, tmp_path / "run")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut(path: Path) -> None:
    """Without its last line, as if there had been one line less."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def beheaded(path: Path) -> None:
    path.write_bytes(b"\0" * 64 + path.read_bytes()[64:])


DAMAGES = pytest.mark.parametrize("damage", [emptied, halved])


def answers(run: Path) -> list[str | None]:
    return bk.collect(run).to_arrow().column("response").to_pylist()


@DAMAGES
@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "shards.json",
        "ledger/00000-1/01-intent.json",
        "ledger/00000-1/05-fetched.json",
        "rows/00000.parquet",
        "outcomes/00000-0.parquet",
        "table.arrow",
    ],
)
def test_a_damaged_file_that_nothing_makes_again_is_named_with_what_to_do(
    folder: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(folder / name)
    with pytest.raises(RunDirectoryError) as raised:
        bk.collect(folder).to_arrow()
    assert str(folder / name) in str(raised.value)
    assert "restore it" in str(raised.value)


@pytest.mark.parametrize("name", ["rows/00000.parquet", "table.arrow"])
def test_a_file_that_is_gone_is_named_with_what_to_do(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RunDirectoryError, match=f"{folder / name} .*: restore it"):
        bk.collect(folder).to_arrow()


@DAMAGES
def test_rows_are_needed_to_collect(folder: Path, damage: Callable[[Path], None]) -> None:
    shutil.rmtree(folder / "outcomes")
    damage(folder / "rows" / "00000.parquet")
    with pytest.raises(RunDirectoryError, match=r"rows/00000\.parquet is damaged"):
        bk.collect(folder)


@pytest.mark.parametrize("damage", [emptied, halved, beheaded])
def test_the_state_of_a_run_with_damaged_outcomes_says_to_collect_again(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder / "outcomes" / "00000-1.parquet")
    with pytest.raises(RunDirectoryError, match=r"00000-1\.parquet is damaged .*: delete it"):
        bk.open_run(folder).tally()


@pytest.mark.parametrize("damage", [emptied, halved, os.unlink])
@pytest.mark.parametrize("name", ["outcomes/00000-1.parquet", "outcomes/00000-1.json"])
def test_damaged_outcomes_are_made_again_from_the_responses(
    folder: Path, name: str, damage: Callable[[Path], None]
) -> None:
    before = {path: path.read_bytes() for path in (folder / "outcomes").iterdir()}
    audit = (folder / "audit.json").read_bytes()
    damage(folder / name)
    assert answers(folder) == ["Echo: one", None, "Echo: three"]
    assert {path: path.read_bytes() for path in (folder / "outcomes").iterdir()} == before
    assert (folder / "audit.json").read_bytes() == audit


@pytest.mark.parametrize("damage", [emptied, halved, os.unlink])
def test_rows_are_not_missing_because_their_responses_are_damaged(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder / "responses" / "00000-1.jsonl")
    assert answers(folder) == ["Echo: one", None, "Echo: three"]  # by outcomes made before
    (folder / "outcomes" / "00000-1.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"responses/00000-1\.jsonl is .*: restore it"):
        bk.collect(folder)


def test_outcomes_that_are_damaged_inside_are_made_again_once_deleted(folder: Path) -> None:
    path = folder / "outcomes" / "00000-1.parquet"
    beheaded(path)
    with pytest.raises(RunDirectoryError, match=f"{path} is damaged .*: delete it and collect"):
        bk.collect(folder)
    path.unlink()
    assert answers(folder) == ["Echo: one", None, "Echo: three"]


@pytest.mark.parametrize("damage", [emptied, halved, cut])
def test_requests_that_echoes_are_held_against_are_needed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "run"
    with serve(buckets=["bucket"]) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        bk.run(
            TABLE, SPEC, into=folder, target="gs://bucket/p", labels=False, client=quick_vertex()
        )
    shutil.rmtree(folder / "outcomes")
    requests = folder / "requests" / "00000.jsonl"
    damage(requests)
    with pytest.raises(RunDirectoryError, match=f"{requests} is damaged .*: restore it"):
        bk.collect(folder)


@pytest.mark.parametrize("damage", [emptied, halved, cut])
def test_a_damaged_request_file_is_not_sent(
    tmp_path: Path, service: Service, damage: Callable[[Path], None]
) -> None:
    run = bk.build(TABLE, SPEC, into=tmp_path / "run", target="file")
    path = run.requests_path("00000")
    damage(path)
    with pytest.raises(RunDirectoryError, match=f"{path} is damaged .*: restore it"):
        bk.submit(run, client=service.client)
    assert list(service.client.files.list_all()) == []
    assert service.paid() == {}
    assert [attempt.stage for attempt in run.attempts()] == ["unsent"]


@DAMAGES
def test_a_table_of_the_user_s_is_not_the_run_s(
    tmp_path: Path, service: Service, damage: Callable[[Path], None]
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b"".join(jsonl.dumps(row) + b"\n" for row in TABLE))
    bk.run(source, SPEC, into=tmp_path / "run", client=service.client)
    damage(source)
    assert bk.collect(tmp_path / "run", source="carried").tally()["ok"] == 2


def test_what_carries_the_source_is_needed_whole(folder: Path) -> None:
    halved(folder / "rows" / "00000.parquet")
    with pytest.raises(RunDirectoryError, match="damaged"):
        bk.collect(folder, source="carried").to_arrow()


def test_an_error_of_the_machine_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), reading(tmp_path):
        tmp_path.read_bytes()
    path = tmp_path / "x"
    with pytest.raises(RunDirectoryError) as raised, reading(path):
        path.read_bytes()
    assert raised.value.path == path
    assert str(raised.value) == f"{path} is missing: {RESTORE}"


def test_a_file_of_the_size_it_had_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    check_size(path, 5)
    with pytest.raises(RunDirectoryError) as raised:
        check_size(path, 6)
    assert str(raised.value) == f"{path} is damaged (5 bytes, and it had 6): {RESTORE}"


def test_a_file_of_the_content_it_had_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    check_digest(path, hashlib.sha256(b"12345").hexdigest())
    with pytest.raises(RunDirectoryError, match=r"\(its SHA-256 is 5994471abb01…, and"):
        check_digest(path, hashlib.sha256(b"54321").hexdigest())
