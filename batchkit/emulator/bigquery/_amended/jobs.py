"""The Jobs service: each job once, under its own id, where its tables are.

https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bqemulator.domain.errors import DomainError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .job import Job, Outcome, error_proto, http_error, location_of, resource
from .parts import part
from .refusals import refuse_missing, refuse_present
from .results import page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bqemulator.api.dependencies import AppContext
    from bqemulator.catalog.models import JobMeta
    from starlette.requests import Request

    from .places import Places
    from .results import Results

__all__ = ["Jobs"]

_PROJECT = "/bigquery/v2/projects/{project}"
# A job elsewhere is found only by who says where:
# https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get
_FOUND_ANYWHERE = ("us", "eu")
# What jobs.query takes that belongs to a query's configuration.
_QUERY_FIELDS = (
    "query",
    "defaultDataset",
    "useLegacySql",
    "useQueryCache",
    "parameterMode",
    "queryParameters",
    "connectionProperties",
    "createSession",
    "maximumBytesBilled",
)


class Jobs:
    """The jobs of every project; a kind's runner makes an Outcome of a Job, or raises."""

    def __init__(
        self,
        ctx: AppContext,
        places: Places,
        results: Results,
        runners: Mapping[str, Callable[[Job], Awaitable[Outcome]]],
    ) -> None:
        self._ctx = ctx
        self._places = places
        self._results = results
        self._runners = runners

    def routes(self) -> list[Route]:
        """What is answered in place of bqemulator's own."""
        return [
            Route(f"{_PROJECT}/jobs", self._insert, methods=["POST"]),
            Route(f"{_PROJECT}/jobs", self._list, methods=["GET"]),
            Route(f"{_PROJECT}/jobs/{{job}}", self._get, methods=["GET"]),
            Route(f"{_PROJECT}/jobs/{{job}}/cancel", self._cancel, methods=["POST"]),
            Route(f"{_PROJECT}/queries", self._query, methods=["POST"]),
            Route(f"{_PROJECT}/queries/{{job}}", self._rows, methods=["GET"]),
        ]

    async def run(
        self, job: Job, runner: Callable[[Job], Awaitable[Outcome]] | None = None
    ) -> JobMeta:
        """Run a job and keep it, with its failure if it failed.

        A job that cannot begin leaves nothing behind: AlreadyExistsError when there is one of its
        id, NotFoundError when it is not where its tables are.
        """
        if self._ctx.catalog.get_job(job.project, job.id) is not None:
            place = job.location or "US"
            refuse_present(f"Job {job.project}:{place}.{job.id}")
        place = self._places.of_job(job.project, job.configuration, job.location)
        job = dataclasses.replace(job, location=place)
        began = self._ctx.clock.now()
        try:
            outcome = await (runner or self._runners[job.kind])(job)
        except DomainError as error:
            outcome = Outcome(error=error_proto(error))
        ended = job.ended(outcome, began, self._ctx.clock.now())
        if not job.configuration.get("dryRun"):
            self._ctx.catalog.upsert_job(ended)
        return ended

    async def _insert(self, request: Request) -> Response:
        job = Job.asked(request.path_params["project"], await request.json())
        ended = await self.run(job)
        if ended.error_result and job.configuration.get("dryRun"):
            return _refused(ended.error_result)
        return JSONResponse(resource(ended))

    async def _query(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        query = {name: body[name] for name in _QUERY_FIELDS if name in body}
        configuration = {"query": query}
        configuration |= {name: body[name] for name in ("labels", "dryRun") if name in body}
        reference = {"location": body.get("location")}
        asked = {"jobReference": reference, "configuration": configuration}
        ended = await self.run(Job.asked(request.path_params["project"], asked))
        if ended.error_result:
            return _refused(ended.error_result)
        reply = {"kind": "bigquery#queryResponse", **self._response(ended)}
        if body.get("dryRun"):
            fields = ended.statistics["query"].get("schema")
            return JSONResponse(reply | {"schema": fields, "rows": [], "totalRows": "0"})
        return JSONResponse(reply | self._page(ended.job_id, 0, body.get("maxResults")))

    async def _rows(self, request: Request) -> Response:
        job = self._found(request)
        if job.error_result:
            return _refused(job.error_result)
        asked = request.query_params
        start = int(asked.get("pageToken") or asked.get("startIndex") or 0)
        most = int(asked["maxResults"]) if "maxResults" in asked else None
        reply = {"kind": "bigquery#getQueryResultsResponse", **self._response(job)}
        return JSONResponse(reply | self._page(job.job_id, start, most))

    def _response(self, job: JobMeta) -> dict[str, Any]:
        """What replies of queries say of their job."""
        query = part(job.statistics, "query")
        said = ("cacheHit", "statementType", "numDmlAffectedRows", "ddlOperationPerformed")
        return {
            "jobReference": resource(job)["jobReference"],
            "jobComplete": True,
            "totalBytesProcessed": "0",
            **{name: query[name] for name in said if query.get(name) is not None},
        }

    def _page(self, job_id: str, start: int, most: int | None) -> dict[str, Any]:
        table, fields = self._results.of_job(job_id)
        said: dict[str, Any] = {"schema": {"fields": fields}, "totalRows": str(table.num_rows)}
        if most == 0:  # asks for the schema alone; clients take `rows` for the first page
            return said
        rows, following = page(table, start, most)
        said["rows"] = rows
        return said if following is None else {**said, "pageToken": str(following)}

    async def _get(self, request: Request) -> Response:
        return JSONResponse(resource(self._found(request)))

    async def _cancel(self, request: Request) -> Response:
        job = resource(self._found(request))
        return JSONResponse({"kind": "bigquery#jobCancelResponse", "job": job})

    def _found(self, request: Request) -> JobMeta:
        """The job of a path, in the location that is asked for."""
        project, name = request.path_params["project"], request.path_params["job"]
        asked = request.query_params.get("location")
        job = self._ctx.catalog.get_job(project, name)
        places = (asked.lower(),) if asked else _FOUND_ANYWHERE
        if job is None or location_of(job).lower() not in places:
            refuse_missing(f"Job {project}:{asked or 'US'}.{name}")
        return job

    async def _list(self, request: Request) -> Response:
        asked = request.query_params
        start = int(asked.get("pageToken") or 0)
        end = start + int(asked.get("maxResults") or 50)
        jobs = self._ctx.catalog.list_jobs(
            request.path_params["project"],
            state_filter=asked["stateFilter"].upper() if "stateFilter" in asked else None,
            max_results=end + 1,
        )
        items = [resource(job) for job in jobs[start:end]]
        reply = {"kind": "bigquery#jobList", "jobs": items}
        return JSONResponse(reply | ({"nextPageToken": str(end)} if len(jobs) > end else {}))


def _refused(error: dict[str, Any]) -> Response:
    """A reply that is the failure of a job."""
    code, body = http_error(error)
    return JSONResponse(body, code)
