"""The job service: creating, getting, listing, cancelling and deleting prediction jobs.

https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit.emulator.answering import dumps_answer
from batchkit.emulator.clock import nanoseconds
from batchkit.emulator.disorder import seeded_numbers
from batchkit.emulator.errors import AnswerError, ApiError, Rpc
from batchkit.emulator.exchange import Reply, Request, json_reply
from batchkit.emulator.jobs import Job, Jobs
from batchkit.emulator.life import Life
from batchkit.emulator.paging import PAGE_PARAMETERS, Page, page_token, requested_page
from batchkit.emulator.routes import Route
from batchkit.emulator.vertex.filters import parse_filter
from batchkit.emulator.vertex.messages import decode_generate, decode_job, decode_nothing
from batchkit.emulator.vertex.orders import Order, Orders, ordered_model
from batchkit.emulator.vertex.resource import delete_operation, prediction_job
from batchkit.emulator.vertex.tables import Tables
from batchkit.emulator.vertex.work import PredictionWork

if TYPE_CHECKING:
    from batchkit.emulator.models import Model, Models
    from batchkit.emulator.storage import Access
    from batchkit.emulator.vertex.accounts import Accounts
    from batchkit.emulator.vertex.answers import Answers
    from batchkit.emulator.workspace import Workspace

__all__ = ["Vertex"]

_IN_PLACE = "/{version:vertex}/projects/{project:segment}/locations/{location}"
_COLLECTION = f"{_IN_PLACE}/batchPredictionJobs"
_GENERATE = f"{_IN_PLACE}/publishers/google/models/{{model}}:generateContent"
_DEFAULT_PAGE, _LARGEST_PAGE = 50, 100
_EVERYTHING = 1 << 40
_LIST_PARAMETERS = PAGE_PARAMETERS | {"filter", "readMask", "read_mask"}
_MOST_BODY_BYTES = 1 << 20
_OUTPUT_ONLY = (
    "name",
    "state",
    "error",
    "outputInfo",
    "partialFailures",
    "completionStats",
    "createTime",
    "startTime",
    "endTime",
    "updateTime",
    "modelVersionId",
)


class Vertex:
    """The prediction jobs of one emulator: each waits `pending_seconds`, then runs `job_seconds`.

    `life` moves them, `tables` are where they read and write bq://.
    """

    def __init__(
        self,
        workspace: Workspace,
        models: Models,
        answers: Answers,
        access: Access,
        *,
        pending_seconds: float,
        job_seconds: float,
    ) -> None:
        self._workspace = workspace
        self._orders = Orders(workspace.state)
        self.tables: Tables = Tables(workspace)
        work = PredictionWork(workspace, self._orders, access, self.tables, answers)
        self.life: Life = Life(workspace, Jobs(workspace.state, "vertex_jobs"), work)
        self._models = models
        self._answers = answers
        self._pending = nanoseconds(pending_seconds)
        self._running = nanoseconds(job_seconds)

    def routes(self, accounts: Accounts) -> tuple[Route, ...]:
        """What this service answers, to who has a token of the account."""
        one = f"{_COLLECTION}/{{job}}"
        calls = (
            ("POST", _COLLECTION, self._create, frozenset[str]()),
            ("GET", _COLLECTION, self._list, _LIST_PARAMETERS),
            ("GET", one, self._get, frozenset[str]()),
            ("POST", f"{one}:cancel", self._cancel, frozenset[str]()),
            ("DELETE", one, self._delete, frozenset[str]()),
            ("POST", _GENERATE, self._generate, frozenset[str]()),
        )
        return tuple(
            Route(method, path, accounts.guarded(handler), parameters, open=True)
            for method, path, handler, parameters in calls
        )

    def _create(self, request: Request) -> Reply:
        body = decode_job(request.body.read(_MOST_BODY_BYTES))
        for name in _OUTPUT_ONLY:
            body.pop(name, None)  # https://google.aip.dev/203#output-only
        model = ordered_model(self._models, request["location"], body)
        with self._workspace.state.transaction():
            job = self._planned(model, body["displayName"])
            order = self._orders.place(job.id, _place(request), job.starts, body)
            longest = nanoseconds(self._workspace.limits.vertex_pending_seconds)
            job = self._workspace.fate.befall(job, job.created + longest)
            self.life.jobs.keep(job)
        self._workspace.effect("batch.created", order.name)
        return json_reply(prediction_job(job, order, job.created))

    def _planned(self, model: Model, display_name: str) -> Job:
        limits = self._workspace.limits
        now = self._workspace.clock.nanoseconds()
        starts = now + self._pending
        longest = nanoseconds(limits.vertex_pending_seconds)
        ends = starts + nanoseconds(limits.vertex_running_seconds)
        return Job(
            id=self._number("prediction"),
            kind=model.kind,
            model=model.name,
            display_name=display_name,
            file_name="",
            priority=0,
            total=0,
            created=now,
            starts=starts,
            due=starts + self._running,
            expires=now + longest if self._pending > longest else ends,
        )

    def _number(self, kind: str) -> str:
        """An id as the service gives them: many digits."""
        text = self._workspace.state.identifier(kind, 40)
        return str(10**18 + int(seeded_numbers(text, 1)[0]) % (9 * 10**18))

    def _found(self, request: Request) -> tuple[Job, Order]:
        order = self._orders.find(request["job"])
        if order.place != _place(request):
            raise ApiError(Rpc.NOT_FOUND, "The BatchPredictionJob does not exist.")
        return self.life.observe(order.job_id), order

    def _get(self, request: Request) -> Reply:
        job, order = self._found(request)
        return json_reply(prediction_job(job, order, self._workspace.clock.nanoseconds()))

    def _list(self, request: Request) -> Reply:
        matches = parse_filter(request.query.get("filter", ""))
        self.life.settle()
        page = requested_page(request.query, default=_DEFAULT_PAGE, largest=_LARGEST_PAGE)
        now = self._workspace.clock.nanoseconds()
        listed: list[tuple[int, dict[str, Any]]] = []
        entries = self.life.jobs.page(Page(_EVERYTHING, page.before))
        hidden = self._workspace.fate.hidden((job for _, job in entries), now)
        for sequence, job in entries:
            order = self._orders.find(job.id)
            resource = prediction_job(job, order, now)
            is_here = order.place == _place(request) and job.id not in hidden
            if is_here and matches(resource):
                listed.append((sequence, resource))
        reply: dict[str, Any] = {"batchPredictionJobs": [each for _, each in listed[: page.size]]}
        if len(listed) > page.size:
            reply["nextPageToken"] = page_token(listed[page.size - 1][0])
        return json_reply({name: value for name, value in reply.items() if value})

    def _cancel(self, request: Request) -> Reply:
        decode_nothing(request.body.read(_MOST_BODY_BYTES))
        job, _ = self._found(request)
        self.life.cancel(job.id)
        return json_reply({})

    def _delete(self, request: Request) -> Reply:
        job, order = self._found(request)
        if not job.state:
            text = (
                f"The BatchPredictionJob {order.name} is not in a final state. "
                "Please cancel it and wait until it has ended."
            )
            raise ApiError(Rpc.FAILED_PRECONDITION, text)
        self.life.delete(job.id)
        number = self._number("operation")
        return json_reply(delete_operation(order, number, self._workspace.clock.nanoseconds()))

    def _generate(self, request: Request) -> Reply:
        """The one call that answers at once."""
        model = self._models.named(request["model"])
        if model is None or model.kind != "generate":
            text = f"Publisher Model `publishers/google/models/{request['model']}` was not found."
            raise ApiError(Rpc.NOT_FOUND, text)
        body = decode_generate(request.body.read(self._workspace.limits.inline_bytes))
        try:
            return Reply(200, (dumps_answer(self._answers.response(model, body)),))
        except AnswerError as error:
            raise ApiError(error.code, error.message, error.details) from error


def _place(request: Request) -> str:
    return f"projects/{request['project']}/locations/{request['location']}"
