"""What BigQuery says no with, in its words: each function raises one kind of error."""

from __future__ import annotations

from typing import NoReturn

from bqemulator.domain.errors import (
    AlreadyExistsError,
    InvalidQueryError,
    NotFoundError,
    ValidationError,
)

__all__ = ["refuse", "refuse_missing", "refuse_present", "refuse_query", "refuse_rows"]


def refuse(message: str) -> NoReturn:
    """A request that cannot be: `invalid`."""
    raise ValidationError(message)


def refuse_missing(what: str) -> NoReturn:
    """A dataset, table, job or URI that is not there: `notFound`."""
    message = f"Not found: {what}"
    raise NotFoundError(message)


def refuse_present(what: str) -> NoReturn:
    """A job or a table that is there already: `duplicate`."""
    message = f"Already Exists: {what}"
    raise AlreadyExistsError(message)


def refuse_query(message: str) -> NoReturn:
    """A statement or a configuration that cannot be: `invalidQuery`."""
    raise InvalidQueryError(message)


def refuse_rows(problem: str) -> NoReturn:
    """Rows that a table cannot take: `invalid`."""
    message = f"Error while reading data, error message: {problem}"
    raise ValidationError(message)
