"""What fuzzing found, and a little more of it: `just fuzz` runs it for long."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from batchkit.errors import BatchkitError
from tests.fuzz.mutation import mutated
from tests.fuzz.subjects import SUBJECTS, seeds_of

FOUND = sorted((Path(__file__).parent / "fuzz" / "corpus").iterdir())


def feed(subject: str, content: bytes, folder: Path) -> bool:
    """Whether it was read; an error that is none of ours is raised."""
    try:
        SUBJECTS[subject](content, folder)
    except BatchkitError:
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_is_read_or_refused(path: Path, folder: Path) -> None:
    subject = path.name.partition("@")[0].replace("+", "/")
    feed(subject, path.read_bytes(), folder)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_is_whole_is_read_and_what_is_damaged_read_or_refused(
    subject: str, folder: Path
) -> None:
    seeds = seeds_of(subject, folder)
    assert all(feed(subject, seed, folder) for seed in seeds)
    chance = random.Random(subject)  # noqa: S311  # no secret
    for _ in range(6 if subject.startswith("run/") else 60):
        feed(subject, mutated(chance.choice(seeds), chance, seeds), folder)
