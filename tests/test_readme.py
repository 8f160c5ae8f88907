"""What the documentation shows is run as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Python that needs BigQuery, and is run by tests/test_pushdown_runs.py.
_ELSEWHERE = "docs/pushdown.md"
# Shown for the reader, and run elsewhere: by CI, or by the tests of the command itself.
_NOT_HERE = ("batchkit emulate", ".venv/bin/just")


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in _FENCE.findall(page.read_text("utf-8")) if name == language]


def named(language: str) -> list[tuple[str, int]]:
    return [(str(p.relative_to(ROOT)), i) for p in PAGES for i in range(len(blocks(p, language)))]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone of the repository on a machine whose environment points at an emulator."""
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    monkeypatch.chdir(tmp_path)
    with serve() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
        yield tmp_path


@pytest.mark.parametrize(
    "page, number", [each for each in named("python") if each[0] != _ELSEWHERE]
)
@pytest.mark.usefixtures("reader")
def test_the_python_that_a_page_shows_runs(page: str, number: int) -> None:
    code = blocks(ROOT / page, "python")[number]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page, number", named("console"))
def test_the_commands_that_a_page_shows_run(page: str, number: int, reader: Path) -> None:
    for line in blocks(ROOT / page, "console")[number].split("\n"):
        if not line.startswith("$ ") or any(word in line for word in _NOT_HERE):
            continue
        command = shlex.split(line[2:], comments=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert reader.exists()


def test_the_first_two_shell_blocks_of_the_readme_are_one_line_each() -> None:
    first, second = blocks(ROOT / "README.md", "sh")[:2]
    assert first.count("\n") == second.count("\n") == 1
    assert "sample_data/pydocs.parquet" in first
    assert "--emulator" in first
    assert "pytest" in second


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    broken = [link for link in links if not (page.parent / link).exists()]
    assert broken == []
