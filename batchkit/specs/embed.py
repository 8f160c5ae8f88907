"""A spec for embeddings: each row one text, and one vector back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batchkit import jsonl
from batchkit.errors import CapabilityError, SetupError
from batchkit.rules import check_request
from batchkit.specs.bodies import BoundSpec, RowBodies, Skeleton, TextSlot
from batchkit.specs.callback import Callback, as_callback
from batchkit.specs.rest import model_name
from batchkit.specs.template import Template, bind_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from batchkit.specs.callback import RowFunction
    from batchkit.validity import Problem
    from batchkit.wire import Dialect

__all__ = ["Embed", "embed"]

ConfigStyle: TypeAlias = Literal["docs", "inline"]

# Names of task type, dimensions and title, in the order in which they are written.
_GEMINI_NAMES = ("taskType", "outputDimensionality", "title")
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
_VERTEX_NAMES = ("task_type", "output_dimensionality", "title")
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
    normalize: bool = False
    config_style: ConfigStyle = "docs"
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
        request = self._request("…", "…" if self.title else None, dialect)
        # A text alone, of a legacy model, is no message of the field table.
        return list(check_request(request, dialect)) if dialect.wrapped else []

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
            "normalize": self.normalize,
            "config_style": self.config_style,
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
            content["normalize"],
            content["config_style"],
        )

    def _request(self, text: Any, title: Any, dialect: Dialect) -> dict[str, Any]:
        """The body as its service's documentation writes it, or as `config_style` asks."""
        if not dialect.wrapped:
            return self._legacy(text, title)
        content = {"content": {"parts": [{"text": text}]}}
        if dialect.service == "gemini":  # https://ai.google.dev/api/embeddings
            return {**content, **self._options(title, _GEMINI_NAMES, self.task_type)}
        # A title is taken with this task only, and is left out where it is null.
        task_type = self.task_type or ("RETRIEVAL_DOCUMENT" if title is not None else None)
        options = self._options(title, _VERTEX_NAMES, task_type)
        if self.config_style == "inline" or not options:
            return {**content, **options}
        return {**content, "embed_content_config": options}

    def _options(self, title: Any, names: Sequence[str], task_type: str | None) -> dict[str, Any]:
        values = (task_type, self.dimensions, title)
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def _legacy(self, text: Any, title: Any) -> dict[str, Any]:
        """The text alone: no other field is documented for the batches of these models."""
        if title is not None or self.task_type is not None:
            message = (
                f"{self.model}: its batches take the text only, no title and no task_type: use "
                "gemini-embedding-001"
            )
            raise CapabilityError(message)
        return {"content": text}


def _checked_text(returned: Any) -> str:
    if isinstance(returned, str) and returned:
        return returned
    said = "an empty text" if returned == "" else f"a {type(returned).__name__}"
    message = f"the function returned {said}, not a text to embed"
    raise TypeError(message)


def embed(  # noqa: PLR0913  # the options of the API, by keyword
    model: str,
    text: str | RowFunction,
    *,
    title: str | None = None,
    task_type: str | None = None,
    dimensions: int | None = None,
    normalize: bool = False,
    config_style: ConfigStyle = "docs",
    version: str | None = None,
) -> Embed:
    """A spec that asks `model` for one vector for each row.

    `text` is a template (`"{text}"`) or a function of a row that returns a text; a function needs
    `version`. `title` is a template, left out where a column in it is null; the service takes it
    with `task_type="RETRIEVAL_DOCUMENT"` only. `dimensions` asks for shorter vectors; where the
    service sends longer ones all the same, they are shortened and brought to unit length here, and
    `notes` says so. Short vectors of gemini-embedding-001 are not of unit length: `normalize=True`
    brings all to it. Sources differ on where Vertex AI wants these options: `config_style="docs"`
    puts them into `embed_content_config`, "inline" into the request itself.
    https://ai.google.dev/gemini-api/docs/embeddings
    """
    if dimensions is not None and dimensions < 1:
        message = f"dimensions={dimensions}: a vector has at least one"
        raise SetupError(message)
    if title is not None and not isinstance(text, str):
        message = "title is a template, and goes with a template as text, not with a function"
        raise SetupError(message)
    bound = Template(text) if isinstance(text, str) else as_callback(text, version)
    heading = Template(title) if title is not None else None
    return Embed(model_name(model), bound, heading, task_type, dimensions, normalize, config_style)
