"""The help texts of all commands, as Markdown."""

from __future__ import annotations

import click

from batchkit.cli import batchkit


def reference() -> str:
    """One section per command and subcommand."""
    sections = [_section(batchkit, "batchkit", 2)]
    for name, command in batchkit.commands.items():
        sections.append(_section(command, f"batchkit {name}", 2))
        if isinstance(command, click.Group):
            inner = command.commands.items()
            sections.extend(_section(sub, f"batchkit {name} {title}", 3) for title, sub in inner)
    return "\n" + "\n".join(sections)


def _section(command: click.Command, path: str, level: int) -> str:
    context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
    text = "\n".join(line.rstrip() for line in command.get_help(context).split("\n"))
    return f"{'#' * level} {path}\n\n```text\n{text.rstrip()}\n```\n"
