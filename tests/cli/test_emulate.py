from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = [Path(sys.executable).with_name("batchkit"), "emulate", "--port", "0"]


def test_bigquery_is_served_beside_the_rest(bigquery_python: str) -> None:
    serving = subprocess.Popen(  # noqa: S603  # ourselves
        [*COMMAND, "--bigquery"],
        env=os.environ | {"BATCHKIT_BIGQUERY_PYTHON": bigquery_python},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with serving:
        assert serving.stdout is not None
        assert serving.stderr is not None
        serving.stderr.readline()  # what follows the exports
        serving.terminate()
        lines = serving.stdout.read().strip().split("\n")
    said = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    assert said["GOOGLE_CLOUD_PROJECT"] == "emulator-project"
    assert said["BIGQUERY_EMULATOR_HOST"].startswith("http://127.0.0.1:")
    assert said["BIGQUERY_STORAGE_EMULATOR_HOST"].startswith("127.0.0.1:")
    assert said["GOOGLE_GEMINI_BASE_URL"].startswith("http://127.0.0.1:")


def test_bigquery_that_is_not_installed_is_one_error() -> None:
    said = subprocess.run(  # noqa: S603  # ourselves
        [*COMMAND, "--bigquery", "--bigquery-python", "/nowhere/python"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert said.stderr.startswith("Error: there is no interpreter '/nowhere/python'")
    assert said.stdout == ""
