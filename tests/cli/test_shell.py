from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import BATCHKIT, process

if TYPE_CHECKING:
    from tests.cli.conftest import Command

SHELLS = ("bash", "zsh", "fish")
# What each shell makes of the script: load it, then ask for what may follow `batchkit co`.
ASK = {
    "bash": "source ./script; COMP_WORDS=(batchkit co); COMP_CWORD=1; "
    "_batchkit_completion batchkit; echo ${COMPREPLY[@]}",
    "zsh": "autoload -Uz compinit && compinit -u -D; source ./script; "
    "_describe() { print -r -- ${(P)2} ${(P)3} }; words=(batchkit co); CURRENT=2; "
    "_batchkit_completion; print $_comps[batchkit]",
    "fish": "source ./script; complete -C 'batchkit co'",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_asks_the_command_itself(say: Command, shell: str) -> None:
    said = say("completion", shell)
    assert (said.code, said.err) == (0, "")
    assert f"_BATCHKIT_COMPLETE={shell}_complete" in said.out


@pytest.mark.parametrize("shell", [name for name in SHELLS if shutil.which(name)])
def test_a_shell_that_is_here_loads_its_script_and_completes(
    say: Command, folder: Path, shell: str
) -> None:
    (folder / "script").write_text(say("completion", shell).out, encoding="utf-8")
    done = subprocess.run(  # noqa: S603
        [str(shutil.which(shell)), "-c", ASK[shell]],
        capture_output=True,
        text=True,
        env={"PATH": f"{Path(BATCHKIT).parent}:/usr/bin:/bin", "HOME": str(folder)},
        check=False,
    )
    for name in ("collect", "completion", "convert"):
        assert name in done.stdout, done.stderr
    assert "submit" not in done.stdout


@pytest.mark.parametrize(
    "words, offered",
    [
        ("batchkit jobs ", {"plain,cancel", "plain,list", "plain,responses"}),
        ("batchkit run --target ", {"plain,inline", "plain,file"}),
        ("batchkit run ", {"file,"}),
        ("batchkit status ", {"dir,"}),
        ("batchkit run x --into ", {"dir,"}),
        ("batchkit collect run --to ", {"file,"}),
        ("batchkit check ", {"file,"}),
    ],
)
def test_words_and_places_are_offered_where_they_belong(words: str, offered: set[str]) -> None:
    said = process(
        _BATCHKIT_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    assert offered <= set(said.out.split("\n"))


def test_an_unknown_shell_is_refused_with_those_that_are_known(say: Command) -> None:
    said = say("completion", "csh")
    assert (said.code, all(shell in said.error for shell in SHELLS)) == (2, True)
