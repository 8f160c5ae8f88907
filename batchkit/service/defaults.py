"""Job-level options, which the wire has not: merged into each request, whose own values win."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit import jsonl
from batchkit.specs.rest import as_rest, as_system
from batchkit.tables.request_lines import key_and_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["RequestDefaults"]


class RequestDefaults:
    """A generation config and a system instruction for every request of a job."""

    def __init__(self, generation_config: Any = None, system_instruction: Any = None) -> None:
        self._config: dict[str, Any] = {}
        if generation_config is not None:
            self._config = as_rest(generation_config, "generation_config")
        self._system = as_system(system_instruction) if system_instruction is not None else None

    @property
    def are_given(self) -> bool:
        """Whether there is anything to merge."""
        return bool(self._config) or self._system is not None

    def merged(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request with what it lacks; it is not changed itself."""
        merged = dict(request)
        if self._system is not None and not merged.keys() & {
            "systemInstruction",
            "system_instruction",
        }:
            merged["systemInstruction"] = self._system
        if self._config:
            name = "generation_config" if "generation_config" in merged else "generationConfig"
            merged[name] = {**self._config, **(merged.get(name) or {})}
        return merged

    def lines(self, path: Path) -> Iterator[bytes]:
        """The lines of a request file with the options merged in."""
        with path.open("rb") as file:
            for _, line in jsonl.lines(file):
                key, body = key_and_body(jsonl.loads(line))
                merged = self.merged(body)
                yield jsonl.dumps({"key": key, "request": merged} if key else merged) + b"\n"
