from __future__ import annotations

import logging
import pickle
import socket
import time
from typing import Any

import pytest
import requests

from batchkit.errors import (
    InvalidRequestError,
    NotAuthorisedError,
    NotFoundError,
    RateLimitedError,
    ServiceError,
    ServiceFailureError,
    TooLargeError,
)
from batchkit.transport import Call, Retries, Transport
from tests.scripted import NO_REPLY, Asked, Said, Scripted, scripted

QUICK = Retries(first_seconds=0.01, longest_seconds=0.02, total_seconds=1)
GET = Call("batches.get", "GET", "/v1beta/batches/b1")
CREATE = Call("batches.create", "POST", "/v1beta/models/m:x", {"batch": {}}, repeatable=False)
# https://github.com/vercel/ai, packages/google/src/__fixtures__/google-429-retry-info.json
QUOTA_BODY: dict[str, Any] = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota, please check your plan.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"},
        ],
    }
}
# What the service says to a key that is wrong or has expired: 400, not 401
KEY_BODY: dict[str, Any] = {
    "error": {
        "code": 400,
        "message": "API key expired. Please renew the API key.",
        "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
        ],
    }
}


def error_body(code: int, status: str, message: str = "said by the service") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status}}


def transport_to(server: Scripted, **options: Any) -> Transport:
    return Transport(requests.Session(), server.url, **{"retries": QUICK} | options)


def refused(*said: Said, call: Call = CREATE) -> ServiceError:
    """The error of a call that is sent once."""
    with scripted(*said) as server, pytest.raises(ServiceError) as caught:
        transport_to(server).json(call)
    return caught.value


def label(said: Said) -> str:
    return f"{said.status}-{len(said.content)}-{said.sent_bytes}"


def paths(server: Scripted) -> list[str]:
    return [f"{asked.method} {asked.path}" for asked in server.asked]


def test_a_call_sends_its_json_and_returns_the_object_that_answers() -> None:
    with scripted(Said(body={"name": "batches/b1"})) as server:
        call = Call(
            "x", "POST", "/v1beta/x", {"text": "žluťoučký"}, {"pageSize": 2}, {"X-Extra": "1"}
        )
        assert transport_to(server).json(call) == {"name": "batches/b1"}
        (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1beta/x?pageSize=2")
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-extra"] == "1"
    assert asked.body == '{"text":"žluťoučký"}'.encode()


def test_a_call_without_a_body_sends_none() -> None:
    with scripted(Said()) as server:
        transport_to(server).json(GET)
        (asked,) = server.asked
    assert asked.body == b""
    assert "content-type" not in asked.headers


def test_a_slash_at_the_end_of_the_base_address_is_not_doubled() -> None:
    with scripted(Said()) as server:
        transport = Transport(requests.Session(), f"{server.url}/proxy/")
        transport.json(GET)
        assert paths(server) == ["GET /proxy/v1beta/batches/b1"]
    assert repr(transport) == f"Transport('{server.url}/proxy')"


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_answer_is_an_empty_object(body: bytes) -> None:
    with scripted(Said(body=body)) as server:
        assert transport_to(server).json(GET) == {}


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[]", b"3", b'{"cut', b'{"a": NaN}'])
def test_an_answer_that_is_no_json_object_is_a_failure_of_the_service(body: bytes) -> None:
    error = refused(Said(body=body))
    assert type(error) is ServiceFailureError
    assert (error.status, error.reason) == (200, "BAD_ANSWER")
    assert str(error).startswith(
        "batches.create: 200 BAD_ANSWER: the answer is not a JSON object\n"
    )


@pytest.mark.parametrize(
    "status, name, kind",
    [
        (400, "INVALID_ARGUMENT", InvalidRequestError),
        (400, "FAILED_PRECONDITION", InvalidRequestError),
        (401, "UNAUTHENTICATED", NotAuthorisedError),
        (403, "PERMISSION_DENIED", NotAuthorisedError),
        (404, "NOT_FOUND", NotFoundError),
        (408, "DEADLINE_EXCEEDED", ServiceFailureError),
        (409, "ABORTED", ServiceFailureError),
        (413, "TOO_LARGE", TooLargeError),
        (416, "OUT_OF_RANGE", ServiceError),
        (429, "RESOURCE_EXHAUSTED", RateLimitedError),
        (499, "CANCELLED", ServiceError),
        (500, "INTERNAL", ServiceFailureError),
        (502, "UNAVAILABLE", ServiceFailureError),
        (503, "UNAVAILABLE", ServiceFailureError),
        (504, "DEADLINE_EXCEEDED", ServiceFailureError),
    ],
)
def test_each_status_has_its_error_with_what_the_service_said(
    status: int, name: str, kind: type[ServiceError]
) -> None:
    error = refused(Said(status, error_body(status, name)))
    assert type(error) is kind
    assert (error.status, error.reason, error.message) == (status, name, "said by the service")
    assert error.details == ()
    assert error.operation == "batches.create"
    assert str(error).startswith(f"batches.create: {status} {name}: said by the service")


@pytest.mark.parametrize("status, reason", [(400, "INVALID_ARGUMENT"), (413, "TOO_LARGE")])
@pytest.mark.parametrize("body", [b"<html>no</html>", b"", b'"text"', b"[]", b'{"error": "no"}'])
def test_an_error_that_is_not_googles_json_keeps_its_status(
    status: int, reason: str, body: bytes
) -> None:
    error = refused(Said(status, body))
    assert (error.status, error.reason) == (status, reason)
    assert error.message in {"Bad Request", "Request Entity Too Large"}


def test_an_error_wrapped_in_a_list_is_read() -> None:
    error = refused(Said(404, [error_body(404, "NOT_FOUND", "models/m is not found")]))
    assert type(error) is NotFoundError
    assert (error.reason, error.message) == ("NOT_FOUND", "models/m is not found")


def test_an_error_without_a_body_is_named_by_its_status() -> None:
    error = refused(Said(503, b""))
    assert (error.reason, error.message) == ("UNAVAILABLE", "Service Unavailable")


def test_the_reason_among_the_details_is_the_more_exact_one() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}]
    body = error_body(403, "PERMISSION_DENIED")
    body["error"]["details"] = [*details, "not an object"]
    error = refused(Said(403, body))
    assert error.reason == "SERVICE_DISABLED"
    assert list(error.details) == details


def test_the_published_quota_error_says_how_long_to_wait() -> None:
    error = refused(Said(429, QUOTA_BODY))
    assert isinstance(error, RateLimitedError)
    assert (error.status, error.reason) == (429, "RESOURCE_EXHAUSTED")
    assert error.message == "You exceeded your current quota, please check your plan."
    assert list(error.details) == QUOTA_BODY["error"]["details"]
    assert error.retry_after == 34.4
    assert str(error).endswith("\n  the service asks to wait 34.4 s")


def test_a_full_room_for_files_is_not_waited_for() -> None:
    """The service asks to wait for ever: https://github.com/googleapis/python-genai/issues/1172."""
    metric = "generativelanguage.googleapis.com/file_storage_bytes"
    quota = {"quotaMetric": metric, "quotaId": "FileStorageBytesPerProject"}
    body = error_body(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.")
    body["error"]["details"] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9223372036854775807s"},
    ]
    with scripted(Said(429, body)) as server:
        with pytest.raises(TooLargeError, match="the room for uploaded files is full") as caught:
            server.client().files.list()
        assert len(server.asked) == 1
    assert (caught.value.status, caught.value.reason) == (429, "RESOURCE_EXHAUSTED")
    assert "`batchkit clean RUN`" in str(caught.value)


@pytest.mark.parametrize(
    "headers, seconds",
    [({"Retry-After": "7"}, 7.0), ({}, None), ({"Retry-After": "Wed, 21 Oct 2026 07:28:00"}, None)],
)
def test_a_quota_error_without_retry_info_goes_by_the_header(
    headers: dict[str, str], seconds: float | None
) -> None:
    error = refused(Said(429, error_body(429, "RESOURCE_EXHAUSTED"), headers))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == seconds


def test_a_bad_key_is_answered_with_400_and_is_no_bad_request() -> None:
    error = refused(Said(400, KEY_BODY))
    assert type(error) is NotAuthorisedError
    assert (error.status, error.reason) == (400, "API_KEY_INVALID")
    assert "check the API key" in str(error)


def test_a_refused_connection_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = Transport(requests.Session(), f"http://127.0.0.1:{port}", retries=QUICK)
    with pytest.raises(ServiceFailureError) as caught:
        transport.json(CREATE)
    assert (caught.value.status, caught.value.reason) == (0, "CONNECTION")
    assert str(caught.value).startswith(
        "batches.create: CONNECTION: no answer from the service (ConnectionError)"
    )


def test_a_service_that_takes_too_long_is_no_answer() -> None:
    with scripted(Said(pause_seconds=0.5)) as server:
        transport = transport_to(server, timeout=(5.0, 0.05))
        with pytest.raises(ServiceFailureError, match=r"no answer from the service \(ReadTimeout"):
            transport.json(CREATE)


@pytest.mark.parametrize("said", [Said(NO_REPLY), Said(body={"a": "b"}, sent_bytes=4)])
def test_a_reply_that_is_cut_is_no_answer(said: Said) -> None:
    error = refused(said)
    assert (error.status, error.reason) == (0, "CONNECTION")


FAILURES = [
    Said(NO_REPLY),
    Said(body={"a": "b"}, sent_bytes=4),
    Said(body=b"not JSON"),
    Said(400, error_body(400, "INVALID_ARGUMENT")),
    Said(401, error_body(401, "UNAUTHENTICATED")),
    Said(408, b""),
    Said(429, error_body(429, "RESOURCE_EXHAUSTED")),
    Said(500, b""),
    Said(503, b"", {"Retry-After": "0"}),
    Said(302, b"", {"Location": "/elsewhere"}),
    Said(307, b"", {"Location": "/elsewhere"}),
    Said(308, b"", {"Location": "/elsewhere"}),
]


@pytest.mark.parametrize("failure", FAILURES, ids=label)
def test_a_call_that_may_not_repeat_is_sent_once_whatever_happens(failure: Said) -> None:
    with scripted(failure, Said()) as server:
        with pytest.raises(ServiceError):
            server.client().batches.create("m", inlined_requests=["Hello"])
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "failure",
    [
        Said(NO_REPLY),
        Said(body={"a": "b"}, sent_bytes=4),
        Said(408, b""),
        Said(429, error_body(429, "RESOURCE_EXHAUSTED")),
        Said(500, b""),
        Said(503, b"busy"),
    ],
    ids=label,
)
def test_a_call_that_may_repeat_is_sent_until_it_is_answered(failure: Said) -> None:
    with scripted(failure, failure, failure, Said(body={"name": "b1"})) as server:
        assert transport_to(server).json(GET) == {"name": "b1"}
        assert paths(server) == ["GET /v1beta/batches/b1"] * 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 416])
def test_a_refusal_is_not_repeated(status: int) -> None:
    with scripted(Said(status, b""), Said()) as server:
        with pytest.raises(ServiceError):
            transport_to(server).json(GET)
        assert len(server.asked) == 1


def test_the_last_error_is_raised_when_the_time_to_retry_is_over() -> None:
    retries = Retries(first_seconds=0.01, longest_seconds=0.02, total_seconds=0.2)
    with scripted(Said(500, b""), Said(503, error_body(503, "UNAVAILABLE", "later"))) as server:
        began = time.monotonic()
        with pytest.raises(ServiceFailureError, match="503 UNAVAILABLE: later"):
            transport_to(server, retries=retries).json(GET)
        assert time.monotonic() - began < 0.5
        assert len(server.asked) > 3


def quota_error(seconds: float) -> Said:
    body = error_body(429, "RESOURCE_EXHAUSTED")
    retry_info = "type.googleapis.com/google.rpc.RetryInfo"
    body["error"]["details"] = [{"@type": retry_info, "retryDelay": f"{seconds}s"}]
    return Said(429, body)


@pytest.mark.parametrize(
    "said", [quota_error(0.2), Said(429, b"", {"Retry-After": "0.2"})], ids=["body", "header"]
)
def test_a_wait_the_service_asks_for_is_kept(said: Said) -> None:
    with scripted(said, Said()) as server:
        began = time.monotonic()
        transport_to(server).json(GET)
        assert time.monotonic() - began >= 0.2
        assert len(server.asked) == 2


def test_a_wait_beyond_the_time_to_retry_is_not_begun() -> None:
    with scripted(Said(429, QUOTA_BODY)) as server:
        began = time.monotonic()
        with pytest.raises(RateLimitedError):
            transport_to(server).json(GET)
        assert time.monotonic() - began < 0.5
        assert len(server.asked) == 1


def test_back_off_doubles_up_to_the_longest_wait() -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ServiceFailureError(503, "UNAVAILABLE", "later")

    retries = Retries(first_seconds=0.01, longest_seconds=0.05, total_seconds=0.6)
    with pytest.raises(ServiceFailureError):
        retries.run(fail)
    # Full jitter: waits of 25 ms on average make 25 calls; those that never grow make 120, those
    # that grow for ever 7.
    assert 10 <= len(calls) <= 60


def test_an_error_that_is_no_service_error_is_not_repeated() -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # any of them will do
        QUICK.run(fail)
    assert calls == [1]


def test_a_redirect_within_the_service_is_followed_for_a_read() -> None:
    with scripted(Said(302, b"", {"Location": "/v1beta/moved"}), Said(body={"a": 1})) as server:
        assert server.client().batches.get("b1").content == {"a": 1}
        assert paths(server) == ["GET /v1beta/batches/b1", "GET /v1beta/moved"]
        assert all("x-goog-api-key" in asked.headers for asked in server.asked)


def test_a_key_does_not_follow_a_redirect_to_another_host() -> None:
    with scripted(Said()) as other:
        elsewhere = {"Location": f"{other.url}/v1beta/batches/b1"}
        with scripted(Said(302, b"", elsewhere)) as server, pytest.raises(ServiceError) as caught:
            server.client().batches.get("b1")
        assert other.asked == []
    assert caught.value.status == 302


def test_a_circle_of_redirects_ends() -> None:
    with scripted(Said(302, b"", {"Location": "/v1beta/again"})) as server:
        with pytest.raises(ServiceError):
            server.client().batches.get("b1")
        assert len(server.asked) < 20


def test_the_key_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for failure in FAILURES:
            with scripted(failure) as server, pytest.raises(ServiceError) as caught:
                server.client().batches.create("m", inlined_requests=["Hello"])
            said += [str(caught.value), repr(caught.value), repr(vars(caught.value))]
    assert server.asked[0].headers["x-goog-api-key"] == "secret-key-of-a-test"
    assert caplog.text
    assert not any("secret-key" in text for text in [*said, caplog.text])
    assert not any("secret-key" in repr(vars(record)) for record in caplog.records)


def test_an_error_survives_pickling() -> None:
    error = refused(Said(429, QUOTA_BODY))
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    assert type(copy) is RateLimitedError
    assert (str(copy), copy.retry_after, copy.details) == (str(error), 34.4, error.details)


def test_a_reply_can_be_streamed() -> None:
    with scripted(Said(body=b"x" * 1000)) as server:
        response = transport_to(server).send(GET, stream=True)
        assert b"".join(response.iter_content(100)) == b"x" * 1000


def test_an_error_of_a_streamed_call_is_read() -> None:
    def answer(asked: Asked) -> Said:
        return Said(404, error_body(404, "NOT_FOUND", f"no {asked.path}"))

    with scripted(answer) as server, pytest.raises(NotFoundError, match="no /v1beta/batches/b1"):
        transport_to(server).send(GET, stream=True)
