"""Completion for the shell, as click makes it."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from batchkit.cli.outcome import examples

__all__ = ["completion"]

_PLACES = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/completions/batchkit.fish",
}


@click.command(
    short_help="Print the completion script for a shell.",
    epilog=examples("""\
batchkit completion bash >> ~/.bashrc
batchkit completion zsh  >> ~/.zshrc
batchkit completion fish > ~/.config/fish/completions/batchkit.fish
"""),
)
@click.argument("shell", type=click.Choice(list(_PLACES)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell, for its start-up file.

    In ~/.zshrc it goes behind `compinit`.
    """
    made = get_completion_class(shell)
    if made is not None:
        click.echo(made(context.find_root().command, {}, "batchkit", "_BATCHKIT_COMPLETE").source())
