"""The help texts of all commands, as Markdown."""

from __future__ import annotations

import click

from batchkit.cli import batchkit

_WIDTH = 100


def reference() -> str:
    """One section per command and subcommand."""
    names = ["-h", "--help"]
    root = click.Context(
        batchkit, info_name="batchkit", terminal_width=_WIDTH, help_option_names=names
    )
    return "\n" + "\n".join(_sections(batchkit, root, 2))


def _sections(command: click.Command, context: click.Context, level: int) -> list[str]:
    text = "\n".join(line.rstrip() for line in command.get_help(context).split("\n"))
    sections = [f"{'#' * level} {context.command_path}\n\n```text\n{text.rstrip()}\n```\n"]
    if isinstance(command, click.Group):
        deeper = level if context.parent is None else level + 1
        for name, inner in command.commands.items():
            sections += _sections(inner, click.Context(inner, context, name), deeper)
    return sections
