from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import Clock, Limits, serve

from .client import MODEL, Client, generate_line, text_request

if TYPE_CHECKING:
    from pathlib import Path


def item(key: str, text: str = "Hello") -> dict[str, Any]:
    return {"request": text_request(text), "metadata": {"key": key}}


def create_refused(client: Client, body: Any, model: str = MODEL) -> dict[str, Any]:
    method = "asyncBatchEmbedContent" if "embedding" in model else "batchGenerateContent"
    return client.refused("POST", f"models/{model}:{method}", json=body)


def test_a_new_job_is_pending_and_its_counters_are_texts_without_zeros(client: Client) -> None:
    name = client.upload_lines([generate_line("a"), generate_line("b")])
    operation = client.create({"file_name": name}, priority="-3")
    assert len(operation["name"].removeprefix("batches/")) == 36
    assert operation == {
        "name": operation["name"],
        "metadata": {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": f"models/{MODEL}",
            "displayName": "test",
            "inputConfig": {"fileName": name},
            "createTime": "2026-01-06T11:09:11.943530000Z",
            "updateTime": "2026-01-06T11:09:11.943530000Z",
            "batchStats": {"requestCount": "2", "pendingRequestCount": "2"},
            "state": "BATCH_STATE_PENDING",
            "priority": "-3",
            "name": operation["name"],
        },
    }


def test_a_finished_job_names_its_output_twice(client: Client) -> None:
    operation = client.get(client.create_from_lines([generate_line("a")]))
    output = {"responsesFile": f"files/batch-{operation['name'].removeprefix('batches/')}"}
    assert operation["done"] is True
    assert operation["metadata"]["output"] == output
    assert operation["metadata"]["endTime"] == "2026-01-06T11:09:11.943530000Z"
    assert operation["metadata"]["batchStats"] == {
        "requestCount": "1",
        "successfulRequestCount": "1",
    }
    assert operation["response"] == {
        "@type": (
            "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatchOutput"
        ),
        **output,
    }


def test_inline_requests_come_back_inline_with_their_metadata(client: Client) -> None:
    operation = client.get(
        client.create_inline([item("a"), item("b"), {"request": item("")["request"]}])
    )
    answers = operation["response"]["inlinedResponses"]["inlinedResponses"]
    assert operation["metadata"]["output"]["inlinedResponses"]["inlinedResponses"] == answers
    assert [answer.get("metadata") for answer in answers] != [{"key": "a"}, {"key": "b"}, None]
    keys = sorted(answer.get("metadata", {}).get("key", "") for answer in answers)
    assert keys == ["", "a", "b"]
    assert all("candidates" in answer["response"] for answer in answers)
    assert "inputConfig" not in operation["metadata"]


def test_metadata_is_any_object(client: Client) -> None:
    metadata = {"key": 17, "nested": {"list": [1, None, "x"], "snake_case": True}}
    operation = client.create_inline([{"request": text_request("x"), "metadata": metadata}])
    (answer,) = client.get(operation)["response"]["inlinedResponses"]["inlinedResponses"]
    assert answer["metadata"] == metadata


def test_lists_leave_inline_responses_out(client: Client) -> None:
    client.create_inline([item("a")])
    (operation,) = client.call("GET", "batches")["operations"]
    assert operation["done"] is True
    assert "output" not in operation["metadata"]
    assert "inlinedResponses" not in operation["response"]


def test_jobs_are_listed_in_pages_newest_first(client: Client) -> None:
    names = [client.create_inline([item("a")])["name"] for _ in range(5)][::-1]
    listed: list[str] = []
    token = ""
    for _ in range(3):
        page = client.call("GET", f"batches?pageSize=2&pageToken={token}")
        listed += [operation["name"] for operation in page["operations"]]
        token = page.get("nextPageToken", "")
    assert listed == names
    assert token == ""


def test_a_job_created_between_two_pages_moves_nothing(client: Client) -> None:
    first, second = [client.create_inline([item("a")])["name"] for _ in range(2)]
    page = client.call("GET", "batches?pageSize=1")
    client.create_inline([item("new")])
    rest = client.call("GET", f"batches?pageSize=1&pageToken={page['nextPageToken']}")
    assert [page["operations"][0]["name"], rest["operations"][0]["name"]] == [second, first]


def test_filters_are_refused(client: Client) -> None:
    assert client.refused("GET", "batches?filter=state%3DX")["code"] == 400
    assert client.call("GET", "batches?filter=&returnPartialSuccess=true") == {}


@pytest.mark.parametrize("method, path", [("GET", ""), ("POST", ":cancel"), ("DELETE", "")])
def test_an_unknown_job_is_not_found(client: Client, method: str, path: str) -> None:
    error = client.refused(method, f"batches/nobody{path}")
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")


def test_a_deleted_job_is_gone_and_its_output_stays(client: Client) -> None:
    operation = client.create_from_lines([generate_line("a")])
    client.output(operation)
    assert client.call("DELETE", operation["name"]) == {}
    assert client.refused("GET", operation["name"])["code"] == 404
    output = f"files/batch-{operation['name'].removeprefix('batches/')}"
    assert client.send("GET", f"/v1beta/{output}:download").status_code == 200


@pytest.mark.parametrize(
    "body, place",
    [
        ({"batch": {"src": {}}}, "Unknown name \"src\" at 'batch'"),
        ({"displayName": "x"}, 'Unknown name "displayName": Cannot find field'),
        ({"batch": {"inputConfig": {"fileName": 5}}}, "'batch.input_config.file_name'"),
        ({"batch": {"inputConfig": {}}}, "must be set exactly once"),
        (
            {"batch": {"inputConfig": {"fileName": "files/a", "requests": {"requests": []}}}},
            "must be set exactly once",
        ),
        ({"batch": {"displayName": "x"}}, "input_config"),
        ({}, "batch is not specified"),
        ({"batch": {"inputConfig": {"requests": {"requests": []}}}}, "is empty"),
        ({"batch": {"inputConfig": {"requests": []}}}, "cannot start list"),
        (
            {"batch": {"inputConfig": {"requests": {"requests": [{"metadata": {}}]}}}},
            "request is not specified",
        ),
        (
            {
                "batch": {
                    "inputConfig": {
                        "requests": {"requests": [{"key": "a", "request": text_request("x")}]}
                    }
                }
            },
            "Unknown name \"key\" at 'batch.input_config.requests.requests[0]'",
        ),
        ({"batch": {"inputConfig": {"fileName": ""}}}, "requests: is empty"),
        ({"batch": {"generationConfig": {}}}, "Unknown name \"generationConfig\" at 'batch'"),
    ],
)
def test_a_body_the_service_does_not_know_is_refused(client: Client, body: Any, place: str) -> None:
    error = create_refused(client, body)
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert place in error["message"]
    assert client.call("GET", "batches") == {}


def test_a_request_for_another_model_is_refused(client: Client) -> None:
    request = {**text_request("x"), "model": "models/gemini-2.5-pro"}
    body = {"batch": {"inputConfig": {"requests": {"requests": [{"request": request}]}}}}
    assert "must be for gemini-3.8-flash" in create_refused(client, body)["message"]


def test_a_display_name_may_be_missing_and_a_webhook_be_there(client: Client) -> None:
    body = {
        "batch": {
            "input_config": {"requests": {"requests": [item("a")]}},
            "webhook_config": {"uris": ["https://x.example"], "user_metadata": {"a": [1]}},
        }
    }
    operation = client.call("POST", f"models/{MODEL}:batchGenerateContent", json=body)
    assert "displayName" not in operation["metadata"]


@pytest.mark.parametrize("file_name", ["files/nobody", "nobody"])
def test_a_file_that_is_not_there_is_refused(client: Client, file_name: str) -> None:
    error = create_refused(client, {"batch": {"inputConfig": {"fileName": file_name}}})
    assert error["code"] == (403 if file_name.startswith("files/") else 400)


def test_an_expired_file_is_refused(client: Client, clock: Clock) -> None:
    name = client.upload_lines([generate_line("a")])
    clock.advance(48 * 3600)
    error = create_refused(client, {"batch": {"inputConfig": {"fileName": name}}})
    assert error["status"] == "PERMISSION_DENIED"


def test_the_input_file_may_be_deleted_once_the_job_exists(
    slow_client: Client, clock: Clock
) -> None:
    name = slow_client.upload_lines([generate_line("a")])
    operation = slow_client.create({"fileName": name})
    slow_client.call("DELETE", name)
    clock.advance(3600)
    assert [line["key"] for line in slow_client.output(operation)] == ["a"]


@pytest.mark.parametrize(
    "model", ["gemini-2.0-flash", "text-embedding-004", "nobody", "gemini-embedding-001"]
)
def test_a_model_without_the_method_is_not_found(client: Client, model: str) -> None:
    body = {"batch": {"inputConfig": {"requests": {"requests": [item("a")]}}}}
    error = client.refused("POST", f"models/{model}:batchGenerateContent", json=body)
    assert error["code"] == 404
    assert error["message"].startswith(
        f"models/{model} is not found for API version v1beta, or is not supported for "
    )


def test_the_wrong_batch_method_for_embeddings_is_not_a_job(client: Client) -> None:
    error = client.refused("POST", f"models/{MODEL}:asyncBatchEmbedContent", json={"batch": {}})
    assert error["code"] == 404


def test_an_inline_body_has_a_largest_size() -> None:
    body = {"batch": {"inputConfig": {"requests": {"requests": [item("a", "x" * 500)]}}}}
    size = len(json.dumps(body))
    for limit, status in [(size, 200), (size - 1, 400)]:
        with serve(limits=Limits(inline_bytes=limit)) as emulator:
            client = Client(emulator)
            path = f"/v1beta/models/{MODEL}:batchGenerateContent"
            reply = client.send("POST", path, data=json.dumps(body))
            assert reply.status_code == status
            client.session.close()


def test_only_so_many_jobs_run_at_once(clock: Clock) -> None:
    limits = Limits(concurrent_jobs=2)
    with serve(clock=clock, job_seconds=60, limits=limits) as emulator:
        client = Client(emulator)
        first = client.create_inline([item("a")])
        client.create_inline([item("b")])
        body = {"batch": {"inputConfig": {"requests": {"requests": [item("c")]}}}}
        error = create_refused(client, body)
        assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
        client.call("POST", f"{first['name']}:cancel")
        client.create_inline([item("c")])
        clock.advance(60)
        client.create_inline([item("d")])
        client.session.close()


def test_embeddings_are_a_job_of_their_own_kind(client: Client) -> None:
    request = {"content": {"parts": [{"text": "1"}]}, "output_dimensionality": 3}
    lines = [{"key": key, "request": request} for key in "ab"]
    operation = client.create_from_lines(lines, model="gemini-embedding-001")
    assert operation["metadata"]["@type"].endswith(".EmbedContentBatch")
    for line in client.output(operation):
        assert list(line) == ["response", "key"]
        assert line["response"]["tokenCount"] == "1"
        assert len(line["response"]["embedding"]["values"]) == 3


def test_a_tuned_model_must_be_known() -> None:
    with serve(models=["tunedModels/mine", "house-model"]) as emulator:
        client = Client(emulator)
        body = {"batch": {"inputConfig": {"requests": {"requests": [item("a")]}}}}
        operation = client.call("POST", "tunedModels/mine:batchGenerateContent", json=body)
        assert operation["metadata"]["model"] == "tunedModels/mine"
        assert client.state(operation) == "SUCCEEDED"
        assert client.call("POST", "models/house-model:batchGenerateContent", json=body)
        assert (
            client.refused("POST", "tunedModels/other:batchGenerateContent", json=body)["code"]
            == 404
        )
        client.session.close()


def test_a_nul_is_a_character_like_any_other(client: Client) -> None:
    item = {"request": text_request("a\0b"), "metadata": {"key": "\0", "\0": "[\0]"}}
    operation = client.create({"requests": {"requests": [item]}}, displayName="a\0[\0]")
    operation = client.get(operation)
    (answer,) = operation["response"]["inlinedResponses"]["inlinedResponses"]
    assert operation["metadata"]["displayName"] == "a\0[\0]"
    assert answer["metadata"] == item["metadata"]
    assert "a\0b" in answer["response"]["candidates"][0]["content"]["parts"][0]["text"]


def test_a_job_that_is_refused_leaves_nothing_on_disk(tmp_path: Path) -> None:
    limits = Limits(concurrent_jobs=0)
    with serve(folder=tmp_path, limits=limits, job_seconds=60) as emulator:
        client = Client(emulator)
        name = client.upload_lines([generate_line("a")])
        kept = {path.name for path in (tmp_path / "blobs").iterdir()}
        for source in ({"fileName": name}, {"requests": {"requests": [item("a")]}}):
            error = create_refused(client, {"batch": {"inputConfig": source}})
            assert error["status"] == "RESOURCE_EXHAUSTED"
        assert {path.name for path in (tmp_path / "blobs").iterdir()} == kept
        client.session.close()


def test_many_inline_vectors_are_not_held_in_memory(client: Client) -> None:
    items = [{"request": {"content": {"parts": [{"text": str(n)}]}}} for n in range(300)]
    operation = client.create_inline(items, model="gemini-embedding-001")
    client.state(operation)
    tracemalloc.start()
    reply = client.send("GET", f"/v1beta/{operation['name']}", stream=True)
    length = sum(len(piece) for piece in reply.iter_content(1 << 16))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length == int(reply.headers["Content-Length"])
    assert peak < length / 20
