from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from batchkit import durable
from tests.disaster import (
    create_many,
    exit_code,
    fill_the_disk,
    write_over_and_over,
    write_slowly,
)
from tests.driver import FORKS

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with durable.whole_file(path) as file:
        file.write(b"one")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["file"]


def write_half(path: Path) -> None:
    with durable.whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_a_file_that_is_not_finished_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["file"]


def test_a_file_can_be_read_and_cut_while_it_is_written(tmp_path: Path) -> None:
    with durable.whole_file(tmp_path / "file") as file:
        file.write(b"one two")
        file.seek(0)
        assert file.read(3) == b"one"
        file.truncate()
    assert (tmp_path / "file").read_bytes() == b"one"


def test_only_its_owner_can_read_a_file_unless_it_is_shared(tmp_path: Path) -> None:
    durable.write_whole(tmp_path / "own", b"")
    durable.create_once(tmp_path / "fact", b"")
    with durable.whole_file(tmp_path / "shared", durable.SHARED_MODE):
        pass
    (tmp_path / "any").touch()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert (modes["own"], modes["fact"]) == (0o600, 0o600)
    assert modes["shared"] == modes["any"]


def test_a_file_that_exists_is_not_created_again(tmp_path: Path) -> None:
    assert durable.create_once(tmp_path / "fact", b"one")
    assert not durable.create_once(tmp_path / "fact", b"two")
    assert (tmp_path / "fact").read_bytes() == b"one"
    assert names(tmp_path) == ["fact"]


def test_of_several_who_create_a_file_at_once_one_succeeds(tmp_path: Path) -> None:
    count = 15
    who = [FORKS.Process(target=create_many, args=(str(tmp_path), name, count)) for name in "abcd"]
    for process in who:
        process.start()
    for process in who:
        process.join(60)
    assert names(tmp_path) == [f"{number:03d}" for number in range(count)]
    for path in tmp_path.iterdir():
        content = path.read_text()
        assert content == content[0] * 20_000


def test_whoever_reads_a_file_that_is_replaced_sees_the_one_or_the_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write_whole(path, b"c" * 20_000)
    writer = FORKS.Process(target=write_over_and_over, args=(str(path), "d", 60))
    writer.start()
    seen: set[bytes] = set()
    while writer.is_alive():
        seen.add(path.read_bytes())
    assert writer.exitcode == 0
    assert seen <= {b"c" * 20_000, b"d" * 20_000}
    assert path.read_bytes() == b"d" * 20_000


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    durable.make_folder(folder)
    durable.make_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_cannot_be_made_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match="a"):
        durable.make_folder(tmp_path / "a" / "b")


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    keep = [tmp_path / "file", tmp_path / ".lease", tmp_path / "sub" / "own.tmp"]
    gone = [tmp_path / ".file.17-ab.tmp", tmp_path / "sub" / ".x.tmp" / "part", tmp_path / ".l.tmp"]
    for path in (*keep, *gone[:2]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    gone[2].symlink_to(outside)
    durable.sweep(tmp_path)
    assert all(path.exists() for path in keep)
    assert not any(os.path.lexists(path) for path in gone)
    assert outside.is_dir()


def test_what_another_process_is_writing_is_left_to_it(tmp_path: Path) -> None:
    with durable.whole_file(tmp_path / "own") as file:
        file.write(b"half")
        durable.sweep(tmp_path)
    ready = FORKS.Event()
    writer = FORKS.Process(target=write_slowly, args=(str(tmp_path / "theirs"), ready))
    writer.start()
    assert ready.wait(30)
    durable.sweep(tmp_path)
    ready.clear()
    writer.join(30)
    assert writer.exitcode == 0
    assert names(tmp_path) == ["own", "theirs"]


def test_what_a_process_of_the_same_number_left_is_swept(tmp_path: Path) -> None:
    left = tmp_path / f".file.{os.getpid()}-00000000-00000000.tmp"
    left.touch()
    durable.sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_full_disk_is_an_error_and_no_file(tmp_path: Path) -> None:
    assert exit_code(fill_the_disk, str(tmp_path)) == 0
    assert names(tmp_path) == []
