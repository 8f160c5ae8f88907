"""Where datasets lie: a job runs where all its tables are, or is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .parts import items, part
from .refusals import refuse_missing
from .statements import tables_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bqemulator.catalog.repository import CatalogRepository

__all__ = ["Places"]

_DEFAULT = "US"
_TABLES = ("destinationTable", "sourceTable", "sourceTables", "defaultDataset")


class Places:
    """The locations of the datasets in a catalog."""

    def __init__(self, catalog: CatalogRepository) -> None:
        self._catalog = catalog

    def of_dataset(self, project: str, dataset: str) -> str | None:
        """Where a dataset lies, None when there is none."""
        found = self._catalog.get_dataset(project, dataset)
        return None if found is None else found.location

    def of_job(self, project: str, configuration: Mapping[str, Any], asked: str | None) -> str:
        """Where a job runs: where it asks to, else where its first dataset lies, else in the US.

        NotFoundError, in BigQuery's words, when one of its datasets lies elsewhere, or when that
        which a load writes to is not there.
        """
        into = part(part(configuration, "load"), "destinationTable")
        if into:
            owner = into.get("projectId") or project
            if self.of_dataset(owner, into["datasetId"]) is None:
                refuse_missing(f"Dataset {owner}:{into['datasetId']}")
        lying = [
            (*dataset, place)
            for dataset in _datasets(project, configuration)
            if (place := self.of_dataset(*dataset)) is not None
        ]
        chosen = asked or (lying[0][2] if lying else _DEFAULT)
        for owner, dataset, place in lying:
            if place.lower() != chosen.lower():
                refuse_missing(f"Dataset {owner}:{dataset} was not found in location {chosen}")
        return chosen


def _datasets(project: str, configuration: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The datasets that a job names, in its configuration and in its SQL."""
    for kind in ("query", "load", "extract", "copy"):
        for name in _TABLES:
            for table in items(part(configuration, kind), name):
                if table.get("datasetId"):
                    yield table.get("projectId") or project, table["datasetId"]
    for owner, dataset, _ in tables_in(part(configuration, "query").get("query") or "", project):
        yield owner, dataset
