from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from batchkit.errors import RunDirectoryError
from batchkit.links import check_no_links

if TYPE_CHECKING:
    from pathlib import Path


def test_plain_files_and_folders_are_what_a_run_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"")
    check_no_links(tmp_path)
    check_no_links(tmp_path / "none")


def test_links_pipes_and_sockets_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "x"
    path.parent.mkdir()
    path.symlink_to("nowhere")
    with pytest.raises(RunDirectoryError, match="a/x is a link"):
        check_no_links(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunDirectoryError, match="a/x is no plain file"):
        check_no_links(tmp_path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(path.parent)  # the name of a socket is short
        listener.bind("x")
        with pytest.raises(RunDirectoryError, match="a/x is no plain file"):
            check_no_links(tmp_path)


def test_folders_in_folders_without_end_are_not_followed(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(25):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(RunDirectoryError, match="no plain file"):
        check_no_links(tmp_path)
