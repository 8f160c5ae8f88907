"""The service: bqemulator's application with our routes before its own, and one way to fail."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from .catalog import amend_catalog, amend_names
from .destinations import Destinations
from .dialect import amend_dialect
from .job import http_error
from .jobs import Jobs
from .loads import Loads
from .parsing import amend_parsing
from .places import Places
from .queries import Queries
from .reading import amend_reading
from .replacement import replace
from .results import ANONYMOUS, Results
from .rows import Rows
from .transfers import Copies, Extracts
from .uploads import amend_uploads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bqemulator.api.dependencies import AppContext
    from fastapi import FastAPI
    from starlette.requests import Request

    from .objects import Objects

__all__ = ["amend"]

_EXECUTOR = "bqemulator.jobs.executor"
_INSIDE = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)/.+")


def amend(objects: Objects) -> None:
    """Have the next server that is started be ours."""
    amend_names()
    amend_dialect()
    amend_parsing()
    # It is downloaded, and is needed for geography only.
    replace("bqemulator.storage.engine:DuckDBEngine", "_load_spatial", lambda _: _without_spatial)
    replace(_EXECUTOR, "_resolve_uri", lambda _: _path_for(objects))
    replace(_EXECUTOR, "_copy_relation_to_file", lambda copy: _then_sent(copy, objects))
    replace("bqemulator.server", "create_app", lambda create: _amended(create, objects))


def _amended(
    create: Callable[[AppContext], FastAPI], objects: Objects
) -> Callable[[AppContext], Callable[..., Awaitable[None]]]:
    def amended(ctx: AppContext) -> Callable[..., Awaitable[None]]:
        app = create(ctx)
        places, results = Places(ctx.catalog), Results(ctx.engine)
        destinations = Destinations(ctx)
        loads = Loads(ctx, objects, destinations)
        runners = {
            "query": Queries(ctx, results, destinations),
            "load": loads,
            "extract": Extracts(ctx, objects),
            "copy": Copies(ctx, destinations),
        }
        jobs = Jobs(ctx, places, results, runners)
        amend_uploads(jobs, loads)
        amend_catalog(ctx, places)
        amend_reading(results)
        app.router.routes[:0] = [
            *jobs.routes(),
            *Rows(ctx, results).routes(),
            *objects.routes(),
        ]
        app.add_exception_handler(Exception, _unforeseen)
        return _InsideDatasets(app, places)

    return amended


def _without_spatial(_engine: Any) -> None:
    """Geography is left out."""


def _then_sent(copy: Callable[..., None], objects: Objects) -> Callable[..., None]:
    """A file that is exported is an object once it is written."""

    def copied(rows: str, path: str, *rest: Any, **options: Any) -> None:
        copy(rows, path, *rest, **options)
        objects.send(path)

    return copied


def _path_for(objects: Objects) -> Callable[[str, Any], str]:
    """Where an export writes what is to become an object."""

    def path_for(uri: str, _ctx: Any) -> str:
        return objects.path_for(uri)

    return path_for


class _InsideDatasets:
    """What is in a dataset that is not there is not there either; bqemulator fails, or makes it."""

    def __init__(self, app: Callable[..., Awaitable[None]], places: Places) -> None:
        self._app = app
        self._places = places

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        inside = _INSIDE.fullmatch(scope.get("path", ""))
        missing = (
            inside and inside[2] != ANONYMOUS and not self._places.of_dataset(*inside.groups())
        )
        if inside and missing:
            message = f"Not found: Dataset {inside[1]}:{inside[2]}"
            code, body = http_error({"reason": "notFound", "message": message})
            await JSONResponse(body, code)(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _unforeseen(_request: Request, error: Exception) -> Response:
    """What bqemulator stumbles over is said at once: a 500 makes clients ask again for minutes."""
    traceback.print_exception(error)
    message = f"the stand-in for BigQuery cannot do this: {type(error).__name__}: {error}"
    code, body = http_error({"reason": "notImplemented", "message": message})
    return JSONResponse(body, code)
