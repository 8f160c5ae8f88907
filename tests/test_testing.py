"""The plugin as its users have it: in a pytest of its own, on a test file of theirs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

CONFTEST = 'pytest_plugins = ["batchkit.testing"]\n'
TESTS = """
import os

import batchkit as bk
import pytest
from batchkit.emulator import JobFault, Limits, RowFault

ROWS = [{"id": f"r{i}", "text": f"word {i}"} for i in range(10)]
SPEC = bk.generate("gemini-3.8-flash", "Say {text}")

pytestmark = pytest.mark.gemini_emulator(limits=Limits(concurrent_jobs=1), seed=1)


def counts(tmp_path, **options):
    results = bk.run(ROWS, SPEC, key="id", into=tmp_path / "run", **options)
    return {status: count for status, count in results.tally().items() if count}


def test_the_environment_leads_to_the_emulator(tmp_path, gemini_emulator):
    assert os.environ["GOOGLE_GEMINI_BASE_URL"] == gemini_emulator.url
    assert counts(tmp_path) == {"ok": 10}
    assert gemini_emulator.stats()["requests"] == {f"r{i}": 1 for i in range(10)}


@pytest.mark.gemini_emulator(faults=[RowFault("error", share=0.3), JobFault("hide", seconds=9)])
def test_a_mark_brings_faults(tmp_path, gemini_emulator, gemini_client):
    assert counts(tmp_path, client=gemini_client) == {"ok": 7, "error": 3}
    assert gemini_emulator.stats()["faults"] == {"error": 3, "hide": 1}


def test_faults_are_injected_on_the_way(tmp_path, gemini_emulator, gemini_client):
    gemini_emulator.inject(JobFault("expire"))
    assert counts(tmp_path, client=gemini_client) == {"missing": 10}


def test_vertex_has_a_bucket(tmp_path, vertex_client, gemini_emulator):
    gemini_emulator.inject(JobFault("expire", answered=0.4))
    target = "gs://emulator-bucket/folder"
    assert counts(tmp_path, client=vertex_client, target=target) == {"ok": 4, "missing": 6}


@pytest.mark.gemini_emulator(job_seconds=3600)
def test_options_of_marks_add_up(tmp_path, gemini_emulator, gemini_client):
    create = gemini_client.batches.create
    request = {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
    job = create("gemini-3.8-flash", inlined_requests=[request])
    assert not job.is_complete
    with pytest.raises(bk.errors.RateLimitedError, match="1 concurrent batch jobs"):
        create("gemini-3.8-flash", inlined_requests=[request])


def test_what_one_test_injected_is_not_in_the_next(gemini_emulator):
    assert gemini_emulator.stats()["faults"] == {}
"""


def pytested(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    return subprocess.run(  # noqa: S603  # our own interpreter
        [*command, *options, str(folder)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


def test_users_of_the_plugin_have_its_fixtures_and_its_mark(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_theirs.py").write_text(TESTS)
    done = pytested(tmp_path, "--strict-markers")
    assert "6 passed" in done.stdout, done.stdout + done.stderr


def test_the_tests_that_the_documentation_shows_pass(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "testing.md").read_text("utf-8")
    conftest, tests = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_shown.py").write_text(tests)
    done = pytested(tmp_path, "--strict-markers")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_without_pytest_the_plugin_says_what_it_needs() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "try: import batchkit.testing\n"
        "except ModuleNotFoundError as error: print(error.name, '|', error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == (
        "pytest | batchkit.testing is a plugin of pytest, which is not installed: install pytest\n"
    )


def test_nothing_of_the_plugin_is_loaded_unasked(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "import sys\ndef test_it(): assert 'batchkit' not in sys.modules\n"
    )
    done = pytested(tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
