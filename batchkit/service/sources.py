"""Where a job's requests come from, made ready: inlined, uploaded, or rewritten with defaults."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.errors import CapabilityError, SetupError
from batchkit.service.job import JobPlace
from batchkit.specs.rest import as_rest
from batchkit.storage import ObjectUri
from batchkit.tables.request_lines import key_and_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchkit.clients import Cloud
    from batchkit.service.defaults import RequestDefaults
    from batchkit.service.files import Files
    from batchkit.service.new_job import NewJob
    from batchkit.wire import Kind

__all__ = ["Sources"]

_GEMINI = ("file_name", "inlined_requests", "path")
_VERTEX = ("gcs_uri", "bigquery_uri", "path")
_READS = {
    _GEMINI: "the Developer API reads and writes uploaded files and inline requests",
    _VERTEX: "Vertex AI reads and writes gs:// objects and bq:// tables",
}
_CONTENT_TYPE = "application/jsonl"


@dataclass(frozen=True, slots=True)
class Sources:
    """Puts requests where the service reads them: its files, or the project's objects."""

    files: Files | None
    cloud: Cloud | None

    def place(self, sources: Mapping[str, Any], new: NewJob, defaults: RequestDefaults) -> JobPlace:
        """The place of the one source that is given; SetupError when it is not exactly one."""
        known = _VERTEX if self.files is None else _GEMINI
        given = [name for name, value in sources.items() if value is not None]
        foreign = [name for name in given if name not in known]
        if self.files is not None and new.destination != JobPlace():
            foreign.append("destination")
        if foreign:
            message = f"{foreign[0]}: {_READS[known]}"
            raise CapabilityError(message)
        if len(given) != 1:
            message = f"give exactly one of {', '.join(known)}; given: {', '.join(given) or 'none'}"
            raise SetupError(message)
        name, value = given[0], sources[given[0]]
        if name == "inlined_requests":
            return _inlined_place(value, new.kind, defaults)
        if name == "path":
            return self._uploaded(Path(value), Path(value).name, new, defaults)
        if name == "gcs_uri":
            uris = (value,) if isinstance(value, str) else tuple(value)
            return self._rewritten(uris, new, defaults)
        if defaults.are_given:
            there = "uploaded" if name == "file_name" else "a table"
            message = (
                f"{value} is {there} already, so nothing can be merged into its requests: "
                "write generationConfig and systemInstruction into its lines, or give path="
            )
            raise CapabilityError(message)
        return JobPlace(bigquery_uri=value) if name == "bigquery_uri" else JobPlace(file_name=value)

    def _uploaded(self, path: Path, name: str, new: NewJob, defaults: RequestDefaults) -> JobPlace:
        """The requests of a local file where the service reads them, with the defaults merged."""
        if not defaults.are_given:
            return self._put(path, name, new)
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as merged:
            merged.writelines(defaults.lines(path))
            merged.flush()
            return self._put(Path(merged.name), name, new)

    def _put(self, path: Path, name: str, new: NewJob) -> JobPlace:
        if self.files is not None:
            return JobPlace(file_name=self.files.upload(path, display_name=name).name)
        if self.cloud is None or not new.destination.gcs_uris:
            message = "path: on Vertex AI it is uploaded below destination='gs://bucket/folder'"
            raise SetupError(message)
        folder = ObjectUri.parse(new.destination.gcs_uris[0]) / new.display_name
        stored = self.cloud.objects.put(path, folder / name, content_type=_CONTENT_TYPE)
        return JobPlace(gcs_uris=(str(stored.uri),))

    def _rewritten(self, uris: tuple[str, ...], new: NewJob, defaults: RequestDefaults) -> JobPlace:
        """Objects as they are, or copied to new ones with the defaults merged in."""
        if self.cloud is None or not defaults.are_given:
            return JobPlace(gcs_uris=uris)
        objects = self.cloud.objects
        copies: list[str] = []
        with tempfile.TemporaryDirectory(prefix="batchkit-") as folder:
            path = Path(folder) / "requests.jsonl"
            for stored in objects.matching(uris):
                with path.open("wb") as file:
                    objects.download(stored, file)
                place = self._uploaded(path, f"{len(copies):05d}.jsonl", new, defaults)
                copies += place.gcs_uris
        return JobPlace(gcs_uris=tuple(copies))


def _inlined_place(items: Iterable[Any], kind: Kind, defaults: RequestDefaults) -> JobPlace:
    """Inline requests from texts, requests, and requests with a key or metadata."""
    if isinstance(items, str):
        message = "inlined_requests is a text: give a list of texts or requests"
        raise SetupError(message)
    found = (
        _inlined(item, f"inlined_requests[{index}]", kind, defaults)
        for index, item in enumerate(items)
    )
    return JobPlace(inlined=tuple(found))


def _inlined(item: Any, place: str, kind: Kind, defaults: RequestDefaults) -> dict[str, Any]:
    if isinstance(item, str):
        content = {"parts": [{"text": item}]}
        request: Any = (
            {"content": content} if kind == "embed" else {"contents": [{"role": "user", **content}]}
        )
        return {"request": defaults.merged(request)}
    plain = as_rest(item, place)
    key, request = key_and_body(plain)
    if not jsonl.is_object(request):
        message = f"{place} is no request: give a text, a request, or a key and a request"
        raise SetupError(message)
    metadata = plain.get("metadata") if "request" in plain else None
    named = {**(metadata if jsonl.is_object(metadata) else {}), **({"key": key} if key else {})}
    return {"request": defaults.merged(request), **({"metadata": named} if named else {})}
