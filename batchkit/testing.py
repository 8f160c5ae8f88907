"""Fixtures for pytest: an emulator of Gemini's services, and clients of it that pause little.

    pytest_plugins = ["batchkit.testing"]  # in the conftest.py beside your pytest.ini or pyproject

    gemini_emulator   the emulator, which the environment of the test points at
    gemini_client     a bk.Gemini of it
    vertex_client     a bk.Vertex of it

A test says by a mark how its emulator behaves: the options of `batchkit.emulator.serve`.

    @pytest.mark.gemini_emulator(faults=[RowFault("drop", share=0.3)])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import batchkit as bk
from batchkit.emulator import Emulator, serve

try:
    import pytest
except ModuleNotFoundError as _error:
    _MISSING = "batchkit.testing is a plugin of pytest, which is not installed: install pytest"
    raise ModuleNotFoundError(_MISSING, name="pytest") from _error

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["gemini_client", "gemini_emulator", "pytest_configure", "vertex_client"]

_MARK = "gemini_emulator"
_BUCKET = "emulator-bucket"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", f"{_MARK}(**options): options of batchkit.emulator.serve")


@pytest.fixture
def gemini_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Generator[Emulator]:
    """An emulator of the Developer API, Vertex AI and Cloud Storage, new for each test.

    The environment points batchkit and Google's clients at it. Without other options its jobs end
    at once, and it has the bucket `emulator-bucket`. Options of several marks add up; the nearest
    one counts.
    """
    options: dict[str, Any] = {"buckets": [_BUCKET]}
    for mark in reversed([*request.node.iter_markers(_MARK)]):
        options |= mark.kwargs
    with serve(**options) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield emulator


@pytest.fixture
def gemini_client(gemini_emulator: Emulator) -> bk.Gemini:
    """A client of the emulator's Developer API; it tries again without long pauses."""
    return bk.Gemini(gemini_emulator.api_key, base_url=gemini_emulator.url, retries=_retries())


@pytest.fixture
def vertex_client(gemini_emulator: Emulator) -> bk.Vertex:
    """A client of the emulator's Vertex AI; it tries again without long pauses."""
    return bk.Vertex(gemini_emulator.project, gemini_emulator.location, retries=_retries())


def _retries() -> bk.Retries:
    return bk.Retries(first_seconds=0.01, longest_seconds=0.05, total_seconds=2)
