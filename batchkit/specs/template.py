"""A prompt with holes: `{column}`, `{price:.2f}`, `{title??untitled}`, and `{{` for a brace.

`??` gives the text that stands in for a null or NaN; without it such a row is rejected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.errors import TemplateError
from batchkit.fields import nearest
from batchkit.formats import format_column, why_no_format
from batchkit.text import text_column, why_no_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

__all__ = ["Hole", "Template", "bind_template"]

_TOKENS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_DEFAULT = "??"
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Hole:
    """One `{…}`: the column it reads, how it formats it, and what stands in for a null."""

    column: str
    specification: str = ""
    default: str | None = None

    def texts(self, column: pa.Array) -> pa.Array:
        """The column as large_string; null where the value is null and there is no default."""
        if self.specification:
            texts = format_column(column, self.specification)
        else:
            texts = text_column(column)
        return texts if self.default is None else texts.fill_null(self.default)


@dataclass(frozen=True, slots=True)
class Template:
    """The text of a prompt template, as the user wrote it."""

    text: str

    def __str__(self) -> str:
        return self.text


def bind_template(template: Template, schema: pa.Schema) -> tuple[str | Hole, ...]:
    """The template as constant texts and holes, each hole a column of the schema.

    Raises TemplateError for an empty template, a brace without its partner, a column the table has
    not (naming the nearest), and a format its type cannot take.
    """
    if not template.text:
        message = "the template is empty, and the service refuses an empty text"
        raise TemplateError(message, template="")
    return tuple(_merge_texts(_pieces(template.text, schema)))


def _pieces(text: str, schema: pa.Schema) -> Iterator[str | Hole]:
    for token in _TOKENS.finditer(text):
        if token[0] in {"{{", "}}"}:
            yield token[0][0]
        elif token[1] is not None:
            yield _hole(token[1], text, schema)
        elif token[0] in {"{", "}"}:
            around = _shown(text[max(0, token.start() - _SHOWN // 2) :])
            message = f"a lone {token[0]!r} at character {token.start()}, in {around}: double it"
            raise TemplateError(message, template=text)
        else:
            yield token[0]


def _hole(field: str, text: str, schema: pa.Schema) -> Hole:
    if field in schema.names:
        return _checked(Hole(field), text, schema)
    named, separator, default = field.partition(_DEFAULT)
    column, specification = named, ""
    if named not in schema.names:
        column, _, specification = named.partition(":")
    hole = Hole(column, specification, default if separator else None)
    return _checked(hole, text, schema)


def _checked(hole: Hole, text: str, schema: pa.Schema) -> Hole:
    if hole.column not in schema.names:
        near = nearest(hole.column, schema.names) if hole.column else None
        hint = f"did you mean {{{near}}}?" if near else f"the columns are {_listed(schema.names)}"
        message = (
            f"no column {_shown(hole.column)} for the template {_shown(text)}; {hint} "
            "(a brace that stands for itself is written twice)"
        )
        raise TemplateError(message, template=text)
    kind = schema.field(hole.column).type
    why = why_no_text(kind)
    if why is None and hole.specification:
        why = why_no_format(kind, hole.specification)
    if why:
        message = f"column {hole.column!r} in {_shown(text)}: {why}"
        raise TemplateError(message, template=text)
    return hole


def _shown(text: str) -> str:
    """A text for a message, which a long prompt would drown."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _merge_texts(pieces: Iterator[str | Hole]) -> Iterator[str | Hole]:
    constant = ""
    for piece in pieces:
        if isinstance(piece, str):
            constant += piece
            continue
        if constant:
            yield constant
        constant = ""
        yield piece
    if constant:
        yield constant
