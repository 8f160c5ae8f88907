"""Links and devices, which have no place in a run directory: they lead out of it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from batchkit.errors import RunDirectoryError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_no_links"]

_DEEPEST = 20


def check_no_links(folder: Path) -> None:
    """Raise RunDirectoryError when anything below a run directory is no plain file or folder.

    A run that somebody sent may hold links, through which files elsewhere would be read into a
    result, or written over. The directory itself may be one: its name was given by the user. What
    is being written by somebody else may come and go meanwhile.
    """
    if folder.is_dir():
        _check(os.fspath(folder), folder, 0)


def _check(path: str, folder: Path, depth: int) -> None:
    try:
        entries = list(os.scandir(path))
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(mode) and depth < _DEEPEST:
            _check(entry.path, folder, depth + 1)
        elif not stat.S_ISREG(mode):
            what = "a link" if stat.S_ISLNK(mode) else "no plain file"
            message = (
                f"{entry.path} is {what}, and a run directory holds plain files and folders only: "
                "whoever made it may mean other files to be read or written; put the file itself "
                "there, or do not use this directory"
            )
            raise RunDirectoryError(message, folder)
