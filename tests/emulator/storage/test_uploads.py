from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from batchkit.emulator import serve

from .client import BUCKET, Gcs, multipart_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchkit.emulator import Emulator

    from .conftest import Effects

TEXTS = [b"", b"x", b"\r", b"\r\n", b"--b", b"a\r\n--bc\r\n", b"\0\r\n\r\n", b"--b--\r\n--b-"]


def blobs(emulator: Emulator) -> list[str]:
    return [path.name for path in (emulator.folder / "blobs").iterdir()]


def test_bare_contents_take_type_and_encoding_from_the_request(gcs: Gcs) -> None:
    reply = gcs.send_media(
        "a", b"text", {"Content-Type": "text/plain; charset=utf-8"}, contentEncoding="gzip"
    )
    assert reply.json()["contentType"] == "text/plain; charset=utf-8"
    assert reply.json()["contentEncoding"] == "gzip"


@pytest.mark.parametrize("newline", ["\r\n", "\n"], ids=["crlf", "lf"])
@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_contents_beside_metadata_arrive_to_the_byte(gcs: Gcs, text: bytes, newline: str) -> None:
    reply = gcs.send_multipart({"name": "a/b", "metadata": {"k": "ü"}}, text, newline)
    made = reply.json()
    assert (made["name"], made["metadata"], made["size"]) == ("a/b", {"k": "ü"}, str(len(text)))
    assert made["contentType"] == "text/plain"
    assert made["md5Hash"] == base64.b64encode(hashlib.md5(text).digest()).decode()  # noqa: S324
    assert gcs.contents("a/b") == text


def test_the_type_in_the_metadata_comes_before_that_of_the_part(gcs: Gcs) -> None:
    resource = {"name": "a", "contentType": "application/jsonl"}
    assert gcs.send_multipart(resource, b"").json()["contentType"] == "application/jsonl"


def test_large_contents_in_one_request_arrive(gcs: Gcs) -> None:
    text = bytes(range(256)) * 20_000
    assert gcs.send_multipart({"name": "a"}, text).status_code == 200
    assert gcs.contents("a") == text


def test_contents_may_come_in_chunks(gcs: Gcs) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (b"one ", b"two")

    assert gcs.send_media("a", pieces()).json()["size"] == "7"


@pytest.mark.parametrize(
    "body, content_type",
    [
        (b"", "multipart/related; boundary=b"),
        (b"--b--", "multipart/related; boundary=b"),
        (multipart_body(("application/json", b'{"name": "a"}')), "multipart/related; boundary=b"),
        (multipart_body(("a/b", b"{}"), ("a/b", b""))[:-3], "multipart/related; boundary=b"),
        (b"--b\r\n", "multipart/related"),
        (b"--b\r\n", "application/json"),
    ],
    ids=["empty", "no part", "one part", "no end", "no boundary", "another type"],
)
def test_what_is_no_upload_of_two_parts_is_refused(
    gcs: Gcs, emulator: Emulator, body: bytes, content_type: str
) -> None:
    reply = gcs.send(
        "POST",
        f"/upload/storage/v1/b/{BUCKET}/o?uploadType=multipart&name=a",
        data=body,
        headers={"Content-Type": content_type},
    )
    assert gcs.refusal(reply) == (400, "invalid")
    assert gcs.names() == []
    assert blobs(emulator) == []


def test_an_upload_of_no_kind_is_refused(gcs: Gcs) -> None:
    for query in ("", "?uploadType=carrier-pigeon"):
        reply = gcs.send("POST", f"/upload/storage/v1/b/{BUCKET}/o{query}", data=b"")
        assert gcs.refusal(reply) == (400, "badRequest")


def test_an_upload_to_a_bucket_that_is_not_there_is_not_found(gcs: Gcs) -> None:
    path = "/upload/storage/v1/b/nowhere/o?uploadType=media&name=a"
    assert gcs.refusal(gcs.send("POST", path, data=b"x")) == (404, "notFound")


@pytest.mark.parametrize("given", [{"crc32c": "AAAAAA=="}, {"md5Hash": "XUFAKrxLKna5cZ2REBfFkA=="}])
def test_contents_of_another_checksum_are_refused_and_nothing_is_kept(
    gcs: Gcs, emulator: Emulator, given: dict[str, str]
) -> None:
    reply = gcs.send_multipart({"name": "a", **given}, b"hello")
    assert gcs.refusal(reply) == (400, "invalid")
    (value,) = given.values()
    assert f'"{value}" doesn\'t match calculated' in reply.json()["error"]["message"]
    assert gcs.names() == []
    assert blobs(emulator) == []


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"X-Goog-Hash": "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg=="}, 200),
        ({"X-Goog-Hash": "crc32c=AAAAAA=="}, 400),
        ({"Content-MD5": "XUFAKrxLKna5cZ2REBfFkg=="}, 200),
        ({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, 400),
    ],
    ids=["both", "wrong crc32c", "md5", "wrong md5"],
)
def test_checksums_may_come_as_headers(gcs: Gcs, headers: dict[str, str], status: int) -> None:
    assert gcs.send_media("a", b"hello", headers).status_code == status


def test_a_condition_that_does_not_hold_leaves_the_object_as_it_is(
    gcs: Gcs, emulator: Emulator
) -> None:
    made, data = gcs.upload("a", b"old"), b"new"
    queries: list[dict[str, Any]] = [
        {"ifGenerationMatch": 0},
        {"ifGenerationMatch": 1},
        {"ifGenerationNotMatch": made["generation"]},
        {"ifMetagenerationMatch": 2},
        {"ifMetagenerationNotMatch": 1},
    ]
    refused = [gcs.send_media("a", data, **query) for query in queries]
    refused.append(gcs.send_media("b", data, ifGenerationNotMatch=0))
    refused.append(gcs.send_media("b", data, ifGenerationMatch=9))
    assert {gcs.refusal(reply) for reply in refused} == {(412, "conditionNotMet")}
    assert gcs.contents("a") == b"old"
    assert len(blobs(emulator)) == 1
    gcs.upload("a", data, ifGenerationMatch=made["generation"], ifMetagenerationMatch=1)
    assert gcs.contents("a") == data


def test_an_upload_that_is_cut_leaves_nothing(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise KeyError

    with serve(folder=tmp_path, buckets=(BUCKET,)) as emulator:
        gcs = Gcs(emulator.url)
        with pytest.raises(KeyError):
            gcs.send_media("a", pieces())
        gcs.session.close()
        assert gcs.names() == []
        gcs.session.close()
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_lost_reply_leaves_one_object_and_a_second_creation_is_told(
    gcs: Gcs, effects: Effects
) -> None:
    effects.lost.append("object.created")
    with pytest.raises(requests.ConnectionError):
        gcs.send_media("a", b"x", ifGenerationMatch=0)
    assert gcs.contents("a") == b"x"
    assert gcs.refusal(gcs.send_media("a", b"x", ifGenerationMatch=0)) == (412, "conditionNotMet")
    assert effects.heard == [("object.created", f"gs://{BUCKET}/a")]


def test_no_call_needs_a_key(gcs: Gcs) -> None:
    assert "x-goog-api-key" not in gcs.session.headers
    assert json.loads(gcs.send("GET", f"/storage/v1/b/{BUCKET}").text)["name"] == BUCKET
