"""batchkit turns tables into Gemini batches and puts every answer back on the row it came from.

    import batchkit as bk

    spec = bk.generate("gemini-3.8-flash", "Summarise for a shop owner: {text}")
    results = bk.run(df, spec, key="review_id", into="runs/reviews")
    results.to_pandas()

A map of this folder: `journey` is the whole way in one call, `steps/` its verbs, `specs/` what is
asked of a row, `tables/` where rows come from, `targets/` how requests travel, `service/` the API
on the wire, `rundir` and `ledger` the run on disk, `tasks` and `engines` what runs where, `wire`,
`join` and `outcome` how answers come back, `emulator/` a service to try it all on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchkit import emulator, errors
    from batchkit.errors import BatchkitError
    from batchkit.journey import run
    from batchkit.outcome import Response
    from batchkit.results import Results
    from batchkit.rundir import Run, open_run
    from batchkit.service.batches import Batches
    from batchkit.service.client import Gemini, Vertex
    from batchkit.service.files import File, FileList, Files
    from batchkit.service.job import BatchJob, CompletionStats, JobList, JobState
    from batchkit.specs.embed import embed
    from batchkit.specs.generate import generate
    from batchkit.specs.spec import Spec
    from batchkit.steps.build import build
    from batchkit.steps.cancel import cancel
    from batchkit.steps.check import check
    from batchkit.steps.clean import clean
    from batchkit.steps.collect import collect
    from batchkit.steps.convert import convert
    from batchkit.steps.pushdown_sql import pushdown_sql
    from batchkit.steps.read_responses import read_responses
    from batchkit.steps.retry import retry
    from batchkit.steps.salvage import salvage
    from batchkit.steps.submit import submit
    from batchkit.steps.wait import wait
    from batchkit.tables.bigquery import Query, query
    from batchkit.transport import Retries
    from batchkit.validity import Problem

__all__ = [
    "BatchJob",
    "Batches",
    "BatchkitError",
    "CompletionStats",
    "File",
    "FileList",
    "Files",
    "Gemini",
    "JobList",
    "JobState",
    "Problem",
    "Query",
    "Response",
    "Results",
    "Retries",
    "Run",
    "Spec",
    "Vertex",
    "build",
    "cancel",
    "check",
    "clean",
    "collect",
    "convert",
    "embed",
    "emulator",
    "errors",
    "generate",
    "open_run",
    "pushdown_sql",
    "query",
    "read_responses",
    "retry",
    "run",
    "salvage",
    "submit",
    "wait",
]

# Where each name lives; it is imported when it is first used, so that `import batchkit` is quick
# and loads no Google library and no pandas.
_HOMES = {
    "BatchJob": "service.job",
    "BatchkitError": "errors",
    "Batches": "service.batches",
    "CompletionStats": "service.job",
    "File": "service.files",
    "FileList": "service.files",
    "Files": "service.files",
    "Gemini": "service.client",
    "JobList": "service.job",
    "JobState": "service.job",
    "Problem": "validity",
    "Query": "tables.bigquery",
    "Response": "outcome",
    "Results": "results",
    "Retries": "transport",
    "Run": "rundir",
    "Spec": "specs.spec",
    "Vertex": "service.client",
    "build": "steps.build",
    "cancel": "steps.cancel",
    "check": "steps.check",
    "clean": "steps.clean",
    "collect": "steps.collect",
    "convert": "steps.convert",
    "embed": "specs.embed",
    "generate": "specs.generate",
    "open_run": "rundir",
    "pushdown_sql": "steps.pushdown_sql",
    "query": "tables.bigquery",
    "read_responses": "steps.read_responses",
    "retry": "steps.retry",
    "run": "journey",
    "salvage": "steps.salvage",
    "submit": "steps.submit",
    "wait": "steps.wait",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"batchkit.{_HOMES[name]}"), name)
    elif name in __all__:
        value = importlib.import_module(f"batchkit.{name}")
    else:
        message = f"module 'batchkit' has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
