from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .client import BUCKET, Gcs

if TYPE_CHECKING:
    from batchkit.emulator import Clock

    from .conftest import Effects


def patch(gcs: Gcs, name: str, **changes: Any) -> Any:
    return gcs.call("PATCH", gcs.object(name), json=changes)


def test_a_resource_has_what_googles_has(gcs: Gcs) -> None:
    made = gcs.upload("a b/c", b"hello")
    assert gcs.call("GET", gcs.object("a b/c")) == made
    path = f"/storage/v1/b/{BUCKET}/o/a%20b%2Fc"
    assert made == {
        "kind": "storage#object",
        "id": f"{BUCKET}/a b/c/{made['generation']}",
        "selfLink": f"{gcs.url}{path}",
        "mediaLink": f"{gcs.url}/download{path}?generation={made['generation']}&alt=media",
        "name": "a b/c",
        "bucket": BUCKET,
        "generation": "1767697751943530",  # the clock's microseconds
        "metageneration": "1",
        "size": "5",
        "md5Hash": "XUFAKrxLKna5cZ2REBfFkg==",
        "crc32c": "mnG7TA==",
        "etag": "COrSzKTj9pEDEAE=",
        "timeCreated": "2026-01-06T11:09:11.943Z",
        "updated": "2026-01-06T11:09:11.943Z",
        "timeStorageClassUpdated": "2026-01-06T11:09:11.943Z",
        "timeFinalized": "2026-01-06T11:09:11.943Z",
        "storageClass": "STANDARD",
        "contentType": "application/octet-stream",
    }


def test_an_object_that_is_not_there_is_not_found(gcs: Gcs) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        assert gcs.refused(method, gcs.object("a"), json={}) == (404, "notFound")
    reply = gcs.send("GET", "/storage/v1/b/nowhere/o/a")
    assert gcs.refusal(reply) == (404, "notFound")
    assert reply.json()["error"]["message"] == "The specified bucket does not exist."


def test_a_patch_merges_and_leaves_the_contents_alone(gcs: Gcs, clock: Clock) -> None:
    made = gcs.send_multipart({"name": "a", "metadata": {"x": "1", "y": "2"}}, b"text").json()
    clock.advance(1)
    changed = patch(gcs, "a", metadata={"x": None, "z": "3"}, contentType="text/html")
    assert changed["metadata"] == {"y": "2", "z": "3"}
    assert changed["contentType"] == "text/html"
    assert changed["generation"] == made["generation"]
    assert changed["metageneration"] == "2"
    assert changed["etag"] != made["etag"]
    assert changed["timeCreated"] < changed["updated"] == "2026-01-06T11:09:12.943Z"
    assert gcs.contents("a") == b"text"
    assert "metadata" not in patch(gcs, "a", metadata=None)


def test_an_update_drops_what_it_does_not_name(gcs: Gcs) -> None:
    gcs.send_multipart({"name": "a", "metadata": {"x": "1"}, "cacheControl": "no-store"}, b"")
    changed = gcs.call("PUT", gcs.object("a"), json={"metadata": {"y": "2"}})
    assert changed["metadata"] == {"y": "2"}
    assert "cacheControl" not in changed


def test_a_patch_does_not_change_what_only_the_service_knows(gcs: Gcs) -> None:
    made = gcs.upload("a", b"x")
    changed = patch(gcs, "a", size="7", crc32c="AAAAAA==", generation="1", storageClass="ARCHIVE")
    same = ("size", "crc32c", "generation", "storageClass")
    assert [changed[name] for name in same] == [made[name] for name in same]


@pytest.mark.parametrize(
    "changes",
    [
        {"contentType": 7},
        {"contentType": "a\nb: c"},
        {"metadata": []},
        {"metadata": {"a": 1}},
        {"storageClass": "COZY"},
        {"storageClass": {}},
    ],
)
def test_values_of_another_type_are_refused(gcs: Gcs, changes: dict[str, Any]) -> None:
    gcs.upload("a")
    assert gcs.refused("PATCH", gcs.object("a"), json=changes) == (400, "invalid")


def test_what_the_emulator_would_not_heed_is_refused(gcs: Gcs) -> None:
    gcs.upload("a")
    for name in ("temporaryHold", "eventBasedHold"):
        changes = {name: True}
        assert gcs.refused("PATCH", gcs.object("a"), json=changes) == (501, "notImplemented")
        gcs.call("PATCH", gcs.object("a"), json={name: False})


def test_a_body_that_is_no_json_object_is_refused(gcs: Gcs) -> None:
    gcs.upload("a")
    for body in (b"{", b"[]", b'"x"'):
        assert gcs.refused("PATCH", gcs.object("a"), data=body) == (400, "parseError")


def test_a_deleted_object_is_gone_and_its_name_free(gcs: Gcs, effects: Effects) -> None:
    gcs.upload("a")
    gcs.call("DELETE", gcs.object("a"))
    assert gcs.refused("GET", gcs.object("a")) == (404, "notFound")
    assert effects.heard == [
        ("object.created", f"gs://{BUCKET}/a"),
        ("object.deleted", f"gs://{BUCKET}/a"),
    ]


def test_another_generation_is_not_found(gcs: Gcs) -> None:
    first = gcs.upload("a", b"1")["generation"]
    second = gcs.upload("a", b"2")["generation"]
    assert gcs.call("GET", gcs.object("a", generation=second))["size"] == "1"
    for method in ("GET", "DELETE"):
        path = gcs.object("a", generation=first)
        assert gcs.refused(method, path) == (404, "notFound")
    assert gcs.contents("a") == b"2"


def test_names_are_kept_to_the_letter(gcs: Gcs) -> None:
    names = ["a/b", "a", "a//b", "/a", "ä ö", "a+b", "a?b#c%2F", "a%", "日本", "a:b", "\u2028x"]
    gcs.upload_all(names)
    assert gcs.names() == sorted(names)
    for name in names:
        assert gcs.call("GET", gcs.object(name))["name"] == name


CONDITIONS = ["GenerationMatch", "GenerationNotMatch"]
CONDITIONS += ["MetagenerationMatch", "MetagenerationNotMatch"]


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_condition_holds_or_the_call_does_nothing(gcs: Gcs, condition: str, method: str) -> None:
    made = gcs.upload("a")
    number = int(made["generation" if condition.startswith("Generation") else "metageneration"])
    holding, other = (number, number + 1) if condition.endswith("nMatch") else (number + 1, number)
    path = f"/storage/v1/b/{BUCKET}" + gcs.object("a", **{f"if{condition}": other})
    reply = gcs.send(method, path, json={})
    if method == "GET" and "Not" in condition:
        assert (reply.status_code, reply.content) == (304, b"")
    else:
        assert gcs.refusal(reply) == (412, "conditionNotMet")
    assert gcs.call("GET", gcs.object("a")) == made
    gcs.call(method, gcs.object("a", **{f"if{condition}": holding}), json={})


def test_a_condition_that_is_no_number_is_refused(gcs: Gcs) -> None:
    gcs.upload("a")
    for value in ("x", "-1", "1.5"):
        path = gcs.object("a", ifGenerationMatch=value)
        assert gcs.refused("GET", path) == (400, "invalid")


def test_a_condition_that_is_left_blank_is_none(gcs: Gcs) -> None:
    """https://github.com/fsouza/fake-gcs-server/issues/238."""
    made = gcs.upload("a", ifGenerationMatch="")
    assert gcs.call("GET", gcs.object("a", ifMetagenerationMatch="")) == made


def test_a_condition_that_does_not_hold_is_told_in_googles_words(gcs: Gcs) -> None:
    gcs.upload("a")
    path = f"/storage/v1/b/{BUCKET}{gcs.object('a', ifGenerationMatch=1)}"
    text = "At least one of the pre-conditions you specified did not hold."
    entry = {"message": text, "domain": "global", "reason": "conditionNotMet"}
    entry |= {"locationType": "header", "location": "If-Match"}
    error = gcs.send("DELETE", path).json()["error"]
    assert error == {"code": 412, "message": text, "errors": [entry]}


def test_a_part_of_a_resource_can_be_asked_for(gcs: Gcs) -> None:
    gcs.send_multipart({"name": "a", "metadata": {"x": "1", "y": "2"}}, b"")
    path = gcs.object("a", fields="name,metadata/x")
    assert gcs.call("GET", path) == {"name": "a", "metadata": {"x": "1"}}
