"""What one job may hold: limits of the services as dated data, and the shards we cut below them."""

from __future__ import annotations

import datetime as dt
import functools
import importlib.resources
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchkit.fields import Service
    from batchkit.wire import Kind

__all__ = ["Limits", "default_limits", "ending_model", "service_limit"]

# A job that is refused as too large is refused forever, so shards stay well below the limits.
_SHARE_OF_BYTES = 4
_SHARE_OF_TOKENS = 3
_SHARE_OF_INLINE = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """What one shard, which is one job, may hold at most.

    Tokens are estimated as request bytes divided by `bytes_per_token`: crude, and high for most
    texts. Raise `max_tokens` to your tier's enqueued-token limit to get fewer jobs.
    """

    max_bytes: int
    max_rows: int
    max_tokens: int
    max_inline_bytes: int
    bytes_per_token: float = 3.0

    def __post_init__(self) -> None:
        """Refuse limits under which no request fits."""
        for name, value in asdict(self).items():
            if value <= 0:
                message = f"limits: {name}={value} is not positive"
                raise SetupError(message)

    @property
    def shard_bytes(self) -> int:
        """Bytes at which a shard is full, whichever of bytes and tokens comes first."""
        return min(self.max_bytes, int(self.max_tokens * self.bytes_per_token))

    def to_json(self) -> dict[str, Any]:
        """The limits as they stand in `run.json`."""
        return asdict(self)


@functools.cache
def _facts(name: str) -> dict[str, Any]:
    return jsonl.loads(importlib.resources.files("batchkit").joinpath("facts", name).read_bytes())


def service_limit(service: Service, name: str) -> int:
    """One documented limit; its unit, source and date stand in `facts/limits.json`."""
    return _facts("limits.json")[service][name]["value"]


def default_limits(
    service: Service, kind: Kind, model: str, changes: Mapping[str, float] | None = None
) -> Limits:
    """Shards for this model: well below what the service documents, with the user's changes."""
    defaults = Limits(
        max_bytes=service_limit(service, "max_file_bytes") // _SHARE_OF_BYTES,
        max_rows=50_000,
        max_tokens=_enqueued_tokens(kind, model) // _SHARE_OF_TOKENS,
        max_inline_bytes=service_limit("gemini", "max_inline_bytes") // _SHARE_OF_INLINE,
    )
    try:
        return replace(defaults, **(changes or {}))
    except TypeError:
        known = ", ".join(defaults.to_json())
        message = f"limits: {', '.join(changes or {})}: the limits are {known}"
        raise SetupError(message) from None


def _enqueued_tokens(kind: Kind, model: str) -> int:
    facts = _facts("limits.json")["enqueued_tokens"]
    named = [name for name in facts["models"] if model.startswith(name)]
    if named:
        return facts["models"][max(named, key=len)]
    return facts[f"unknown_{kind}_model"]


def ending_model(model: str, today: dt.date) -> str | None:
    """A warning about a model that is shut down or about to be; None for all others."""
    entry = next((e for e in _facts("models.json")["models"] if e["model"] == model), None)
    if entry is None:
        return None
    ends = dt.date.fromisoformat(entry["ends"]) if entry["ends"] else None
    said = "is shut down" if ends is None or ends <= today else f"will be shut down on {ends}"
    return f"{model} {said} ({entry['source']}); {entry['instead']} is current"
