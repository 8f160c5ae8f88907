from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import Clock, serve
from batchkit.errors import NotAuthorisedError, ServiceError
from batchkit.events import Event
from batchkit.events import Said as Line
from batchkit.targets.file import create_from_file, stage_file, tell_room
from batchkit.targets.parcel import Parcel
from tests.conftest import Service, quick_client
from tests.google import google, unanswered
from tests.scripted import Said, scripted

if TYPE_CHECKING:
    from pathlib import Path

LINE = b'{"key":"k","request":{"contents":[{"parts":[{"text":"hello"}]}]}}\n'
EMBED = b'{"key":"k","request":{"content":{"parts":[{"text":"hello"}]}}}\n'


def parcel(path: Path, content: bytes = LINE, *, may_exist: bool = False) -> Parcel:
    path.write_bytes(content)
    embeds = content == EMBED
    return Parcel(
        path,
        "embed" if embeds else "generate",
        "gemini-embedding-001" if embeds else "gemini-3.8-flash",
        "a name",
        hashlib.sha256(content).hexdigest(),
        may_exist=may_exist,
    )


def test_what_is_written_down_of_an_upload_says_where_it_is_and_until_when(
    tmp_path: Path, service: Service
) -> None:
    staged = stage_file(service.client, parcel(tmp_path / "requests"))
    (file,) = service.client.files.list_all()
    assert staged["file"] == file.name
    assert staged["bytes"] == len(LINE)
    assert file.expiration_time is not None
    assert staged["expires"] == file.expiration_time.timestamp()
    assert file.mime_type == "application/jsonl"


@pytest.mark.parametrize("content", [LINE, EMBED], ids=["generate", "embed"])
def test_a_job_of_its_kind_reads_the_upload(
    tmp_path: Path, service: Service, content: bytes
) -> None:
    sent = parcel(tmp_path / "requests", content)
    job = create_from_file(service.client, sent, stage_file(service.client, sent))
    done = service.client.batches.get(job.name)
    assert done.succeeded
    assert (done.display_name, done.model) == ("a name", f"models/{sent.model}")
    assert service.paid() == {"k": 1}


def test_what_an_interrupted_driver_uploaded_is_used(tmp_path: Path, service: Service) -> None:
    first = stage_file(service.client, parcel(tmp_path / "requests"))
    again = stage_file(service.client, parcel(tmp_path / "requests", may_exist=True))
    assert again == first
    assert len(list(service.client.files.list_all())) == 1


def test_an_upload_of_the_name_with_other_content_is_not_used(
    tmp_path: Path, service: Service
) -> None:
    stage_file(service.client, parcel(tmp_path / "requests"))
    other = parcel(tmp_path / "requests", LINE.replace(b"hello", b"bye"), may_exist=True)
    staged = stage_file(service.client, other)
    assert service.client.files.get(staged["file"]).sha256 == other.sha256


def test_an_upload_that_lives_for_less_than_an_hour_is_not_used(tmp_path: Path) -> None:
    clock = Clock(dt.datetime.now(dt.UTC) - dt.timedelta(hours=47, minutes=30))
    with serve(clock=clock) as emulator:
        client = quick_client(emulator)
        old = stage_file(client, parcel(tmp_path / "requests"))
        clock.advance(47.5 * 3600)
        new = stage_file(client, parcel(tmp_path / "requests", may_exist=True))
    assert new["file"] != old["file"]


def test_an_upload_that_is_not_ready_is_not_used(tmp_path: Path) -> None:
    sent = parcel(tmp_path / "requests", may_exist=True)
    with google() as service:
        old = service.add_file("a name", LINE)
        service.files[old]["state"] = "PROCESSING"
        assert stage_file(service.client(), sent)["file"] != old


def test_an_upload_whose_reply_is_lost_is_found_or_the_error_is_raised(tmp_path: Path) -> None:
    nameless = Said(headers={"x-goog-upload-status": "final"})
    lost = [unanswered(), nameless]
    with google(answers={"POST /session": lost.copy()}) as service:
        with pytest.raises(ServiceError, match="REPLY_LOST"):
            stage_file(service.client(), parcel(tmp_path / "requests"))
        file = service.add_file("a name", LINE)
        service.answers["POST /session"] = list(lost)
        assert stage_file(service.client(), parcel(tmp_path / "requests"))["file"] == file


def test_a_job_of_an_upload_that_is_gone_is_refused(tmp_path: Path, service: Service) -> None:
    sent = parcel(tmp_path / "requests")
    staged = stage_file(service.client, sent)
    service.client.files.delete(staged["file"])
    with pytest.raises(NotAuthorisedError, match="may not exist"):
        create_from_file(service.client, sent, staged)


def files(*sizes: int, more: bool = False) -> Said:
    """A page of files of these sizes."""
    listed = [{"name": f"files/{i}", "sizeBytes": str(size)} for i, size in enumerate(sizes)]
    return Said(body={"files": listed, **({"nextPageToken": "next"} if more else {})})


@pytest.mark.parametrize(
    "pages, adding, said",
    [
        ([files()], 10**9, None),
        (
            [files(10**9, more=True), files(5 * 10**8)],
            10**9,
            Line("uploaded files take 1.5 of 20 GB, and these requests 1.0 GB"),
        ),
        (
            [files(19 * 10**9)],
            2 * 10**9,
            Line(
                "uploaded files take 19.0 of 20 GB, and these requests 2.0 GB: "
                "`batchkit clean RUN` makes room",
                is_warning=True,
            ),
        ),
        ([files(10**10, more=True)], 2 * 10**9, None),  # page after page
        ([Said(403)], 2 * 10**9, None),
    ],
    ids=["little", "some", "too much", "too many to count", "refused"],
)
def test_room_that_is_taken_is_told_before_an_upload(
    pages: list[Said], adding: int, said: Line | None
) -> None:
    told: list[Event] = []
    with scripted(*pages) as server:
        tell_room(server.client(), adding, told.append)
        assert len(server.asked) <= 10
    assert told == ([] if said is None else [said])
