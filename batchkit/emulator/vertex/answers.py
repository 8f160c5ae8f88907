"""A row's answer: its request is read, answered, and given the form of the output."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from batchkit.emulator.answering import Answering
from batchkit.emulator.blemishes import spoilt
from batchkit.emulator.errors import AnswerError, Rpc, http_status, status_name
from batchkit.emulator.models import is_legacy
from batchkit.emulator.tokens import text_tokens
from batchkit.emulator.vertex.echoes import echo_line
from batchkit.emulator.vertex.messages import decode_request

if TYPE_CHECKING:
    from batchkit.emulator.answering import Answerer
    from batchkit.emulator.faults import RowFault
    from batchkit.emulator.models import Model
    from batchkit.emulator.rows import Row
    from batchkit.emulator.vertex.quirks import Quirks

__all__ = ["Answer", "AnsweredRow", "Answers"]

_GEMINI_HOST = "generativelanguage.googleapis.com"
_TEXT_OPTIONS = ("title", "task_type", "outputDimensionality", "output_dimensionality")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a row: a response, or else a status that is not empty."""

    response: Any
    status: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """A row with its number as it is written: under this name, with this answer and this fault."""

    number: int
    row: Row
    answer: Answer
    fault: RowFault | None


class Answers:
    """Answers the rows of one emulator's jobs."""

    def __init__(self, answerer: Answerer, quirks: Quirks) -> None:
        self.quirks: Quirks = quirks
        self._answering = Answering(answerer, _check_uri)

    def answer(self, model: Model, row: Row, fault: RowFault | None = None) -> Answer:
        """The response to a row, as its fault makes it, or why there is none."""
        try:
            return Answer(spoilt(fault, self.response(model, row.request)))
        except AnswerError as error:
            return Answer({}, _status(error))

    def response(self, model: Model, request: dict[str, Any]) -> dict[str, Any]:
        """The response to a request as it was sent; AnswerError when it is refused."""
        if is_legacy(model.name):
            return self._prediction(model, request)
        message = decode_request(model.kind, request)
        if model.kind == "embed":
            message |= message.pop("embedContentConfig", {})
            if self.quirks.ignores_dimensions:
                message.pop("outputDimensionality", None)
        return self._answering(model, message)

    def line(self, model: Model, row: Row, answer: Answer, moment: str) -> dict[str, Any]:
        """A row's line of output, processed at a moment."""
        if is_legacy(model.name):
            predictions = [answer.response] if answer.response else []
            return {"instance": row.request, "predictions": predictions, "status": answer.status}
        given = {"status": answer.status, "response": answer.response, "processed_time": moment}
        if "key" in row.tag and (model.kind == "embed" or self.quirks.echoes_key):
            given = {"key": row.tag["key"], **given}
        return echo_line(self.quirks, row.request, given)

    def _prediction(self, model: Model, instance: dict[str, Any]) -> dict[str, Any]:
        """https://docs.cloud.google.com/vertex-ai/generative-ai/docs/embeddings/batch-prediction-genai-embeddings."""
        text = instance.get("content")
        if not isinstance(text, str) or not text:
            message = "The text content is empty."
            raise AnswerError(Rpc.INVALID_ARGUMENT, message)
        options = {name: instance[name] for name in _TEXT_OPTIONS if name in instance}
        message = decode_request("embed", {"content": {"parts": [{"text": text}]}, **options})
        if self.quirks.ignores_dimensions:
            message.pop("outputDimensionality", None)
        response = self._answering(model, message)
        count = text_tokens(text)
        statistics = {
            "token_count": min(count, model.input_tokens),
            "truncated": count > model.input_tokens,
        }
        values = response["embedding"]["values"]
        return {"embeddings": {"statistics": statistics, "values": values}}


def _status(error: AnswerError) -> str:
    """The failure of a row, as in the service's output: the HTTP reason, and the body as JSON."""
    code = http_status(error.code)
    body: dict[str, Any] = {
        "code": code,
        "message": error.message,
        "status": status_name(error.code),
        **({"details": list(error.details)} if error.details else {}),
    }
    reasons = {status.value: status.phrase for status in HTTPStatus}
    return f"{reasons.get(code, 'Error')}: {json.dumps({'error': body})}"


def _check_uri(uri: str) -> None:
    """AnswerError for a file that this service does not read: another service's, or no address."""
    parts = urlsplit(uri)
    if parts.scheme not in {"gs", "http", "https"} or parts.hostname == _GEMINI_HOST:
        text = f"Invalid file URI: {uri}. It must be a Cloud Storage URI or a public address."
        raise AnswerError(Rpc.INVALID_ARGUMENT, text)
