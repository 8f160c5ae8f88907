"""What every spec is: a model, the kind of answer, and a way from rows to request bodies."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from batchkit.canonical import value_hash
from batchkit.specs.embed import Embed
from batchkit.specs.generate import Generate
from batchkit.specs.ready import Ready

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from batchkit.specs.bodies import BoundSpec
    from batchkit.validity import Problem
    from batchkit.wire import Dialect, Kind

__all__ = ["Spec", "spec_from_json", "spec_hash"]


class Spec(Protocol):
    """What to ask of each row: a frozen value that can be written down and compared."""

    @property
    def model(self) -> str:
        """The model's name without `models/`."""
        ...

    @property
    def kind(self) -> Kind:
        """Whether an answer is generated or a vector."""
        ...

    @property
    def answers(self) -> Sequence[str]:
        """The columns an answer takes before its status."""
        ...

    @property
    def answer_schema(self) -> Mapping[str, Any] | None:
        """The responseSchema that answers are to fit, None when there is none."""
        ...

    def bind(self, schema: pa.Schema, dialect: Dialect) -> BoundSpec:
        """The spec for a table of this schema; RowsError when they do not fit."""
        ...

    def problems(self, dialect: Dialect) -> Sequence[Problem]:
        """What the service would refuse or is known to get wrong, whatever the row."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The spec as it stands in `run.json`."""
        ...


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Spec]] = MappingProxyType(
    {"generate": Generate.from_json, "embed": Embed.from_json, "ready": Ready.from_json}
)


def spec_from_json(content: Mapping[str, Any]) -> Spec:
    """The spec that `to_json` wrote; a user's function comes back by name and version only."""
    return _READERS[content["kind"]](content)


def spec_hash(spec: Spec) -> str:
    """64 hex digits that are equal for equal specs, and only for them."""
    return value_hash(spec.to_json())
