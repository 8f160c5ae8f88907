from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .client import Client, generate_line

if TYPE_CHECKING:
    from batchkit.emulator import Clock, Emulator


@pytest.fixture
def output(client: Client) -> str:
    """The name of a job's output file."""
    operation = client.get(client.create_from_lines([generate_line(str(n)) for n in range(3)]))
    return operation["response"]["responsesFile"]


def test_a_file_has_the_published_fields(client: Client) -> None:
    file = client.upload(b"x\n", display_name="name")
    assert file == client.call("GET", file["name"])
    assert file == {
        "name": file["name"],
        "displayName": "name",
        "mimeType": "application/jsonl",
        "sizeBytes": "2",
        "createTime": "2026-01-06T11:09:11.943530000Z",
        "updateTime": "2026-01-06T11:09:11.943530000Z",
        "expirationTime": "2026-01-08T11:09:11.943530000Z",
        "sha256Hash": file["sha256Hash"],
        "uri": f"{client.url}/v1beta/{file['name']}",
        "state": "ACTIVE",
        "source": "UPLOADED",
    }


def test_files_are_listed_in_pages_newest_first(client: Client) -> None:
    names = [client.upload(b"x")["name"] for _ in range(12)][::-1]
    pages = [client.call("GET", "files?pageSize=5")]
    while "nextPageToken" in pages[-1]:
        token = pages[-1]["nextPageToken"]
        pages.append(client.call("GET", f"files?page_size=5&pageToken={token}"))
    assert [len(page["files"]) for page in pages] == [5, 5, 2]
    assert [file["name"] for page in pages for file in page["files"]] == names
    assert len(client.call("GET", "files")["files"]) == 10


@pytest.mark.parametrize("query", ["pageSize=x", "pageSize=-1", "pageToken=%%%", "pageToken=YQ"])
def test_a_page_that_cannot_be_is_refused(client: Client, query: str) -> None:
    assert client.refused("GET", f"files?{query}")["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_file_that_is_not_there_is_forbidden_in_googles_words(
    client: Client, method: str
) -> None:
    error = client.refused(method, "files/nobody")
    assert error["status"] == "PERMISSION_DENIED"
    assert error["message"] == (
        "You do not have permission to access the File nobody or it may not exist."
    )


def test_a_deleted_file_is_gone(client: Client) -> None:
    name = client.upload(b"x")["name"]
    assert client.call("DELETE", name) == {}
    assert client.refused("GET", name)["code"] == 403
    assert client.call("GET", "files") == {}


def test_a_file_lives_48_hours(emulator: Emulator, client: Client, clock: Clock) -> None:
    name = client.upload(b"x")["name"]
    clock.advance(48 * 3600 - 1)
    assert client.call("GET", name)["state"] == "ACTIVE"
    clock.advance(1)
    assert client.refused("GET", name)["code"] == 403
    assert client.call("GET", "files") == {}
    assert emulator.stats()["bytes"] == 0


def test_an_expired_id_can_be_used_again(client: Client, clock: Clock) -> None:
    client.upload(b"x", name="mine")
    clock.advance(48 * 3600)
    assert client.upload(b"y", name="mine")["name"] == "files/mine"


@pytest.mark.parametrize("method, request_type", [("GET", "Get"), ("DELETE", "Delete")])
def test_an_output_file_has_an_id_too_long_to_be_asked_for(
    client: Client, output: str, method: str, request_type: str
) -> None:
    assert len(output.removeprefix("files/batch-")) == 36
    error = client.refused(method, output)
    assert error["code"] == 400
    assert error["message"] == (
        f"* {request_type}FileRequest.name: File ID (name excluding 'files/') cannot be more than "
        "40 characters.\n"
    )


@pytest.mark.parametrize("prefix", ["", "/download"])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_an_output_file_is_downloaded_under_both_addresses(
    client: Client, output: str, prefix: str, version: str
) -> None:
    reply = client.send("GET", f"{prefix}/{version}/{output}:download?alt=media")
    lines = reply.content.split(b"\n")
    assert lines.pop() == b""
    assert {json.loads(line)["key"] for line in lines} == {"0", "1", "2"}


def test_an_output_file_is_listed_as_generated(client: Client, output: str) -> None:
    (file, _) = client.call("GET", "files")["files"]
    assert (file["name"], file["source"]) == (output, "GENERATED")
    assert file["downloadUri"] == f"{client.url}/v1beta/{output}:download?alt=media"


def test_an_uploaded_file_cannot_be_downloaded(client: Client) -> None:
    name = client.upload(b"x")["name"]
    assert client.refused("GET", f"{name}:download?alt=media")["code"] == 400


@pytest.mark.parametrize(
    "header, wanted",
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=10-", slice(10, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=5-999999999", slice(5, None)),
        ("bytes=-999999999", slice(0, None)),
    ],
)
def test_a_range_is_sent_alone(client: Client, output: str, header: str, wanted: slice) -> None:
    path = f"/v1beta/{output}:download?alt=media"
    whole = client.send("GET", path).content
    reply = client.send("GET", path, headers={"Range": header})
    assert reply.status_code == 206
    assert reply.content == whole[wanted]
    start = wanted.indices(len(whole))[0]
    assert reply.headers["Content-Range"].startswith(f"bytes {start}-")


@pytest.mark.parametrize("header", ["bytes=999999999-", "bytes=-0"])
def test_a_range_outside_the_file_is_not_satisfiable(
    client: Client, output: str, header: str
) -> None:
    path = f"/v1beta/{output}:download?alt=media"
    assert client.send("GET", path, headers={"Range": header}).status_code == 416


@pytest.mark.parametrize("header", ["bytes=-", "lines=1-2", "bytes=0-1,4-5"])
def test_a_range_in_another_form_is_ignored(client: Client, output: str, header: str) -> None:
    path = f"/v1beta/{output}:download?alt=media"
    assert client.send("GET", path, headers={"Range": header}).status_code == 200


def test_an_output_file_expires(client: Client, clock: Clock, output: str) -> None:
    clock.advance(48 * 3600)
    assert client.refused("GET", f"{output}:download?alt=media")["code"] == 403
