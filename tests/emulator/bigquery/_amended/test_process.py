from __future__ import annotations

import os
import subprocess
from pathlib import Path

from batchkit.emulator.bigquery import launcher

FOLDER = Path(launcher.__file__).parent


def test_another_version_is_refused(bigquery_python: str) -> None:
    receiving, announcing = os.pipe()
    command = [bigquery_python, "-m", "_amended", "--announce", str(announcing)]
    said = subprocess.run(  # noqa: S603  # the interpreter of the tests
        [*command, "--needs", "bqemulator==9.9.9"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=[announcing],
    )
    os.close(announcing)
    with os.fdopen(receiving) as stream:
        assert stream.read() == ""
    assert said.returncode == 1
    assert said.stderr.strip().endswith("bqemulator 9.9.9 is needed, this interpreter has 1.4.0")
