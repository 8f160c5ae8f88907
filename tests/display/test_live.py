from __future__ import annotations

import os
import pty
import shlex
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


def on_a_terminal(**environment: str) -> str:
    """What the script shows on a terminal of this kind."""
    parent, child = pty.openpty()
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", SCRIPT],
        stderr=child,
        env={**os.environ, "TERM": "xterm-256color", **environment},
        check=True,
    )
    os.close(child)
    text = os.read(parent, 65_536).decode()
    os.close(parent)
    return text


def test_on_a_terminal_there_is_a_board_with_bars() -> None:
    text = on_a_terminal()
    assert "hello [there]" in text
    assert "2/2 jobs" in text
    assert "\x1b[?25l" in text  # the cursor is hidden meanwhile
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_terminal_that_cannot_be_drawn_on_gets_plain_lines() -> None:
    assert on_a_terminal(TERM="dumb") == "hello [there]\r\nsubmitted 2 jobs\r\n"


def test_without_standard_error_nothing_is_shown_and_standard_output_is_left_alone() -> None:
    done = subprocess.run(  # noqa: S602
        f"{shlex.join([sys.executable, '-c', SCRIPT])} 2>&-",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
