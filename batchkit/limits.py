"""What one job may hold: limits of the services as dated data, and the shards we cut below them."""

from __future__ import annotations

import datetime as dt
import functools
import importlib.resources
import math
from dataclasses import asdict, dataclass, replace
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.fields import Service
    from batchkit.wire import Dialect, Kind

__all__ = [
    "FileLimits",
    "Limits",
    "default_limits",
    "ending_model",
    "file_limits",
    "service_limit",
]

# A job that is refused as too large is refused forever, so shards stay well below the limits.
_SHARE_OF_BYTES = 4
_SHARE_OF_TOKENS = 3
_SHARE_OF_INLINE = 2
_SHARD_ROWS = 50_000
_NO_LIMIT = 10**12
_FRACTIONS = ("bytes_per_token",)
_AT_ONCE = ("max_jobs", "max_enqueued_tokens")
# The limit of rows in `facts/limits.json`; the Developer API documents none.
_ROW_LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "vertex-generate": "max_rows",
        "vertex-generate-table": "max_rows",
        "vertex-embed": "max_embedding_rows",
        "vertex-embed-legacy": "max_legacy_embedding_rows",
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one shard, which is one job, may hold at most.

    Tokens are estimated as request bytes divided by `bytes_per_token`: crude, and high for most
    texts. Raise `max_tokens` to your tier's enqueued-token limit to get fewer jobs. `max_jobs` and
    `max_enqueued_tokens` are what all jobs of the run may be at once.
    """

    max_bytes: int
    max_rows: int
    max_tokens: int
    max_inline_bytes: int
    bytes_per_token: float = 3.0
    max_jobs: int = _NO_LIMIT
    max_enqueued_tokens: int = _NO_LIMIT

    @property
    def shard_bytes(self) -> int:
        """Bytes at which a shard is full, whichever of bytes and tokens comes first."""
        return min(self.max_bytes, int(self.max_tokens * self.bytes_per_token))

    def tokens_of(self, size: int) -> int:
        """The estimated tokens of so many bytes of requests."""
        return math.ceil(size / self.bytes_per_token)

    def changed(self, changes: Mapping[str, float]) -> Limits:
        """These limits with the user's changes; SetupError for one that cannot be."""
        return replace(self, **_checked(changes, tuple(self.to_json())))

    def to_json(self) -> dict[str, Any]:
        """The limits as they stand in `run.json`."""
        return asdict(self)

    def of_shards(self) -> dict[str, Any]:
        """Those that decide how requests are cut; the others may differ from day to day."""
        return {name: value for name, value in asdict(self).items() if name not in _AT_ONCE}


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What one request file, which is one job, may hold; None where the service names no limit."""

    max_bytes: int
    max_rows: int | None


@functools.cache
def _facts(name: str) -> dict[str, Any]:
    return jsonl.loads(importlib.resources.files("batchkit").joinpath("facts", name).read_bytes())


def service_limit(service: Service, name: str) -> int:
    """One documented limit; its unit, source and date stand in `facts/limits.json`."""
    return _facts("limits.json")[service][name]["value"]


def default_limits(
    dialect: Dialect, model: str, changes: Mapping[str, float] | None = None
) -> Limits:
    """Shards for this model: well below what the service documents, with the user's changes."""
    rows = _ROW_LIMITS.get(dialect.name)
    documented = service_limit(dialect.service, rows) if rows else _SHARD_ROWS
    defaults = Limits(
        max_bytes=service_limit(dialect.service, "max_file_bytes") // _SHARE_OF_BYTES,
        max_rows=min(_SHARD_ROWS, documented),
        max_tokens=_tokens(dialect, model),
        max_inline_bytes=service_limit("gemini", "max_inline_bytes") // _SHARE_OF_INLINE,
        max_jobs=service_limit("gemini", "max_jobs") if dialect.service == "gemini" else _NO_LIMIT,
    )
    return defaults.changed(changes or {})


def _tokens(dialect: Dialect, model: str) -> int:
    """Vertex AI shares its capacity among all and names no limit of tokens."""
    if dialect.service == "vertex":
        return _NO_LIMIT
    return _enqueued_tokens(dialect.kind, model) // _SHARE_OF_TOKENS


def file_limits(dialect: Dialect, changes: Mapping[str, float] | None = None) -> FileLimits:
    """What the service documents for one file of this dialect, with the user's changes."""
    rows = _ROW_LIMITS.get(dialect.name)
    defaults = FileLimits(
        max_bytes=service_limit(dialect.service, "max_file_bytes"),
        max_rows=service_limit(dialect.service, rows) if rows else None,
    )
    return replace(defaults, **_checked(changes or {}, ("max_bytes", "max_rows")))


def _checked(changes: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """The user's changes as the numbers they are to be; SetupError for all others."""
    for name, value in changes.items():
        if name not in known:
            message = f"limits: there is no {name}; the limits are {', '.join(known)}"
            raise SetupError(message)
        why = _why_no_limit(value, whole=name not in _FRACTIONS)
        if why:
            message = f"limits: {name}={value!r} is not {why}"
            raise SetupError(message)
    return {n: float(v) if n in _FRACTIONS else int(v) for n, v in changes.items()}


def _why_no_limit(value: Any, *, whole: bool) -> str | None:
    """What a limit would have to be; numpy's numbers are numbers, too."""
    if not isinstance(value, Real) or value is True or math.isnan(value):
        return "a number"
    if value <= 0:
        return "positive"
    if math.isinf(value):
        return "finite"
    return "a whole number" if whole and not float(value).is_integer() else None


def _enqueued_tokens(kind: Kind, model: str) -> int:
    facts = _facts("limits.json")["enqueued_tokens"]
    plain = model.rpartition("/")[2]
    named = [name for name in facts["models"] if plain.startswith(name)]
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
