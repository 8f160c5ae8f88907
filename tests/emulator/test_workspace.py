from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import Clock, Limits
from batchkit.emulator.blobs import Blobs
from batchkit.emulator.errors import ApiError
from batchkit.emulator.fate import Fate
from batchkit.emulator.files import Files, StoredFile
from batchkit.emulator.jobs import Jobs
from batchkit.emulator.state import State
from batchkit.emulator.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_services_of_one_workspace_keep_what_belongs_together_or_nothing(tmp_path: Path) -> None:
    clock = Clock()
    state = State(tmp_path / "state.sqlite", clock, seed=0)
    blobs = Blobs(tmp_path)
    workspace = Workspace(
        state, blobs, clock, Limits(), "http://x", 0, lambda *_: None, Fate(state)
    )
    files, jobs = Files(workspace), Jobs(workspace.state)
    file = StoredFile("mine", "", "", 0, "", 0, 1 << 62, "UPLOADED", "blob")

    def keep_both() -> None:
        with workspace.state.transaction():
            jobs.count_processed(["a"])
            files.add(file)

    keep_both()
    with pytest.raises(ApiError, match="already exists"):
        keep_both()
    assert jobs.processed() == {"a": 1}
    assert files.count() == 1
    state.close()
