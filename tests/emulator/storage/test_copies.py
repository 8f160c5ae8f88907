from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .client import BUCKET, Gcs

if TYPE_CHECKING:
    from batchkit.emulator import Emulator

    from .conftest import Effects

MEBIBYTE = 1 << 20


def path(gcs: Gcs, verb: str, source: str, target: str, *, bucket: str = BUCKET) -> str:
    place = "" if verb == "moveTo" else f"/b/{bucket}"
    return f"{gcs.object(source)}/{verb}{place}{gcs.object(target)}"


def rewrite(gcs: Gcs, source: str, target: str, **arguments: Any) -> Any:
    return gcs.call("POST", path(gcs, "rewriteTo", source, target), **arguments)


def make_bucket(gcs: Gcs, name: str, **resource: Any) -> None:
    reply = gcs.send("POST", "/storage/v1/b", json={"name": name, **resource})
    assert reply.status_code == 200


def test_a_copy_has_contents_and_settings_and_lives_on(gcs: Gcs) -> None:
    made = gcs.send_multipart({"name": "a/b", "metadata": {"k": "v"}}, b"text").json()
    copy = gcs.call("POST", path(gcs, "copyTo", "a/b", "c d"))
    assert int(copy["generation"]) > int(made["generation"])
    same = ("md5Hash", "crc32c", "size", "metadata", "contentType")
    assert [copy[name] for name in same] == [made[name] for name in same]
    gcs.upload("a/b", b"another")
    gcs.call("DELETE", gcs.object("a/b"))
    assert gcs.contents("c d") == b"text"


def test_a_rewrite_ends_in_one_call_and_says_so(gcs: Gcs) -> None:
    gcs.upload("a", b"text")
    result = rewrite(gcs, "a", "b", params={"maxBytesRewrittenPerCall": MEBIBYTE})
    assert result["done"] is True
    assert (result["objectSize"], result["totalBytesRewritten"]) == ("4", "4")
    assert result["resource"]["name"] == "b"
    assert "rewriteToken" not in result
    assert gcs.contents("b") == b"text"


def test_a_rewrite_to_another_place_goes_on_until_it_is_done(gcs: Gcs) -> None:
    make_bucket(gcs, "far-away", location="asia")
    text = b"x" * (2 * MEBIBYTE + 1)
    gcs.upload("a", text)
    query: dict[str, Any] = {"maxBytesRewrittenPerCall": MEBIBYTE}
    seen: list[str] = []
    while True:
        result = gcs.call("POST", path(gcs, "rewriteTo", "a", "b", bucket="far-away"), params=query)
        seen.append(result["totalBytesRewritten"])
        if result["done"]:
            break
        assert gcs.send("GET", "/storage/v1/b/far-away/o/b").status_code == 404
        query["rewriteToken"] = result["rewriteToken"]
    assert seen == [str(MEBIBYTE), str(2 * MEBIBYTE), str(len(text))]
    assert gcs.send("GET", "/storage/v1/b/far-away/o/b?alt=media").content == text


def test_a_change_of_class_is_a_rewrite_in_place(gcs: Gcs, emulator: Emulator) -> None:
    gcs.upload("a", b"text")
    rewrite(gcs, "a", "a", json={"storageClass": "NEARLINE", "contentType": "text/plain"})
    assert gcs.call("GET", gcs.object("a"))["storageClass"] == "NEARLINE"
    assert gcs.contents("a") == b"text"
    assert len(list((emulator.folder / "blobs").iterdir())) == 1


def test_a_token_of_another_generation_is_refused(gcs: Gcs) -> None:
    gcs.upload("a", b"text")
    for token in ("1-1048576", "nonsense"):
        arguments = {"params": {"rewriteToken": token}}
        target = path(gcs, "rewriteTo", "a", "b")
        assert gcs.refused("POST", target, **arguments) == (400, "invalid")


def test_who_sets_anything_sets_everything(gcs: Gcs) -> None:
    """https://github.com/fsouza/fake-gcs-server/issues/2316."""
    resource = {"name": "a", "metadata": {"k": "v"}, "cacheControl": "no-store"}
    gcs.send_multipart(resource, b"text")
    named = rewrite(gcs, "a", "b", json={"name": "b"})["resource"]
    assert (named["metadata"], named["cacheControl"]) == ({"k": "v"}, "no-store")
    changed = rewrite(gcs, "a", "b", json={"contentType": "a/b"})["resource"]
    assert changed["contentType"] == "a/b"
    assert "metadata" not in changed
    assert "cacheControl" not in changed


@pytest.mark.parametrize("verb", ["copyTo", "rewriteTo", "moveTo"])
def test_conditions_on_both_ends_hold_or_nothing_happens(gcs: Gcs, verb: str) -> None:
    source = int(gcs.upload("a", b"new")["generation"])
    target = int(gcs.upload("b", b"old")["generation"])
    failing: list[dict[str, int]] = [
        {"ifGenerationMatch": 0},
        {"ifGenerationNotMatch": target},
        {"ifMetagenerationMatch": 2},
        {"ifMetagenerationNotMatch": 1},
        {"ifSourceGenerationMatch": source + 1},
        {"ifSourceGenerationNotMatch": source},
        {"ifSourceMetagenerationMatch": 2},
        {"ifSourceMetagenerationNotMatch": 1},
    ]
    for query in failing:
        refusal = gcs.refused("POST", path(gcs, verb, "a", "b"), params=query)
        assert refusal == (412, "conditionNotMet"), query
    assert (gcs.contents("a"), gcs.contents("b")) == (b"new", b"old")
    query = {"ifGenerationMatch": target, "ifSourceGenerationMatch": source}
    gcs.call("POST", path(gcs, verb, "a", "b"), params=query)
    assert gcs.contents("b") == b"new"


def test_a_source_or_a_bucket_that_is_not_there_is_not_found(gcs: Gcs) -> None:
    gcs.upload("a")
    paths = [path(gcs, "copyTo", "x", "b"), path(gcs, "rewriteTo", "a", "b", bucket="nowhere")]
    assert {gcs.refused("POST", unknown) for unknown in paths} == {(404, "notFound")}
    stale = {"params": {"sourceGeneration": "1"}}
    assert gcs.refused("POST", path(gcs, "copyTo", "a", "b"), **stale) == (404, "notFound")


def test_a_moved_object_is_at_one_place_only(
    gcs: Gcs, emulator: Emulator, effects: Effects
) -> None:
    gcs.upload("a", b"text")
    moved = gcs.call("POST", path(gcs, "moveTo", "a", "b"))
    assert moved["name"] == "b"
    assert gcs.names() == ["b"]
    assert gcs.contents("b") == b"text"
    assert len(list((emulator.folder / "blobs").iterdir())) == 1
    assert effects.heard[1:] == [
        ("object.created", f"gs://{BUCKET}/b"),
        ("object.deleted", f"gs://{BUCKET}/a"),
    ]


def test_an_object_cannot_be_moved_onto_itself(gcs: Gcs) -> None:
    gcs.upload("a", b"text")
    assert gcs.refused("POST", path(gcs, "moveTo", "a", "a")) == (412, "conditionNotMet")
    assert gcs.contents("a") == b"text"


def test_a_part_size_that_is_no_multiple_of_a_mebibyte_is_refused(gcs: Gcs) -> None:
    gcs.upload("a", b"text")
    query = {"maxBytesRewrittenPerCall": MEBIBYTE + 1}
    target = path(gcs, "rewriteTo", "a", "b")
    assert gcs.refused("POST", target, params=query) == (400, "invalid")
