from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.errors import RunDirectoryError, RunHeldError
from tests.driver import FORKS, hold_and_die

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "{text}")


def test_a_run_is_opened_from_its_directory_alone(tmp_path: Path) -> None:
    bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")
    run = bk.open_run(str(tmp_path / "run"))
    assert run.definition.spec == SPEC
    assert run.shards.rows == 1
    assert run.tally()["pending"] == 1


def test_a_run_can_be_moved(tmp_path: Path, service: Service) -> None:
    bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    run = bk.open_run(tmp_path / "elsewhere")
    bk.submit(run, client=service.client)
    assert bk.collect(run, client=service.client).to_arrow().column("text").to_pylist() == ["x"]


@pytest.mark.parametrize(
    "content, said",
    [
        (None, r"it has no run\.json"),
        ("{", "is damaged"),
        ('{"format": 99, "batchkit": "9.0"}', "has format 99, this batchkit reads 1: use batchkit"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunDirectoryError, match=said):
        bk.open_run(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["[", "[]", "{}", '{"target": "file", "rejected": 0, "shards": [{"name": "00000"}]}'],
)
def test_a_damaged_list_of_shards_is_an_error_that_names_the_file(
    tmp_path: Path, content: str
) -> None:
    run = bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")
    (run.folder / "shards.json").write_text(content)
    with pytest.raises(RunDirectoryError, match=r"shards\.json is damaged"):
        _ = bk.open_run(run.folder).shards


def test_one_driver_holds_a_run_and_the_other_is_told_who(tmp_path: Path) -> None:
    run = bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")
    with run.hold(), pytest.raises(RunHeldError) as caught, bk.open_run(run.folder).hold():
        pass
    assert caught.value.holder.endswith(f"pid {os.getpid()}")
    with run.hold():
        pass  # let go by the first, held again


def test_a_driver_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    run = bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")
    process = FORKS.Process(target=hold_and_die, args=(str(run.folder),))
    process.start()
    process.join(30)
    assert jsonl.loads((run.folder / "lease.json").read_bytes())["holder"].endswith(
        f"pid {process.pid}"
    )
    with run.hold():
        pass


def test_it_shows_its_state_in_a_notebook(tmp_path: Path) -> None:
    run = bk.build([{"text": "x"}], SPEC, into=tmp_path / "run")
    assert "1 shards unsent" in run._repr_html_()
    (run.folder / "shards.json").unlink()
    assert "not built to the end" in bk.open_run(run.folder)._repr_html_()


def test_run_json_is_for_people_and_says_what_was_asked(tmp_path: Path) -> None:
    run = bk.build([{"id": 1, "text": "x"}], SPEC, key="id", into=tmp_path / "run")
    content = jsonl.loads((run.folder / "run.json").read_bytes())
    assert content["spec"] == {
        "kind": "generate",
        "model": "gemini-3.8-flash",
        "prompt": "{text}",
        "body": {},
    }
    assert content["key"] == ["id"]
    assert content["table"]["columns"] == {"id": "int64", "text": "string"}
    assert b"\n  " in (run.folder / "run.json").read_bytes()
