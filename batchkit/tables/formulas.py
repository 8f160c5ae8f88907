"""Texts that a spreadsheet would take for formulas, and run, made texts again.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["formula_free", "without_formulas"]

# What a formula begins with; the wide forms are taken for the others in some languages.
_FORMULA = r"^[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_NAME = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_MARK = "'"


def formula_free(column: pa.Array) -> pa.Array:
    """The column, with an apostrophe before each text that begins as a formula does."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    begins = pc.match_substring_regex(column, _FORMULA)
    mark, nothing = pa.scalar(_MARK, column.type), pa.scalar("", column.type)
    marked = pc.binary_join_element_wise(mark, column, nothing)
    return pc.if_else(begins, marked, column)


def without_formulas(names: Iterable[str]) -> list[str]:
    """The same for the names of columns."""
    return [f"{_MARK}{name}" if _NAME.match(name) else name for name in names]
