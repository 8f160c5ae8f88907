"""Build: a table and a spec become request files, with the rows that go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchkit.building import Order, build_run
from batchkit.draft import Choices
from batchkit.engines import engine_named
from batchkit.key import key_names
from batchkit.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from batchkit.draft import OnBadKey
    from batchkit.engines import Engine
    from batchkit.events import Progress
    from batchkit.rundir import Run
    from batchkit.service.client import Client
    from batchkit.specs.spec import Spec
    from batchkit.tables.opened import TableLike

__all__ = ["build"]


def build(  # noqa: PLR0913  # what a run is, by keyword
    table: TableLike,
    spec: Spec | None,
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
    """Turn each row of a table into a request, in a run directory; nothing is sent.

    `key` names the column (or columns) that name rows: unique, not null; without it rows are
    numbered. `into` is the directory, a new one under `./runs` when left out; building into a
    directory that holds the same run goes on where it stopped, a different one is refused with
    what changed. `target` is "inline" or "file" on the Developer API (None picks), and
    "gs://bucket/folder" or "bq://project.dataset" on Vertex AI, where `output` sends what a job
    writes to another gs:// folder, and `labels=False` leaves our label out of the requests, so that
    answers are matched by what they echo. `spec=None` takes a ready request
    file and needs `model`. `limits` overrides what a shard may hold (`max_bytes`, `max_rows`,
    `max_tokens`, …). `carry` names columns of a Parquet table to copy into the run; the others are
    read again from the files, which must not change. `on_bad_key="reject"` turns rows with
    unusable keys into `rejected` rows. `prefix`, `flatten`, `provenance` and `raw` choose the
    result's columns. With `pushdown` BigQuery makes the requests of a bq:// table by SQL, and no
    row comes here. `client` is a Vertex client to read gs:// and bq:// tables with; without one,
    the Application Default Credentials are.

    Raises RowsError for a table, key or template that does not fit, SetupError for the rest.
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
    order = Order(table, spec, model, choices, into)
    return build_run(order, engine_named(engine), client, progress)
