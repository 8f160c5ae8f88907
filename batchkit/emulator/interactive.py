"""The calls that answer at once: generateContent, embedContent, batchEmbedContents, countTokens.

https://ai.google.dev/api/generate-content, https://ai.google.dev/api/embeddings and
https://ai.google.dev/api/tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchkit.emulator.answering import Answering, dumps_answer
from batchkit.emulator.errors import AnswerError, ApiError, Rpc
from batchkit.emulator.exchange import Reply, Request, json_reply
from batchkit.emulator.messages import decode_body
from batchkit.emulator.routes import Route
from batchkit.emulator.tokens import content_tokens, request_tokens

if TYPE_CHECKING:
    from batchkit.emulator.models import Model, Models
    from batchkit.emulator.workspace import Workspace

__all__ = ["Interactive"]

_TABLES = "CREATE TABLE IF NOT EXISTS calls (method TEXT PRIMARY KEY, times INTEGER NOT NULL);"
_OWNERS = ("models/{model}", "tunedModels/{tuned}")


class Interactive:
    """The interactive calls of one emulator, and how many of each were answered."""

    def __init__(self, workspace: Workspace, models: Models, answering: Answering) -> None:
        self._workspace = workspace
        self._models = models
        self._answering = answering
        workspace.state.define(_TABLES)

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        handlers = {
            "generateContent": self._generate,
            "embedContent": self._embed,
            "batchEmbedContents": self._embed_several,
            "countTokens": self._count_tokens,
        }
        return tuple(
            Route("POST", f"/{{version}}/{owner}:{method}", handler)
            for owner in _OWNERS
            for method, handler in handlers.items()
        )

    def calls(self) -> dict[str, int]:
        """How often each method was answered."""
        return dict(self._workspace.state.rows("SELECT * FROM calls"))

    def _generate(self, request: Request) -> Reply:
        model, body = self._asked(request, "generateContent", "GenerateContentRequest")
        response = self._answer(model, body)
        self._count(model, "generateContent")
        return _answer_reply(response)

    def _embed(self, request: Request) -> Reply:
        model, body = self._asked(request, "embedContent", "EmbedContentRequest")
        response = self._answer(model, body)
        self._count(model, "embedContent")
        return _answer_reply(_without_count(response) | _usage([body]))

    def _embed_several(self, request: Request) -> Reply:
        model, body = self._asked(request, "batchEmbedContents", "BatchEmbedContentsRequest")
        requests: list[dict[str, Any]] = body.get("requests", [])
        if not requests:
            raise ApiError(Rpc.INVALID_ARGUMENT, "* BatchEmbedContentsRequest.requests: is empty\n")
        embeddings = [self._answer(model, each).get("embedding") for each in requests]
        self._count(model, "batchEmbedContents")
        return _answer_reply({"embeddings": embeddings} | _usage(requests))

    def _count_tokens(self, request: Request) -> Reply:
        _, body = self._asked(request, "countTokens", "CountTokensRequest")
        if ("contents" in body) == ("generateContentRequest" in body):
            text = "* CountTokensRequest: set either contents or generate_content_request\n"
            raise ApiError(Rpc.INVALID_ARGUMENT, text)
        count = request_tokens(body.get("generateContentRequest", body))
        details = [{"modality": "TEXT", "tokenCount": count}]
        return json_reply({"totalTokens": count, "promptTokensDetails": details})

    def _asked(self, request: Request, method: str, type_name: str) -> tuple[Model, dict[str, Any]]:
        model = self._models.requested(request, method)
        text = request.body.read(self._workspace.limits.inline_bytes)
        return model, decode_body(type_name, text)

    def _answer(self, model: Model, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._answering(model, body)
        except AnswerError as error:
            raise ApiError(error.code, error.message, error.details) from error

    def _count(self, model: Model, method: str) -> None:
        with self._workspace.state.transaction() as database:
            database.execute(
                "INSERT INTO calls VALUES (?, 1) "
                "ON CONFLICT (method) DO UPDATE SET times = times + 1",
                [method],
            )
        self._workspace.effect("call.answered", f"models/{model.name}:{method}")


def _answer_reply(response: dict[str, Any]) -> Reply:
    return Reply(200, (dumps_answer(response),))


def _without_count(response: dict[str, Any]) -> dict[str, Any]:
    """`tokenCount` is of batch output lines only."""
    return {name: value for name, value in response.items() if name != "tokenCount"}


def _usage(requests: list[dict[str, Any]]) -> dict[str, Any]:
    count = sum(content_tokens(request["content"]) for request in requests)
    return {"usageMetadata": {"promptTokenCount": count}} if count else {}
