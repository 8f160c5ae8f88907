from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from batchkit.display.live import shown
from batchkit.events import Event, Said, Sent

if TYPE_CHECKING:
    import pytest

SCRIPT = """
from batchkit.display.live import shown
from batchkit.events import Said, Sent
with shown(None) as tell:
    tell(Said("hello [there]"))
    tell(Sent(1, 2))
    tell(Sent(2, 2))
"""


def test_a_callback_is_told_everything_and_shows_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[Event] = []
    with shown(told.append) as tell:
        tell(Said("x"))
        tell(Sent(1, 1))
    assert told == [Said("x"), Sent(1, 1)]
    assert capsys.readouterr() == ("", "")


def test_away_from_a_terminal_there_are_plain_lines_on_standard_error() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "hello [there]\nsubmitted 2 jobs\n")


def test_on_a_terminal_there_is_a_board_with_bars() -> None:
    parent, child = pty.openpty()
    subprocess.run([sys.executable, "-c", SCRIPT], stderr=child, check=True)  # noqa: S603
    os.close(child)
    shown_text = os.read(parent, 65_536).decode()
    os.close(parent)
    assert "hello [there]" in shown_text
    assert "2/2 jobs" in shown_text
