from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.emulator import Clock, serve
from batchkit.errors import (
    InvalidRequestError,
    NotAuthorisedError,
    ServiceError,
    WaitTimeoutError,
)
from batchkit.service.files import File, FileList
from tests.cut_line import cut_line
from tests.scripted import Said, scripted

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.emulator import Emulator
    from tests.conftest import Service

QUICK = bk.Retries(first_seconds=0.001, longest_seconds=0.02, total_seconds=1)
MODEL = "gemini-3.8-flash"
ROWS = 3000
# https://github.com/google-gemini/cookbook/blob/f1e7e3de/quickstarts/Batch_mode.ipynb, cell 42,
# a repr of the SDK's as the REST resource
COOKBOOK_FILE: dict[str, Any] = {
    "name": "files/t5snrshrqff1",
    "mimeType": "jsonl",
    "sizeBytes": "202",
    "createTime": "2025-09-10T13:37:39.328452Z",
    "expirationTime": "2025-09-12T13:37:39.053649Z",
    "updateTime": "2025-09-10T13:37:39.328452Z",
    "sha256Hash": (
        "NTk3Yjk2ZTVjN2QyYjBkMDFhY2RjODBkZDBiY2Q2NTNkYTA5OWJiMjZkODEwNmIxMmQ4NzBlZGFkZjI4MzdmYw=="
    ),
    "uri": "https://generativelanguage.googleapis.com/v1beta/files/t5snrshrqff1",
    "state": "ACTIVE",
    "source": "UPLOADED",
}


def line(key: str, text: str = "Hello") -> bytes:
    request = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return json.dumps({"key": key, "request": request}).encode() + b"\n"


def output_of(client: bk.Gemini, rows: int = ROWS) -> str:
    """The name of a job's output file."""
    name = client.files.upload(b"".join(line(str(n), "word " * 20) for n in range(rows))).name
    job = client.batches.wait(client.batches.create(MODEL, file_name=name), poll_interval=0)
    return job.destination.file_name or ""


def through(emulator: Emulator, url: str) -> bk.Gemini:
    return bk.Gemini(emulator.api_key, base_url=url, retries=QUICK)


def keys_in(path: Path) -> set[str]:
    return {json.loads(text)["key"] for text in path.read_bytes().split(b"\n")[:-1]}


def test_a_path_is_uploaded(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(line("a"))
    file = service.client.files.upload(path, display_name="my requests")
    assert file.name.startswith("files/")
    assert (file.display_name, file.mime_type) == ("my requests", "application/jsonl")
    assert (file.bytes, file.source) == (len(line("a")), "UPLOADED")
    assert file.sha256 == hashlib.sha256(line("a")).hexdigest()
    assert file.is_active
    assert service.client.files.upload(str(path)).bytes == file.bytes


def test_bytes_and_an_open_file_are_uploaded_whole(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"0123456789")
    with path.open("rb") as stream:
        stream.seek(4)  # where it stands does not matter
        from_file = service.client.files.upload(stream)
    from_bytes = service.client.files.upload(b"0123456789")
    from_buffer = service.client.files.upload(io.BytesIO(b"0123456789"))
    digest = hashlib.sha256(b"0123456789").hexdigest()
    assert [file.sha256 for file in (from_file, from_bytes, from_buffer)] == [digest] * 3


def test_an_empty_file_is_uploaded(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.touch()
    assert service.client.files.upload(path).bytes == 0


@pytest.mark.parametrize(
    "name, mime_type",
    [
        ("a.jsonl", "application/jsonl"),
        ("a.ndjson", "application/jsonl"),
        ("a.json", "application/json"),
        ("A.JSONL", "application/jsonl"),
        ("a.bin", "application/octet-stream"),
        ("jsonl", "application/octet-stream"),
    ],
)
def test_the_ending_of_a_name_decides_the_type(
    service: Service, tmp_path: Path, name: str, mime_type: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    assert service.client.files.upload(path).mime_type == mime_type
    assert service.client.files.upload(path, mime_type="text/plain").mime_type == "text/plain"


def test_bytes_have_no_ending() -> None:
    with serve() as emulator:
        files = through(emulator, emulator.url).files
        assert files.upload(b"x").mime_type == "application/octet-stream"
        assert files.upload(b"x", mime_type="application/jsonl").mime_type == "application/jsonl"


def test_progress_of_an_upload_reaches_the_size(service: Service) -> None:
    told: list[tuple[int, int]] = []
    service.client.files.upload(
        b"x" * 17_000_000, on_progress=lambda sent, total: told.append((sent, total))
    )
    assert told == [(8_388_608, 17_000_000), (16_777_216, 17_000_000), (17_000_000, 17_000_000)]


def test_a_file_is_got_by_its_name_its_id_and_its_address(service: Service) -> None:
    files = service.client.files
    file = files.upload(b"x")
    assert file.uri == f"{service.emulator.url}/v1beta/{file.name}"
    for name in (file.name, file.name.removeprefix("files/"), file.uri):
        assert files.get(name) == file


def test_the_published_file_is_read() -> None:
    with scripted(Said(body=COOKBOOK_FILE)) as server:
        file = server.client().files.get("files/t5snrshrqff1")
    assert file == File(
        name="files/t5snrshrqff1",
        mime_type="jsonl",
        bytes=202,
        state="ACTIVE",
        sha256="597b96e5c7d2b0d01acdc80dd0bcd653da099bb26d8106b12d870edadf2837fc",
        uri="https://generativelanguage.googleapis.com/v1beta/files/t5snrshrqff1",
        source="UPLOADED",
        create_time=dt.datetime(2025, 9, 10, 13, 37, 39, 328452, tzinfo=dt.UTC),
        expiration_time=dt.datetime(2025, 9, 12, 13, 37, 39, 53649, tzinfo=dt.UTC),
    )
    assert file.content == COOKBOOK_FILE


@pytest.mark.parametrize(
    "encoded, digest",
    [
        # base64 of the digest itself, as the schema has it
        ("WXuW5cfSsNAazcgN0LzWU9oJm7JtgQaxLYcO2t8oN/w=", COOKBOOK_FILE["sha256Hash"]),
        ("", None),
        (None, None),
        ("not base64!", None),
        ("né", None),
        (5, None),
    ],
)
def test_a_digest_is_read_in_either_form(encoded: Any, digest: str | None) -> None:
    with scripted(Said(body={"sha256Hash": encoded})) as server:
        got = server.client().files.get("f").sha256
    if digest is None:
        assert got is None
    else:
        assert got == "597b96e5c7d2b0d01acdc80dd0bcd653da099bb26d8106b12d870edadf2837fc"


def test_a_file_with_nothing_but_a_name_is_read() -> None:
    with scripted(Said(body={"file": {"name": "files/f"}})) as server:
        file = server.client().files.get("f")
    assert file == File("files/f")
    assert not file.is_active


def test_files_are_listed_in_pages_newest_first(service: Service) -> None:
    names = [service.client.files.upload(b"x").name for _ in range(5)][::-1]
    first = service.client.files.list(page_size=2)
    assert [file.name for file in first] == names[:2]
    assert (len(first), first.has_more_pages) == (2, True)
    second = service.client.files.list(page_size=2, page_token=first.next_page_token)
    last = service.client.files.list(page_size=2, page_token=second.next_page_token)
    assert [file.name for file in (*second, *last)] == names[2:]
    assert (last.next_page_token, last.has_more_pages) == (None, False)


def test_all_files_are_listed(service: Service) -> None:
    names = [service.client.files.upload(b"x").name for _ in range(103)][::-1]
    assert [file.name for file in service.client.files.list_all()] == names


@pytest.mark.parametrize("token", ["", None])
def test_a_list_of_files_ends_at_an_empty_token(token: str | None) -> None:
    pages = [
        Said(body={"files": [{"name": "files/a"}], "nextPageToken": "t"}),
        Said(body={"files": [{"name": "files/b"}], "nextPageToken": token}),
    ]
    with scripted(*pages) as server:
        assert [file.name for file in server.client().files.list_all()] == ["files/a", "files/b"]
        assert [asked.path for asked in server.asked] == [
            "/v1beta/files?pageSize=100",
            "/v1beta/files?pageSize=100&pageToken=t",
        ]


def test_no_files_are_an_empty_list(service: Service) -> None:
    page = service.client.files.list()
    assert page == FileList(())
    assert not page.has_more_pages
    assert list(service.client.files.list_all()) == []


def test_a_deleted_file_is_gone_and_may_be_deleted_again(service: Service) -> None:
    files = service.client.files
    name = files.upload(b"x").name
    files.delete(name)
    assert files.list().files == ()
    with pytest.raises(NotAuthorisedError, match="or it may not exist"):
        files.get(name)
    files.delete(name)
    files.delete("files/never-was")


def test_a_delete_whose_reply_was_lost_has_deleted() -> None:
    lost: list[str] = []

    def lose(kind: str, name: str) -> None:
        if kind == "file.deleted":
            lost.append(name)
            raise ConnectionResetError

    with serve(on_effect=lose) as emulator:
        files = through(emulator, emulator.url).files
        name = files.upload(b"x").name
        files.delete(name)
        assert lost == [name]


def test_a_file_that_may_not_be_deleted_is_an_error() -> None:
    body = {"error": {"code": 403, "message": "The key has no such right."}}
    with scripted(Said(403, body)) as server, pytest.raises(NotAuthorisedError):
        server.client().files.delete("files/a")


def test_waiting_for_a_file_ends_when_it_is_active() -> None:
    states = [Said(body={"name": "files/a", "state": s}) for s in ("PROCESSING", "", "ACTIVE")]
    with scripted(*states) as server:
        assert server.client().files.wait("files/a", poll_seconds=0).is_active
        assert len(server.asked) == 3


def test_a_file_that_could_not_be_processed_is_an_error() -> None:
    with scripted(Said(body={"name": "files/a", "state": "FAILED"})) as server:
        with pytest.raises(InvalidRequestError) as caught:
            server.client().files.wait("a", poll_seconds=0)
        assert len(server.asked) == 1
    assert caught.value.reason == "FILE_FAILED"
    assert "files/a could not be processed" in str(caught.value)


def test_waiting_for_a_file_has_an_end() -> None:
    with (
        scripted(Said(body={"name": "files/a", "state": "PROCESSING"})) as server,
        pytest.raises(WaitTimeoutError, match=r"files/a is still PROCESSING after 0\.05 s"),
    ):
        server.client().files.wait("files/a", poll_seconds=0.01, timeout=0.05)
    assert len(server.asked) > 1


def test_an_output_file_with_a_long_id_is_downloaded(service: Service, tmp_path: Path) -> None:
    name = output_of(service.client)
    assert len(name.removeprefix("files/")) > 40
    path = service.client.files.download(name, tmp_path / "out.jsonl")
    assert path == tmp_path / "out.jsonl"
    assert keys_in(path) == {str(number) for number in range(ROWS)}
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_download_takes_a_name_an_id_or_an_address(service: Service, tmp_path: Path) -> None:
    name = output_of(service.client, 1)
    addresses = [
        name,
        name.removeprefix("files/"),
        f"{service.emulator.url}/v1beta/{name}:download?alt=media",
        f"https://generativelanguage.googleapis.com/download/v1beta/{name}:download",
    ]
    for number, address in enumerate(addresses):
        path = service.client.files.download(address, str(tmp_path / str(number)))
        assert keys_in(path) == {"0"}


@pytest.mark.parametrize("cuts", [[200_000], [5_000, 100_000, 400_000]])
def test_a_download_is_taken_up_again_where_the_line_was_cut(
    service: Service, tmp_path: Path, cuts: list[int]
) -> None:
    name = output_of(service.client)
    whole = service.client.files.download(name, tmp_path / "whole").read_bytes()
    told: list[tuple[int, int | None]] = []
    with cut_line(service.emulator.url, down=cuts) as wire:
        path = through(service.emulator, wire.url).files.download(
            name, tmp_path / "cut", on_progress=lambda got, total: told.append((got, total))
        )
        assert wire.cuts == len(cuts)
    assert path.read_bytes() == whole
    assert {total for _, total in told} == {len(whole)}


def test_an_uploaded_file_cannot_be_downloaded(service: Service, tmp_path: Path) -> None:
    name = service.client.files.upload(b"x").name
    with pytest.raises(InvalidRequestError, match="only generated files can be"):
        service.client.files.download(name, tmp_path / "out")


def test_an_output_file_cannot_be_got_and_the_service_says_why(service: Service) -> None:
    # https://github.com/googleapis/python-genai/issues/1759
    name = output_of(service.client, 1)
    with pytest.raises(InvalidRequestError, match="cannot be more than 40 characters"):
        service.client.files.get(name)


BAD_NAMES = [
    "",
    "files/",
    "files/a/b",
    "files/../batches/b1",
    "files/a b",
    "../x",
    "a/b",
    "files/a\n",
    "gs://bucket/files/a",
    "/home/me/files/requests",
    "files/a%2Fb",
    "batches/b1",
    "https://generativelanguage.googleapis.com/v1beta/batches/b1",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_none_is_refused_before_anything_is_sent(name: str, tmp_path: Path) -> None:
    with scripted(Said()) as server:
        files = server.client().files
        for call in (files.get, files.delete, files.wait):
            with pytest.raises(InvalidRequestError) as caught:
                call(name)
            assert f"{name!r} is no file name: it looks like files/abc123" in str(caught.value)
        with pytest.raises(InvalidRequestError):
            files.download(name, tmp_path / "out")
        assert server.asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_lives_48_hours() -> None:
    clock = Clock(dt.datetime(2026, 1, 6, 11, 0, tzinfo=dt.UTC))
    with serve(clock=clock) as emulator:
        files = through(emulator, emulator.url).files
        file = files.upload(b"x")
        assert file.create_time == dt.datetime(2026, 1, 6, 11, 0, tzinfo=dt.UTC)
        assert file.expiration_time == dt.datetime(2026, 1, 8, 11, 0, tzinfo=dt.UTC)
        clock.advance(48 * 3600)
        with pytest.raises(ServiceError) as caught:
            files.get(file.name)
    assert "for 48 hours" in str(caught.value)


def test_bytes_of_all_files_are_counted_page_by_page(service: Service) -> None:
    for number in range(101):
        service.client.files.upload(b"x" * number, display_name=str(number))
    assert service.client.files.used_bytes() == 100 * 101 // 2
    assert service.client.files.used_bytes(most_pages=1) is None
