"""Salvage: a run directory that was lost is built again, and takes over its jobs and answers."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchkit.building import Order, build_run
from batchkit.display.live import shown
from batchkit.draft import Choices
from batchkit.engines import engine_named
from batchkit.key import key_names
from batchkit.layout import Layout
from batchkit.recovery import Recovery
from batchkit.remains import find_remains
from batchkit.service.client import client_for
from batchkit.targets.target import target_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchkit.draft import OnBadKey
    from batchkit.engines import Engine
    from batchkit.events import Progress
    from batchkit.rundir import Run
    from batchkit.service.client import Client
    from batchkit.specs.spec import Spec
    from batchkit.tables.opened import TableLike

__all__ = ["salvage"]


def salvage(  # noqa: PLR0913  # what a run is, by keyword
    table: TableLike,
    spec: Spec | None,
    answers: str | Path | Sequence[str | Path],
    *,
    key: str | Sequence[str] | None = None,
    into: str | Path | None = None,
    target: str | None = None,
    output: str | None = None,
    labels: bool = True,
    model: str | None = None,
    carry: Sequence[str] | None = None,
    on_bad_key: OnBadKey = "raise",
    limits: Mapping[str, float] | None = None,
    prefix: str = "",
    flatten: bool = True,
    provenance: bool = False,
    raw: bool = False,
    engine: str | Engine = "local",
    pushdown: bool = False,
    client: Client | None = None,
    progress: Progress | None = None,
) -> Run:
    """Build a run again whose directory was lost, and give it its jobs and answers; none is sent.

    `answers` is what is left: names of jobs, how their display names begin (`batchkit-…`), a
    gs:// folder or bq:// table of output, downloaded files or folders of them. The rest is what
    `build` was given, whose arguments it takes: the requests must be the same. One job is enough to
    find the others of its run, under whose id the run is built again.

    Jobs whose requests are those of a shard are taken over, running or not: `wait` and `collect`
    go on with them, and a shard that has no job stays pending. Where jobs were cut otherwise, or
    only answers are left, each line goes to its row by key, label or echoed request, the first
    `ok` of several; rows that no line answers are `missing`, lines that answer no row are in
    quarantine. Raises RowsError when most answers are for no row: table, key or spec differ.
    Repeating the call goes on where it stopped.
    """
    choices = Choices(
        key=key_names(key),
        carry=tuple(carry or ()),
        on_bad_key=on_bad_key,
        target=target,
        limits=limits or {},
        layout=Layout(prefix, flatten, provenance, raw),
        output=output,
        labels=labels,
        pushdown=pushdown,
    )
    listed = [answers] if isinstance(answers, str | Path) else list(answers)

    @functools.cache
    def used() -> Client:
        return client_for(target_named(target or "file").service, client)

    with shown(progress) as tell:
        remains = find_remains(listed, used)
        order = Order(table, spec, model, replace(choices, run_id=remains.run), into)
        run = build_run(order, engine_named(engine), client, tell)
        with run.hold():
            Recovery(run, remains, used, tell).carry_out()
    return run
