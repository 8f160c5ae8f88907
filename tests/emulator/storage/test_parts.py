from __future__ import annotations

import os
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from .client import BUCKET, XML_NAMESPACE, Gcs

if TYPE_CHECKING:
    import requests

    from batchkit.emulator import Emulator

    from .conftest import Effects

SMALLEST = 5 << 20
TEXT = os.urandom(SMALLEST + 1000)
NAME = "a b/c"
PATH = f"/{BUCKET}/a%20b/c"


def code(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, ET.fromstring(reply.text).findtext("Code") or ""  # noqa: S314


def test_parts_that_came_in_any_order_become_one_object(gcs: Gcs, emulator: Emulator) -> None:
    upload = gcs.start_parts(NAME, **{"Content-Type": "text/csv", "x-goog-meta-k": "v"})
    last = gcs.put_part(NAME, upload, 2, TEXT[SMALLEST:]).headers
    gcs.put_part(NAME, upload, 1, b"to be replaced")
    first = gcs.put_part(NAME, upload, 1, TEXT[:SMALLEST]).headers
    assert gcs.names() == []
    reply = gcs.complete(NAME, upload, (1, first["etag"]), (2, last["etag"]))
    assert reply.status_code == 200
    assert ET.fromstring(reply.text).findtext(f"{XML_NAMESPACE}Key") == "a b/c"  # noqa: S314
    made = gcs.call("GET", gcs.object("a b/c"))
    assert (made["size"], made["componentCount"]) == (str(len(TEXT)), 2)
    assert (made["contentType"], made["metadata"]) == ("text/csv", {"k": "v"})
    assert reply.headers["x-goog-hash"] == f"crc32c={made['crc32c']}"
    assert gcs.contents("a b/c") == TEXT
    assert len(list((emulator.folder / "blobs").iterdir())) == 1
    assert code(gcs.complete(NAME, upload, (1, first["etag"]))) == (404, "NoSuchUpload")


def test_a_part_is_checked_and_answered_with_its_checksums(gcs: Gcs) -> None:
    upload = gcs.start_parts(NAME)
    reply = gcs.put_part(NAME, upload, 1, b"hello", **{"x-goog-hash": "crc32c=mnG7TA=="})
    assert reply.headers["x-goog-hash"] == "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg=="
    wrong = gcs.put_part(NAME, upload, 1, b"hello", **{"x-goog-hash": "crc32c=AAAAAA=="})
    assert code(wrong) == (400, "BadDigest")


def test_a_completion_must_list_what_is_there(gcs: Gcs) -> None:
    upload = gcs.start_parts(NAME)
    one, two = (gcs.put_part(NAME, upload, number, b"x").headers["etag"] for number in (1, 2))
    assert code(gcs.complete(NAME, upload)) == (400, "InvalidPartOrder")
    assert code(gcs.complete(NAME, upload, (2, two), (1, one))) == (400, "InvalidPartOrder")
    assert code(gcs.complete(NAME, upload, (1, '"other"'))) == (400, "InvalidPart")
    assert code(gcs.complete(NAME, upload, (3, one))) == (400, "InvalidPart")
    assert code(gcs.complete(NAME, upload, (1, one), (2, two))) == (400, "EntityTooSmall")
    body = gcs.send("POST", f"{PATH}?uploadId={upload}", data="<nonsense")
    assert code(body) == (400, "MalformedCompleteMultipartUploadRequest")
    assert gcs.complete(NAME, upload, (2, two)).status_code == 200  # the others are left out
    assert gcs.contents("a b/c") == b"x"


@pytest.mark.parametrize("number", [0, 10_001, "x", "-1"])
def test_part_numbers_are_1_to_10000(gcs: Gcs, number: object) -> None:
    assert code(gcs.put_part(NAME, gcs.start_parts(NAME), number, b"x"))[0] == 400


def test_an_aborted_upload_is_gone(gcs: Gcs, emulator: Emulator, effects: Effects) -> None:
    upload = gcs.start_parts(NAME)
    gcs.put_part(NAME, upload, 1, b"x")
    assert gcs.send("DELETE", f"{PATH}?uploadId={upload}").status_code == 204
    assert code(gcs.put_part(NAME, upload, 1, b"x")) == (404, "NoSuchUpload")
    assert list((emulator.folder / "blobs").iterdir()) == []
    kinds = ["upload.started", "upload.received", "upload.cancelled"]
    assert effects.heard == [(kind, f"gs://{BUCKET}/a b/c") for kind in kinds]


def test_an_upload_is_of_one_object_in_a_bucket_that_exists(gcs: Gcs) -> None:
    upload = gcs.start_parts(NAME)
    other = gcs.send("PUT", f"/{BUCKET}/other?uploadId={upload}&partNumber=1", data=b"x")
    assert code(other) == (404, "NoSuchUpload")
    assert code(gcs.send("POST", "/nowhere/a?uploads")) == (404, "NoSuchBucket")


def test_a_class_that_is_none_is_refused(gcs: Gcs) -> None:
    reply = gcs.send("POST", f"{PATH}?uploads", headers={"x-goog-storage-class": "COZY"})
    assert code(reply) == (400, "InvalidArgument")


def test_conditions_come_as_headers_and_hold_at_the_end(gcs: Gcs) -> None:
    upload = gcs.start_parts(NAME, **{"x-goog-if-generation-match": "0"})
    etag = gcs.put_part(NAME, upload, 1, b"x").headers["etag"]
    gcs.upload("a b/c", b"first")
    assert code(gcs.complete(NAME, upload, (1, etag))) == (412, "PreconditionFailed")
    assert gcs.contents("a b/c") == b"first"
