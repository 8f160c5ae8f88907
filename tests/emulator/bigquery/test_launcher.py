from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.api_core.exceptions import Conflict
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from batchkit.emulator.bigquery import StartError, serve
from batchkit.emulator.bigquery.launcher import INSTALL, python_with_bqemulator
from tests.warehouse import Warehouse

if TYPE_CHECKING:
    from batchkit.emulator.bigquery import BigQuery

ROOT = Path(__file__).parents[3]
PROJECT = ROOT / "tests" / "bigquery" / "pyproject.toml"
PAGE = ROOT / "docs" / "emulator-bigquery.md"
# Prints where it answers, and waits to be killed.
STARTER = """
import sys, time
from batchkit.emulator import bigquery
print(bigquery.serve(python=sys.argv[1]).rest_url, flush=True)
time.sleep(600)
"""


def answers(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def test_the_environment_points_googles_client_at_it(
    bigquery_server: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bigquery_server.environment.items():
        monkeypatch.setenv(name, value)
    with bigquery.Client(credentials=AnonymousCredentials()) as client:
        assert client.project == "emulator-project"
        assert [row.x for row in client.query_and_wait("SELECT 1 AS x")] == [1]


def test_it_ends_with_the_process_that_started_it(bigquery_python: str) -> None:
    starter = subprocess.Popen(  # noqa: S603  # ourselves
        [sys.executable, "-c", STARTER, bigquery_python], stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().strip()
        assert answers(url)
        starter.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20
    while answers(url) and time.monotonic() < until:
        time.sleep(0.05)
    assert not answers(url)


def test_tables_and_jobs_outlive_it_in_a_folder(bigquery_python: str, tmp_path: Path) -> None:
    make = "CREATE TABLE `{}.rows` AS SELECT JSON '[1]' AS j"
    with serve(python=bigquery_python, folder=tmp_path) as server:
        warehouse = Warehouse(server, 0)
        there = warehouse.new_dataset("us-central1")
        warehouse.client.query(make.format(there), job_id="made", job_retry=None).result()
        warehouse.client.close()
    with serve(python=bigquery_python, folder=tmp_path) as server:
        warehouse = Warehouse(server, 1)
        assert [row.j for row in warehouse.client.list_rows(f"{there}.rows")] == [[1]]
        assert warehouse.client.get_table(f"{there}.rows").schema[0].field_type == "JSON"
        assert warehouse.client.get_job("made", location="us-central1").state == "DONE"
        with pytest.raises(Conflict):
            warehouse.client.query("SELECT 1", job_id="made", job_retry=None, retry=None)
        warehouse.close()


def test_an_interpreter_without_bqemulator_is_said_at_once() -> None:
    with pytest.raises(
        StartError, match=r"bqemulator 1\.4\.0 is needed, this interpreter has none$"
    ):
        serve(python=sys.executable)


def test_an_interpreter_that_is_not_there_is_said() -> None:
    with pytest.raises(StartError, match="no interpreter '/nowhere/python'"):
        serve(python="/nowhere/python")


def test_the_interpreter_is_found_beside_the_command(
    tmp_path: Path, bigquery_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "bqemulator"
    command.symlink_to(Path(bigquery_python).with_name("bqemulator"))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = Path(python_with_bqemulator(None))
    assert found.parent == Path(bigquery_python).parent
    assert found.name.startswith("python")


def test_what_to_install_is_said_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError) as raised:
        serve()
    assert INSTALL in str(raised.value)
    assert "BATCHKIT_BIGQUERY_PYTHON" in str(raised.value)


def test_what_to_install_is_what_the_tests_run() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    wanted = [word for word in INSTALL.split() if "==" in word or word == "numpy"]
    pinned = [name.partition(">=")[0] for name in project["project"]["dependencies"]]
    assert wanted == pinned
    assert INSTALL in PAGE.read_text(encoding="utf-8")
