"""What was asked for when a job was created: where it reads, where it writes, for which model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from batchkit.emulator.clock import timestamp
from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.models import is_legacy

if TYPE_CHECKING:
    from batchkit.emulator.models import Model, Models
    from batchkit.emulator.state import State

__all__ = ["Order", "Orders", "ordered_model"]

_TABLES = """
CREATE TABLE IF NOT EXISTS vertex_orders (
    id TEXT PRIMARY KEY, place TEXT NOT NULL, stamp INTEGER NOT NULL, body BLOB NOT NULL
);
"""
_MODEL = re.compile(
    r"(?:projects/[^/]+/locations/[^/]+/)?publishers/google/models/(?P<name>[^/@]+)(?:@\w+)?"
)
_OBJECT = re.compile(r"gs://[a-z0-9][a-z0-9._-]+/.+", re.DOTALL)
_PREFIX = re.compile(r"gs://[a-z0-9][a-z0-9._-]+(?:/.*)?", re.DOTALL)
_TABLE = re.compile(r"bq://(?:[^./:]+:)?[^./]+\.\w+\.[^./]+")
_OUTPUT = re.compile(r"bq://(?:[^./:]+:)?[^./:]+(?:\.\w+(?:\.[^./]+)?)?")
_LABEL = re.compile(r"[\w-]{0,63}")
_DISPLAY_NAME_CHARACTERS = 128
_MOST_LABELS = 64


@dataclass(frozen=True, slots=True)
class Order:
    """A job's own part: `place` is `projects/…/locations/…`, `body` what the create said.

    `stamp` is in microseconds since 1970, and no other job's: its output is named by it.
    """

    job_id: str
    place: str
    stamp: int
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """The job's resource name."""
        return f"{self.place}/batchPredictionJobs/{self.job_id}"

    @property
    def location(self) -> str:
        """Where it runs."""
        return self.place.rpartition("/")[2]

    @property
    def project(self) -> str:
        """Whose it is."""
        return self.place.split("/")[1]

    @property
    def object_uris(self) -> list[str]:
        """The objects it reads, by name or pattern; empty when it reads a table."""
        return self.body["inputConfig"].get("gcsSource", {}).get("uris", [])

    @property
    def input_table(self) -> str:
        """The table it reads, as `project.dataset.table`; empty when it reads objects."""
        return _path(self.body["inputConfig"].get("bigquerySource", {}).get("inputUri", ""))

    @property
    def output_folder(self) -> str:
        """Its own folder below the prefix that was asked for; empty when it writes a table."""
        config = self.body["outputConfig"].get("gcsDestination", {})
        prefix = config.get("outputUriPrefix", "").rstrip("/")
        moment = timestamp(self.stamp * 1000)[:-4]
        return f"{prefix}/prediction-model-{moment}Z" if prefix else ""

    @property
    def makes_dataset(self) -> bool:
        """Whether the create names only a project for its table."""
        config = self.body["outputConfig"].get("bigqueryDestination", {})
        return bool(config) and "." not in _path(config["outputUri"])

    @property
    def output_table(self) -> str:
        """The table it makes, as `project.dataset.table`; empty when it writes objects."""
        config = self.body["outputConfig"].get("bigqueryDestination", {})
        parts = _path(config.get("outputUri", "")).split(".")
        moment = re.sub(r"\W", "_", timestamp(self.stamp * 1000)[:-4] + "Z")
        made = ["", f"prediction_{moment}", f"predictions_{moment}"]
        return ".".join(parts + made[len(parts) :]) if parts[0] else ""


class Orders:
    """The orders of one emulator's jobs."""

    def __init__(self, state: State) -> None:
        self._state = state
        state.define(_TABLES)

    def place(self, job_id: str, place: str, instant: int, body: dict[str, Any]) -> Order:
        """A new order, its stamp as near to an instant in nanoseconds as it can be its own."""
        with self._state.transaction() as database:
            last: int = self._state.value("SELECT coalesce(max(stamp), 0) FROM vertex_orders")
            order = Order(job_id, place, max(instant // 1000, last + 1), body)
            database.execute(
                "INSERT INTO vertex_orders VALUES (?, ?, ?, ?)",
                [job_id, place, order.stamp, orjson.dumps(body)],
            )
        return order

    def find(self, job_id: str) -> Order:
        """The order of a job."""
        row = self._state.row("SELECT * FROM vertex_orders WHERE id = ?", job_id)
        if row is None:
            raise ApiError(Rpc.NOT_FOUND, "The BatchPredictionJob does not exist.")
        return Order(row[0], row[1], row[2], orjson.loads(row[3]))


def ordered_model(models: Models, location: str, body: dict[str, Any]) -> Model:
    """The model of a create whose parts fit together; ApiError 400 when they do not."""
    model = _model(models, body["model"])
    _check_source(location, model, body["inputConfig"])
    _check_destination(body["outputConfig"])
    if len(body["displayName"]) > _DISPLAY_NAME_CHARACTERS:
        _refuse(f"display_name must have at most {_DISPLAY_NAME_CHARACTERS} characters.")
    labels: dict[str, str] = body.get("labels", {})
    if len(labels) > _MOST_LABELS or any(
        not _LABEL.fullmatch(text) or text != text.lower()
        for pair in labels.items()
        for text in pair
    ):
        _refuse("Labels have at most 63 lower-case letters, digits, underscores and dashes.")
    return model


def _model(models: Models, name: str) -> Model:
    found = _MODEL.fullmatch(name)
    model = models.named(found["name"] if found else name) if found or "/" in name else None
    if model is None:
        _refuse(f"Do not support publisher model {found['name'] if found else name}")
    return model


def _check_source(location: str, model: Model, config: dict[str, Any]) -> None:
    format_name = config["instancesFormat"]
    if "gcsSource" in config:
        _check_format("instances_format", format_name, "jsonl")
        uris: list[str] = config["gcsSource"]["uris"]
        wrong = [uri for uri in uris if not _OBJECT.fullmatch(uri)]
        if wrong or not uris:
            _refuse(f"Invalid Cloud Storage URI: {wrong[0] if wrong else 'none'}")
    elif "bigquerySource" in config:
        _check_format("instances_format", format_name, "bigquery")
        if not _TABLE.fullmatch(config["bigquerySource"]["inputUri"]):
            _refuse(f"Invalid BigQuery URI: {config['bigquerySource']['inputUri']}")
        if location == "global":
            _refuse("BigQuery is not supported in the location global.")
        if model.kind == "embed" and not is_legacy(model.name):
            _refuse(f"{model.name} does not support BigQuery as an input.")
    else:
        _refuse("The emulator has no multimodal datasets.")


def _check_destination(config: dict[str, Any]) -> None:
    format_name = config["predictionsFormat"]
    if "gcsDestination" in config:
        _check_format("predictions_format", format_name, "jsonl")
        if not _PREFIX.fullmatch(config["gcsDestination"]["outputUriPrefix"]):
            _refuse(f"Invalid Cloud Storage URI: {config['gcsDestination']}")
    elif "bigqueryDestination" in config:
        _check_format("predictions_format", format_name, "bigquery")
        if not _OUTPUT.fullmatch(config["bigqueryDestination"]["outputUri"]):
            _refuse(f"Invalid BigQuery URI: {config['bigqueryDestination']['outputUri']}")
    else:
        _refuse("The emulator has no multimodal datasets.")


def _check_format(field: str, given: str, wanted: str) -> None:
    if given != wanted:
        _refuse(f"Unsupported {field}: {given}. It must be {wanted}.")


def _path(uri: str) -> str:
    return uri.removeprefix("bq://").replace(":", ".") if uri else ""


def _refuse(text: str) -> NoReturn:
    raise ApiError(Rpc.INVALID_ARGUMENT, text)
