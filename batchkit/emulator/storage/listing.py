"""Lists of objects: in the order of their names, by prefix, and folded at a delimiter.

https://cloud.google.com/storage/docs/json_api/v1/objects/list
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchkit.emulator.routes import Route
from batchkit.emulator.storage.bodies import resource_reply
from batchkit.emulator.storage.globs import glob
from batchkit.emulator.storage.pages import after, after_prefix, page_size, page_start, page_token
from batchkit.emulator.storage.stored_object import StoredObject

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

    from batchkit.emulator.exchange import Reply, Request
    from batchkit.emulator.storage.buckets import Buckets
    from batchkit.emulator.storage.objects import Objects
    from batchkit.emulator.workspace import Workspace

__all__ = ["Listing"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a list shows: names from `start` on and before `stop`, None for no end.

    Names with the delimiter after the prefix are folded there; with `trailing`, one that ends with
    its fold is shown all the same. `pattern` is for names and folds.
    """

    start: str
    stop: str | None
    prefix: str
    delimiter: str
    trailing: bool
    pattern: re.Pattern[str] | None

    def fold(self, name: str) -> str:
        """The name up to and with its first delimiter after the prefix; empty without one."""
        at = name.find(self.delimiter, len(self.prefix)) if self.delimiter else -1
        return name[: at + len(self.delimiter)] if at >= 0 else ""

    def entries(self, stored: StoredObject, previous: str) -> Iterator[StoredObject | str]:
        """What an object adds to the list; `previous` is the fold of the object before."""
        fold = self.fold(stored.name)
        if not fold or (self.trailing and fold == stored.name):
            yield stored
        if fold not in {"", previous}:
            yield fold

    def shows(self, entry: StoredObject | str) -> bool:
        """Whether an object's name or a fold fits the pattern."""
        name = entry if isinstance(entry, str) else entry.name
        return self.pattern is None or self.pattern.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Listing:
    """The call that lists a bucket's objects."""

    workspace: Workspace
    buckets: Buckets
    objects: Objects

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        return (Route("GET", "/storage/v1/b/{bucket}/o", self._list, None, open=True),)

    def _list(self, request: Request) -> Reply:
        bucket = self.buckets.get(request["bucket"])
        size = page_size(request.query)
        entries = self._entries(bucket.name, _wanted(request.query), size + 1)
        found = list(itertools.islice(entries, size + 1))
        shown = found[:size]
        items = [e.resource(self.workspace.url) for e in shown if isinstance(e, StoredObject)]
        folds = [entry for entry in shown if isinstance(entry, str)]
        resource: dict[str, Any] = {"kind": "storage#objects"}
        if len(found) > size:
            last = shown[-1]
            start = after_prefix(last) if isinstance(last, str) else after(last.name)
            resource["nextPageToken"] = page_token(start or "")
        resource |= {"prefixes": folds} if folds else {}
        resource |= {"items": items} if items else {}
        return resource_reply(request, resource)

    def _entries(self, bucket: str, wanted: _Wanted, rows: int) -> Iterator[StoredObject | str]:
        """Objects and folds, in order, read so many rows at a time."""
        place: str | None = wanted.start
        fold = ""
        while place is not None:
            found = self.objects.following(bucket, place, wanted.stop, rows)
            for stored in found:
                yield from filter(wanted.shows, wanted.entries(stored, fold))
                fold = wanted.fold(stored.name)
            if len(found) < rows:
                return
            place = after_prefix(fold) if fold else after(found[-1].name)


def _wanted(query: Mapping[str, str]) -> _Wanted:
    prefix, pattern = query.get("prefix", ""), query.get("matchGlob", "")
    stops = [query.get("endOffset") or None, after_prefix(prefix) if prefix else None]
    return _Wanted(
        start=max(prefix, query.get("startOffset", ""), page_start(query)),
        stop=min((stop for stop in stops if stop is not None), default=None),
        prefix=prefix,
        delimiter=query.get("delimiter", ""),
        trailing=query.get("includeTrailingDelimiter") == "true",
        pattern=glob(pattern) if pattern else None,
    )
