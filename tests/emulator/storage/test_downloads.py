from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest
import requests

from .client import BUCKET, Gcs

if TYPE_CHECKING:
    from batchkit.emulator import Emulator

TEXT = b"0123456789abcdef"


def raw(gcs: Gcs, name: str, **headers: str) -> tuple[requests.Response, bytes]:
    """A reply and the bytes on the wire."""
    path = f"{gcs.url}/storage/v1/b/{BUCKET}{gcs.object(name, alt='media')}"
    with gcs.session.get(path, headers=headers, stream=True, timeout=60) as reply:
        return reply, reply.raw.read(decode_content=False)


@pytest.mark.parametrize("path", ["/storage/v1/b/", "/download/storage/v1/b/"])
def test_contents_are_sent_with_what_is_known_of_them(gcs: Gcs, path: str) -> None:
    made = gcs.upload("a/b", b"hello")
    reply = gcs.send("GET", f"{path}{BUCKET}{gcs.object('a/b', alt='media')}")
    assert reply.content == b"hello"
    expected = {
        "content-type": "application/octet-stream",
        "content-length": "5",
        "etag": made["etag"],
        "x-goog-generation": made["generation"],
        "x-goog-metageneration": "1",
        "x-goog-hash": "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg==",
        "x-goog-storage-class": "STANDARD",
        "x-goog-stored-content-encoding": "identity",
        "x-goog-stored-content-length": "5",
        "accept-ranges": "bytes",
    }
    assert {name: reply.headers[name] for name in expected} == expected


def test_settings_travel_as_headers(gcs: Gcs) -> None:
    resource = {
        "name": "a",
        "contentType": "text/plain",
        "contentDisposition": "attachment; filename=ü",
        "contentLanguage": "de",
        "cacheControl": "no-store",
    }
    gcs.send_multipart(resource, b"x")
    headers = gcs.download("a").headers
    assert headers["content-type"] == "text/plain"
    assert headers["content-language"] == "de"
    assert headers["cache-control"] == "no-store"
    assert headers["content-disposition"].encode("latin-1").decode() == "attachment; filename=ü"


@pytest.mark.parametrize(
    "wanted, found, place",
    [
        ("bytes=4-7", b"4567", "bytes 4-7/16"),
        ("bytes=0-0", b"0", "bytes 0-0/16"),
        ("bytes=12-", b"cdef", "bytes 12-15/16"),
        ("bytes=-3", b"def", "bytes 13-15/16"),
        ("bytes=-99", TEXT, "bytes 0-15/16"),
        ("bytes=8-99", b"89abcdef", "bytes 8-15/16"),
    ],
)
def test_a_range_is_sent_and_named(gcs: Gcs, wanted: str, found: bytes, place: str) -> None:
    gcs.upload("a", TEXT)
    reply = gcs.download("a", {"Range": wanted})
    assert (reply.status_code, reply.content) == (206, found)
    assert reply.headers["content-range"] == place


@pytest.mark.parametrize(
    "wanted", ["bytes=5-4", "bytes=-", "lines=1-2", "bytes=0-1,4-5", "bytes=x-"]
)
def test_what_is_no_single_range_is_not_heeded(gcs: Gcs, wanted: str) -> None:
    gcs.upload("a", TEXT)
    reply = gcs.download("a", {"Range": wanted})
    assert (reply.status_code, reply.content) == (200, TEXT)


@pytest.mark.parametrize(
    "size, wanted", [(16, "bytes=16-"), (16, "bytes=99-100"), (16, "bytes=-0"), (0, "bytes=0-")]
)
def test_a_range_beyond_the_end_is_not_satisfiable(gcs: Gcs, size: int, wanted: str) -> None:
    gcs.upload("a", TEXT[:size])
    reply = gcs.download("a", {"Range": wanted})
    assert reply.status_code == 416
    assert reply.headers["content-range"] == f"bytes */{size}"


def test_what_is_not_there_is_told_in_plain_text(gcs: Gcs) -> None:
    reply = gcs.download("a b")
    assert (reply.status_code, reply.text) == (404, f"No such object: {BUCKET}/a b")
    assert reply.headers["content-type"].startswith("text/html")


def test_conditions_and_generations_hold_for_contents_too(gcs: Gcs) -> None:
    generation = int(gcs.upload("a", TEXT)["generation"])
    assert gcs.download("a", generation=generation).content == TEXT
    assert gcs.download("a", generation=generation - 1).status_code == 404
    assert gcs.download("a", ifGenerationMatch=generation).content == TEXT
    assert gcs.download("a", ifGenerationMatch=generation + 1).status_code == 412
    unchanged = gcs.download("a", ifGenerationNotMatch=generation)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_gzip_is_decompressed_for_whom_it_was_not_asked(gcs: Gcs) -> None:
    packed = gzip.compress(TEXT * 50_000)
    gcs.upload("a", packed, contentEncoding="gzip")
    reply, body = raw(gcs, "a", **{"Accept-Encoding": "identity", "Range": "bytes=0-3"})
    assert (reply.status_code, body) == (200, TEXT * 50_000)
    assert "content-encoding" not in reply.headers
    assert "content-length" not in reply.headers
    assert reply.headers["x-goog-stored-content-encoding"] == "gzip"
    assert reply.headers["x-goog-stored-content-length"] == str(len(packed))
    assert gcs.names() == ["a"]  # the connection can go on


def test_gzip_is_sent_as_it_is_to_whom_takes_it(gcs: Gcs) -> None:
    packed = gzip.compress(TEXT)
    gcs.upload("a", packed, contentEncoding="gzip")
    reply, body = raw(gcs, "a", **{"Accept-Encoding": "gzip"})
    assert (reply.headers["content-encoding"], body) == ("gzip", packed)
    reply, body = raw(gcs, "a", **{"Accept-Encoding": "gzip", "Range": "bytes=2-5"})
    assert (reply.status_code, body) == (206, packed[2:6])


@pytest.mark.parametrize(
    "resource, packed",
    [
        ({"contentEncoding": "gzip", "cacheControl": "no-transform"}, gzip.compress(TEXT)),
        ({"contentEncoding": "gzip"}, b"not gzip at all"),
        ({"contentEncoding": "br"}, b"whatever it is"),
    ],
    ids=["no transform", "no gzip", "another encoding"],
)
def test_other_contents_are_never_transformed(
    gcs: Gcs, resource: dict[str, Any], packed: bytes
) -> None:
    gcs.send_multipart({"name": "a", **resource}, packed)
    reply, body = raw(gcs, "a", **{"Accept-Encoding": "identity"})
    assert (reply.headers["content-encoding"], body) == (resource["contentEncoding"], packed)


def test_a_client_that_goes_away_amid_decompression_harms_nobody(
    gcs: Gcs, emulator: Emulator
) -> None:
    gcs.upload("a", gzip.compress(b"\0" * 50_000_000), contentEncoding="gzip")
    path = f"{gcs.url}/storage/v1/b/{BUCKET}/o/a?alt=media"
    headers = {"Accept-Encoding": "identity"}
    with requests.get(path, headers=headers, stream=True, timeout=60) as reply:
        assert reply.raw.read(1000) == b"\0" * 1000
    assert emulator.stats()["objects"] == 1


def test_the_xml_api_sends_contents_and_refuses_in_xml(gcs: Gcs) -> None:
    generation = int(gcs.upload("a b/c", TEXT)["generation"])
    path = f"/{BUCKET}/a%20b/c"
    assert gcs.send("GET", path).content == TEXT
    head = gcs.send("HEAD", path)
    assert (head.content, head.headers["content-length"]) == (b"", "16")
    assert gcs.send("GET", path, headers={"Range": "bytes=-1"}).content == b"f"
    wrong = {"x-goog-if-generation-match": str(generation + 1)}
    assert gcs.send("GET", path, headers=wrong).status_code == 412
    missing = gcs.send("GET", f"/{BUCKET}/<b>")
    assert missing.status_code == 404
    assert "<Code>NoSuchKey</Code>" in missing.text
    assert "&lt;b&gt;" in missing.text
    assert "<Code>NoSuchBucket</Code>" in gcs.send("GET", "/nowhere/a").text
