"""Files that are whole or absent: a temporary name, a sync, then a rename or an exclusive link."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from itertools import takewhile
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = [
    "SHARED_FOLDER_MODE",
    "SHARED_MODE",
    "create_once",
    "make_folder",
    "sweep",
    "sync_folder",
    "temporary_name",
    "whole_file",
    "write_whole",
]

_SUFFIX = ".tmp"
_PROCESS = secrets.token_hex(4)
_MARKED = re.compile(r"\.(\d+)-([0-9a-f]{8})-[0-9a-f]{8}\.tmp$")
_FILE_MODE = 0o600
SHARED_MODE = 0o666  # less the umask, as for any file a user asks for
_FOLDER_MODE = 0o700
SHARED_FOLDER_MODE = 0o777


@contextlib.contextmanager
def whole_file(path: Path, mode: int = _FILE_MODE) -> Generator[BinaryIO]:
    """A file to write that takes its name only when the block ends without an error."""
    temporary = _temporary(path)
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        error.filename = str(path)  # the temporary name says nothing to who asked for the file
        raise
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            _sync(file)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write the file in one piece, in place of what was there."""
    with whole_file(path) as file:
        file.write(content)


def create_once(path: Path, content: bytes) -> bool:
    """Create the file with this content unless it exists; False when it did, and it is unchanged.

    The link is what makes it exclusive: of any number of writers, one succeeds, and nobody ever
    sees half a file.
    """
    temporary = _temporary(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            file.write(content)
            _sync(file)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def make_folder(path: Path, mode: int = _FOLDER_MODE) -> None:
    """Create a folder, with those above it, durably; only their owner can read them."""
    missing = list(takewhile(lambda folder: not folder.is_dir(), (path, *path.parents)))
    for folder in reversed(missing):
        folder.mkdir(mode=mode, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders of killed writers below `folder`.

    Those of processes that still live on this machine are theirs: a result may be written while
    another process collects.
    """
    for leftover in sorted(folder.rglob(f".*{_SUFFIX}")):
        if _is_in_use(leftover):
            continue
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def temporary_name(name: str) -> str:
    """A name for what is to become `name`, hidden, and marked as this process's."""
    return f".{name}.{os.getpid()}-{_PROCESS}-{secrets.token_hex(4)}{_SUFFIX}"


def _temporary(path: Path) -> Path:
    return path.with_name(temporary_name(path.name))


def _is_in_use(path: Path) -> bool:
    """Whether the writer of a temporary file may still be at it."""
    found = _MARKED.search(path.name)
    if found is None:
        return False
    writer, process = int(found[1]), found[2]
    if writer == os.getpid():
        return process == _PROCESS  # else one of before that had the same number
    try:
        os.kill(writer, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, as the files already are."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
