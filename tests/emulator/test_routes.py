from __future__ import annotations

import logging

import pytest
import requests

from batchkit.emulator import serve

from .client import Client, generate_line, text_request


def test_a_call_without_a_key_is_forbidden_in_googles_words(client: Client) -> None:
    reply = requests.get(f"{client.url}/v1beta/files", timeout=10)
    assert reply.status_code == 403
    error = reply.json()["error"]
    assert error["status"] == "PERMISSION_DENIED"
    assert error["message"].startswith("Method doesn't allow unregistered callers")


def test_a_wrong_key_is_an_invalid_argument_with_its_reason(client: Client) -> None:
    reply = requests.get(
        f"{client.url}/v1beta/files", headers={"x-goog-api-key": "wrong"}, timeout=10
    )
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["message"] == "API key not valid. Please pass a valid API key."
    assert error["details"][0]["reason"] == "API_KEY_INVALID"


def test_the_key_may_be_a_query_parameter(client: Client) -> None:
    reply = requests.get(f"{client.url}/v1beta/files?key=emulator-key", timeout=10)
    assert reply.status_code == 200


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_both_versions_are_served(client: Client, version: str) -> None:
    client.version = version
    assert client.call("GET", "batches") == {}


@pytest.mark.parametrize(
    "path", ["/", "/v1/nothing", "/v2/files", "/v1/models/x:streamGenerateContent", "/v1/a/b/c/d"]
)
def test_anything_else_is_not_found_in_googles_form(client: Client, path: str) -> None:
    reply = client.send("POST", path, json={})
    assert reply.status_code == 404
    assert reply.json()["error"]["status"] == "NOT_FOUND"


def test_an_unknown_query_parameter_is_refused(client: Client) -> None:
    error = client.refused("GET", "files?page=2")
    assert error["message"].startswith(
        'Invalid JSON payload received. Unknown name "page": Cannot bind query parameter.'
    )


def test_what_fails_in_the_emulator_itself_is_a_500_that_says_what(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(kind: str, model: str, request: object) -> dict[str, object]:
        raise LookupError(kind, model, request)

    with serve(answerer=broken) as emulator, caplog.at_level(logging.CRITICAL):
        client = Client(emulator)
        error = client.refused(
            "POST", "models/gemini-3.8-flash:generateContent", json=text_request("x")
        )
        assert error["status"] == "INTERNAL"
        assert "LookupError" in error["message"]
        job = client.create_from_lines([generate_line("a")])
        assert client.refused("GET", job["name"])["code"] == 500
        client.session.close()


def test_googles_own_parameters_are_taken_everywhere(client: Client) -> None:
    query = "alt=json&$alt=json&prettyPrint=false&fields=*&uploadType=x&upload_protocol=y&key=z"
    assert client.call("GET", f"files?{query}") == {}
