"""Job-level options, which the wire has not: merged into each request, whose own values win."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.errors import RowsError
from batchkit.fields import field_table
from batchkit.specs.rest import as_system, split_config
from batchkit.tables.request_lines import key_and_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["RequestDefaults"]


class RequestDefaults:
    """A generation config and a system instruction for every request of a job.

    An SDK's config object may bring tools, safety settings and the like along with it.
    """

    def __init__(self, generation_config: Any = None, system_instruction: Any = None) -> None:
        self._config, self._beside = split_config(generation_config)
        if system_instruction is not None:
            self._beside["systemInstruction"] = as_system(system_instruction)

    @property
    def are_given(self) -> bool:
        """Whether there is anything to merge."""
        return bool(self._config or self._beside)

    def merged(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request with what it lacks; it is not changed itself."""
        merged = _filled(request, self._beside, "GenerateContentRequest")
        name = "generation_config" if "generation_config" in merged else "generationConfig"
        own: Any = merged.get(name) or {}
        if self._config and jsonl.is_object(own):
            merged[name] = _filled(own, self._config, "GenerationConfig")
        return merged

    def lines(self, path: Path) -> Iterator[bytes]:
        """The lines of a request file with the options merged in; RowsError where one is none."""
        with path.open("rb") as file:
            for number, line in jsonl.lines(file):
                merged = self._merged_line(line)
                if merged is None:
                    message = f"{path}, line {number}: no request; `batchkit check` says why"
                    raise RowsError(message)
                yield jsonl.dumps(merged) + b"\n"

    def _merged_line(self, line: bytes) -> dict[str, Any] | None:
        try:
            item = jsonl.loads(line)
        except ValueError:
            return None
        key, body = key_and_body(item)
        if not jsonl.is_object(body):
            return None
        merged = self.merged(body)
        if "request" in item:
            return {**item, "request": merged}
        return {"key": key, "request": merged} if key else merged


def _filled(own: Mapping[str, Any], given: Mapping[str, Any], message: str) -> dict[str, Any]:
    """A message's own fields, and those of `given` that it has under neither spelling."""
    fields = field_table("gemini").message(message) or {}

    def plain(name: str) -> str:
        return fields[name].name if name in fields else name

    has = {plain(name) for name in own}
    return {**own, **{name: value for name, value in given.items() if plain(name) not in has}}
