"""Files, folders and addresses, as commands take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Place", "table_argument"]


class Place(click.Path):
    """A path that is not the empty text, which would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path as it was given."""
        if not value:
            self.fail("it has no name.", param, ctx)
        return super().convert(value, param, ctx)


def _check_table(_: click.Context, __: click.Parameter, value: str) -> str:
    """A run reads its table again when it goes on: what can be read once is no table."""
    path = Path(value)
    if "://" in value:
        return value
    if value == "-" or (path.exists() and not (path.is_file() or path.is_dir())):
        message = f"{value} can be read once, a run reads its table again: save it to a file first"
        raise click.BadParameter(message)
    return value


table_argument: Callable[..., Any] = click.argument("table", type=Place(), callback=_check_table)
