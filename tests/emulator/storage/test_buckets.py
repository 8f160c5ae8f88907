from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchkit.emulator import serve

from .client import BUCKET, Gcs

if TYPE_CHECKING:
    from batchkit.emulator import Emulator

    from .conftest import Effects


def create(gcs: Gcs, **resource: Any) -> Any:
    reply = gcs.send("POST", "/storage/v1/b?project=p", json=resource)
    assert reply.status_code == 200, reply.text
    return reply.json()


def refused(gcs: Gcs, **resource: Any) -> tuple[int, str]:
    return gcs.refusal(gcs.send("POST", "/storage/v1/b?project=p", json=resource))


def test_a_bucket_keeps_its_place_class_and_labels(gcs: Gcs) -> None:
    made = create(
        gcs, name="new-one", location="europe-west4", storageClass="NEARLINE", labels={"a": "b"}
    )
    found = gcs.send("GET", "/storage/v1/b/new-one").json()
    assert found == made
    assert (found["location"], found["locationType"]) == ("EUROPE-WEST4", "region")
    assert (found["storageClass"], found["labels"]) == ("NEARLINE", {"a": "b"})
    assert found["timeCreated"] == "2026-01-06T11:09:11.943Z"
    assert found["metageneration"] == "1"


def test_a_bucket_of_which_nothing_is_said_is_standard_and_in_the_us(gcs: Gcs) -> None:
    made = create(gcs, name="new-one")
    assert (made["location"], made["locationType"]) == ("US", "multi-region")
    assert made["storageClass"] == "STANDARD"


@pytest.mark.parametrize(
    "name", ["", "ab", "Upper", "under_", "-dash", "goog-le", "a" * 64, "with space", "a/b"]
)
def test_a_name_that_cannot_be_is_refused(gcs: Gcs, name: str) -> None:
    assert refused(gcs, name=name) == (400, "invalid")


def test_a_name_with_dots_may_be_long(gcs: Gcs) -> None:
    name = ".".join(["a" * 63] * 3)
    assert create(gcs, name=name)["name"] == name


@pytest.mark.parametrize("location", ["MARS", "us central1", "EU1"])
def test_a_location_that_is_none_is_refused(gcs: Gcs, location: str) -> None:
    assert refused(gcs, name="new-one", location=location) == (400, "invalid")


def test_a_class_that_is_none_is_refused(gcs: Gcs) -> None:
    for storage_class in ("COZY", ["STANDARD"], 1):
        assert refused(gcs, name="new-one", storageClass=storage_class) == (400, "invalid")
    assert refused(gcs, name="new-one", versioning="yes") == (400, "invalid")


@pytest.mark.parametrize("setting", ["versioning", "hierarchicalNamespace"])
def test_what_the_emulator_would_not_do_is_refused_not_ignored(gcs: Gcs, setting: str) -> None:
    assert refused(gcs, name="new-one", **{setting: {"enabled": True}}) == (501, "notImplemented")
    assert create(gcs, name="new-one", **{setting: {"enabled": False}})


def test_a_name_that_is_taken_is_a_conflict(gcs: Gcs) -> None:
    reply = gcs.send("POST", "/storage/v1/b", json={"name": BUCKET})
    assert gcs.refusal(reply) == (409, "conflict")
    assert "you already own it" in reply.json()["error"]["message"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_bucket_that_is_not_there_is_not_found(gcs: Gcs, method: str) -> None:
    reply = gcs.send(method, "/storage/v1/b/nowhere", json={})
    assert gcs.refusal(reply) == (404, "notFound")
    assert reply.json()["error"]["message"] == "The specified bucket does not exist."


def test_a_patch_changes_what_it_names_and_a_null_removes(gcs: Gcs) -> None:
    create(gcs, name="new-one", labels={"a": "1", "b": "2"}, website={"mainPageSuffix": "x"})
    changes = {"labels": {"a": None, "c": "3"}, "website": None, "location": "EU"}
    reply = gcs.send("PATCH", "/storage/v1/b/new-one", json=changes)
    patched = reply.json()
    assert patched["labels"] == {"b": "2", "c": "3"}
    assert "website" not in patched
    assert patched["location"] == "US"  # cannot be changed
    assert patched["metageneration"] == "2"
    assert gcs.send("GET", "/storage/v1/b/new-one").json() == patched


def test_an_update_drops_what_it_does_not_name(gcs: Gcs) -> None:
    create(gcs, name="new-one", labels={"a": "1"}, storageClass="NEARLINE")
    updated = gcs.send("PUT", "/storage/v1/b/new-one", json={}).json()
    assert "labels" not in updated
    assert updated["storageClass"] == "NEARLINE"


def test_conditions_are_about_the_metageneration(gcs: Gcs) -> None:
    path = f"/storage/v1/b/{BUCKET}"
    assert gcs.send("PATCH", f"{path}?ifMetagenerationMatch=1", json={}).status_code == 200
    stale = gcs.send("PATCH", f"{path}?ifMetagenerationMatch=1", json={})
    assert gcs.refusal(stale) == (412, "conditionNotMet")
    assert gcs.send("GET", f"{path}?ifMetagenerationNotMatch=2").status_code == 304
    assert gcs.send("DELETE", f"{path}?ifMetagenerationMatch=7").status_code == 412


def test_only_an_empty_bucket_can_be_deleted(gcs: Gcs, effects: Effects) -> None:
    gcs.upload("a")
    reply = gcs.send("DELETE", f"/storage/v1/b/{BUCKET}")
    assert gcs.refusal(reply) == (409, "conflict")
    gcs.call("DELETE", gcs.object("a"))
    assert gcs.send("DELETE", f"/storage/v1/b/{BUCKET}").status_code == 204
    assert gcs.send("GET", f"/storage/v1/b/{BUCKET}").status_code == 404
    assert effects.heard[-1] == ("bucket.deleted", f"gs://{BUCKET}")


def test_buckets_are_listed_in_pages_and_by_prefix(gcs: Gcs) -> None:
    for name in ("bb1", "bb2", "bb3", "cc1"):
        create(gcs, name=name)
    seen, query = [], {"prefix": "bb", "maxResults": "2"}
    while True:
        page = gcs.send("GET", "/storage/v1/b", params=query).json()
        seen.append([item["name"] for item in page["items"]])
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert seen == [["bb1", "bb2"], ["bb3"]]
    assert "items" not in gcs.send("GET", "/storage/v1/b?prefix=zz").json()


def test_the_layout_says_where_a_bucket_is_and_that_it_is_flat(gcs: Gcs) -> None:
    layout = gcs.call("GET", "/storageLayout")
    assert layout["location"] == "US"
    assert layout["hierarchicalNamespace"] == {"enabled": False}


def test_buckets_named_at_the_start_are_made_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("emulator")
    for _ in range(2):
        with serve(folder=folder, buckets=("one", "other")) as emulator:
            assert emulator.stats()["buckets"] == 2


def test_what_happens_to_buckets_is_heard(gcs: Gcs, effects: Effects, emulator: Emulator) -> None:
    create(gcs, name="new-one")
    gcs.send("PATCH", "/storage/v1/b/new-one", json={})
    assert effects.heard == [
        ("bucket.created", "gs://new-one"),
        ("bucket.updated", "gs://new-one"),
    ]
    assert emulator.stats()["buckets"] == 2
