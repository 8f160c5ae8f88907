"""A spec for embeddings: each row one text, and one vector back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from batchkit import jsonl
from batchkit.errors import CapabilityError, SetupError
from batchkit.rules import check_request
from batchkit.specs.bodies import BoundSpec, RowBodies, Skeleton, TextSlot
from batchkit.specs.callback import Callback, as_callback
from batchkit.specs.rest import model_name
from batchkit.specs.template import Template, bind_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from batchkit.specs.callback import RowFunction
    from batchkit.validity import Problem
    from batchkit.wire import Dialect

__all__ = ["Embed", "embed"]

_PATH = "$.request.content.parts[0].text"
_TITLE = "$.request.title"


@dataclass(frozen=True, slots=True)
class Embed:
    """What to embed of each row: the model, the text, and the options of the vector."""

    model: str
    text: Template | Callback
    title: Template | None = None
    task_type: str | None = None
    dimensions: int | None = None
    kind: Literal["embed"] = "embed"

    @property
    def answers(self) -> tuple[str, ...]:
        """The column an answer takes."""
        return ("embedding",)

    @property
    def answer_schema(self) -> None:
        """A vector has no schema."""
        return

    def bind(self, schema: pa.Schema, dialect: Dialect) -> BoundSpec:
        """The spec for a table of this schema; TemplateError when they do not fit."""
        if isinstance(self.text, Callback):
            return RowBodies(
                tuple(schema.names),
                self.text.called(),
                lambda returned: self._request(_checked_text(returned), None, dialect),
                lambda body: check_request(body, dialect),
            )
        text = TextSlot(_PATH, bind_template(self.text, schema))
        title = self.title and TextSlot(_TITLE, bind_template(self.title, schema), optional=True)
        return Skeleton(self._request(text, title, dialect))

    def problems(self, dialect: Dialect) -> list[Problem]:
        """What the service would refuse or is known to get wrong, whatever the row."""
        title = "…" if self.title else None
        return list(check_request(self._request("…", title, dialect), dialect))

    def to_json(self) -> dict[str, Any]:
        """The spec as it stands in `run.json`."""
        text = self.text
        return {
            "kind": self.kind,
            "model": self.model,
            "text": text.text if isinstance(text, Template) else text.to_json(),
            "title": self.title.text if self.title else None,
            "task_type": self.task_type,
            "dimensions": self.dimensions,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Embed:
        """The spec that `to_json` wrote; a function comes back by name only."""
        text, title = content["text"], content["title"]
        return cls(
            content["model"],
            Callback.from_json(text) if jsonl.is_object(text) else Template(text),
            Template(title) if title is not None else None,
            content["task_type"],
            content["dimensions"],
        )

    def _request(self, text: Any, title: Any, dialect: Dialect) -> dict[str, Any]:
        """The body as https://ai.google.dev/api/embeddings writes it."""
        if dialect.service != "gemini":
            message = f"{dialect.name}: this version builds embeddings for the Developer API only"
            raise CapabilityError(message)
        options = {
            "taskType": self.task_type,
            "outputDimensionality": self.dimensions,
            "title": title,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return {"content": {"parts": [{"text": text}]}, **given}


def _checked_text(returned: Any) -> str:
    if isinstance(returned, str) and returned:
        return returned
    said = "an empty text" if returned == "" else f"a {type(returned).__name__}"
    message = f"the function returned {said}, not a text to embed"
    raise TypeError(message)


def embed(
    model: str,
    text: str | RowFunction,
    *,
    title: str | None = None,
    task_type: str | None = None,
    dimensions: int | None = None,
    version: str | None = None,
) -> Embed:
    """A spec that asks `model` for one vector for each row.

    `text` is a template (`"{text}"`) or a function of a row that returns a text; a function needs
    `version`. `title` is a template, left out where a column in it is null; the service takes it
    with `task_type="RETRIEVAL_DOCUMENT"` only. `dimensions` asks for shorter vectors; those of
    gemini-embedding-001 are then not unit length. https://ai.google.dev/gemini-api/docs/embeddings
    """
    if dimensions is not None and dimensions < 1:
        message = f"dimensions={dimensions}: a vector has at least one"
        raise SetupError(message)
    if title is not None and not isinstance(text, str):
        message = "title is a template, and goes with a template as text, not with a function"
        raise SetupError(message)
    bound = Template(text) if isinstance(text, str) else as_callback(text, version)
    heading = Template(title) if title is not None else None
    return Embed(model_name(model), bound, heading, task_type, dimensions)
