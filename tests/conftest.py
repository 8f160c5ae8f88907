"""What tests share: a service on this machine, a client of it, and tables of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import batchkit as bk
from batchkit.emulator import Emulator, serve

if TYPE_CHECKING:
    from collections.abc import Iterator


# How long an example takes says how busy the machine is, not whether a law holds.
settings.register_profile("batchkit", deadline=None)
settings.load_profile("batchkit")


@dataclass(frozen=True)
class Service:
    """An emulator and a client that speaks to it without long pauses."""

    emulator: Emulator
    client: bk.Gemini

    def paid(self) -> dict[str, int]:
        """How often each key was processed."""
        return self.emulator.stats()["requests"]


def quick_client(emulator: Emulator) -> bk.Gemini:
    retries = bk.Retries(first_seconds=0.01, longest_seconds=0.05, total_seconds=2)
    return bk.Gemini(emulator.api_key, base_url=emulator.url, retries=retries)


@pytest.fixture
def service() -> Iterator[Service]:
    with serve() as emulator:
        yield Service(emulator, quick_client(emulator))
