from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from batchkit.errors import NotAuthorisedError, NotFoundError, SetupError
from batchkit.storage import ObjectUri, checksum, checksum_of_next
from tests.cloud import BUCKET, Effects, GoogleCloud
from tests.scripted import Said, scripted

if TYPE_CHECKING:
    from pathlib import Path

URI = ObjectUri(BUCKET, "folder/a.bin")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content\0")
    return path


@pytest.mark.parametrize(
    "text, bucket, name",
    [
        ("gs://a-bucket", "a-bucket", ""),
        ("gs://a-bucket/", "a-bucket", ""),
        ("gs://a.b_c/x/y z\n?.txt", "a.b_c", "x/y z\n?.txt"),
    ],
)
def test_an_address_is_a_bucket_and_a_name(text: str, bucket: str, name: str) -> None:
    assert ObjectUri.parse(text) == ObjectUri(bucket, name)


@pytest.mark.parametrize("text", ["gs://", "gs://ab", "gs://A-Bucket/x", "s3://a-bucket/x", "x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match="no address in Cloud Storage"):
        ObjectUri.parse(text)


def test_names_are_joined_by_one_slash() -> None:
    assert str(ObjectUri.parse("gs://a-bucket/x/") / "y") == "gs://a-bucket/x/y"
    assert str(ObjectUri.parse("gs://a-bucket") / "y") == "gs://a-bucket/y"


def test_a_file_goes_up_and_comes_down_with_its_checksum(gs: GoogleCloud, file: Path) -> None:
    told: list[tuple[int, int]] = []
    stored = gs.cloud.objects.put(file, URI, on_progress=lambda *done: told.append(done))
    assert (stored.uri, stored.bytes, stored.crc32c) == (URI, 8, checksum(file))
    assert told[-1] == (8, 8)
    found = io.BytesIO()
    gs.cloud.objects.download(stored, found)
    assert found.getvalue() == b"content\0"
    assert gs.cloud.objects.find(URI) == stored


def test_an_upload_whose_reply_is_lost_ends_with_one_object(gs: GoogleCloud, file: Path) -> None:
    gs.effects.lost.append("object.created")
    stored = gs.cloud.objects.put(file, URI)
    assert gs.effects.lost == []
    assert [kind for kind, _ in gs.effects.heard].count("object.created") == 1
    assert list(gs.cloud.objects.list(ObjectUri(BUCKET))) == [stored]


def test_the_same_content_again_is_the_object_that_is_there(gs: GoogleCloud, file: Path) -> None:
    first = gs.cloud.objects.put(file, URI)
    assert gs.cloud.objects.put(file, URI) == first


def test_an_object_with_other_content_is_never_written_over(gs: GoogleCloud, file: Path) -> None:
    gs.cloud.objects.put(file, URI)
    file.write_bytes(b"another")
    with pytest.raises(SetupError, match=f"{URI} is there already, with other content"):
        gs.cloud.objects.put(file, URI)
    assert gs.content(URI.name) == b"content\0"


def test_objects_are_listed_by_prefix_and_by_pattern(gs: GoogleCloud) -> None:
    for name in ("a/1.txt", "a/b/2.txt", "a/3.csv", "ab.txt"):
        gs.put(name, b"x")
    objects = gs.cloud.objects
    assert [o.uri.name for o in objects.list(ObjectUri(BUCKET, "a/"))] == [
        "a/1.txt",
        "a/3.csv",
        "a/b/2.txt",
    ]
    found = objects.matching([f"gs://{BUCKET}/a/*.txt", f"gs://{BUCKET}/ab.txt"])
    assert [o.uri.name for o in found] == ["a/1.txt", "ab.txt"]
    with pytest.raises(NotFoundError, match="there is no object"):
        list(objects.matching([f"gs://{BUCKET}/no/*.txt"]))


def test_an_object_is_read_at_its_own_generation(gs: GoogleCloud, file: Path) -> None:
    stored = gs.cloud.objects.put(file, URI)
    gs.replace(URI.name, b"another")
    with pytest.raises(NotFoundError):
        gs.cloud.objects.download(stored, io.BytesIO())


def test_a_bucket_that_is_not_there_is_named(gs: GoogleCloud, file: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no bucket gs://no-bucket"):
        gs.cloud.objects.check_folder(ObjectUri("no-bucket", "x"))
    with pytest.raises(NotFoundError):
        gs.cloud.objects.put(file, ObjectUri("no-bucket", "x"))
    gs.cloud.objects.check_folder(ObjectUri(BUCKET, "x"))


def test_a_missing_permission_is_said_once_and_in_the_words_of_the_service(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    said = "robot@p.iam does not have storage.objects.create access to the bucket."
    with scripted(Said(403, {"error": {"code": 403, "message": said}})) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        with pytest.raises(NotAuthorisedError, match=r"storage\.objects\.create access"):
            GoogleCloud(server.url, Effects()).cloud.objects.put(file, URI)
        assert [asked.method for asked in server.asked].count("POST") == 1


def test_an_object_is_deleted_only_while_it_is_the_one_that_was_seen(
    gs: GoogleCloud, file: Path
) -> None:
    seen = gs.cloud.objects.put(file, URI)
    gs.replace(URI.name, b"another")
    assert not gs.cloud.objects.delete(seen)
    now = gs.cloud.objects.find(URI)
    assert now is not None
    assert gs.cloud.objects.delete(now)
    assert gs.cloud.objects.find(URI) is None
    assert not gs.cloud.objects.delete(now)


def test_a_checksum_is_that_of_the_next_bytes(file: Path) -> None:
    with file.open("rb") as opened:
        opened.seek(3)
        rest = checksum_of_next(opened, 4)
    file.write_bytes(b"tent")
    assert rest == checksum(file)
