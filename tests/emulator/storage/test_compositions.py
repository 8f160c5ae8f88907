from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import google_crc32c

from .client import BUCKET, Gcs

if TYPE_CHECKING:
    from .conftest import Effects


def body(*sources: str | dict[str, Any], **destination: Any) -> dict[str, Any]:
    entries = [{"name": source} if isinstance(source, str) else source for source in sources]
    return {"sourceObjects": entries, "destination": destination}


def compose(gcs: Gcs, name: str, *sources: str | dict[str, Any], **destination: Any) -> Any:
    return gcs.call("POST", f"{gcs.object(name)}/compose", json=body(*sources, **destination))


def test_a_composition_is_its_sources_in_their_order(gcs: Gcs, effects: Effects) -> None:
    gcs.upload("a", b"one ")
    gcs.upload("b", b"two ")
    made = compose(gcs, "c/d", "b", "a", "b", contentType="text/plain", metadata={"k": "v"})
    assert gcs.contents("c/d") == b"two one two "
    assert (made["componentCount"], made["size"]) == (3, "12")
    assert (made["contentType"], made["metadata"]) == ("text/plain", {"k": "v"})
    assert "md5Hash" not in made
    assert int.from_bytes(base64.b64decode(made["crc32c"])) == google_crc32c.value(b"two one two ")
    assert "md5" not in gcs.download("c/d").headers["x-goog-hash"]
    assert effects.heard[-1] == ("object.created", f"gs://{BUCKET}/c/d")


def test_components_are_counted_through(gcs: Gcs) -> None:
    gcs.upload("a", b"x")
    compose(gcs, "b", "a", "a")
    assert compose(gcs, "c", "b", "a")["componentCount"] == 3
    copy = gcs.call("POST", f"/o/c/copyTo/b/{BUCKET}/o/d")
    assert copy["componentCount"] == 3


def test_an_object_may_be_composed_onto_itself(gcs: Gcs) -> None:
    gcs.upload("log", b"one ")
    gcs.upload("new", b"two")
    compose(gcs, "log", "log", "new")
    assert gcs.contents("log") == b"one two"


def test_sources_are_1_to_32(gcs: Gcs) -> None:
    gcs.upload("a", b"x")
    path = f"{gcs.object('b')}/compose"
    assert gcs.refused("POST", path, json=body()) == (400, "invalid")
    for sources in ("a", ["a"], {}, {"name": "a"}):
        malformed = {"sourceObjects": sources}
        assert gcs.refused("POST", path, json=malformed) == (400, "invalid")
    assert gcs.refused("POST", path, json=body(*["a"] * 33)) == (400, "invalid")
    assert compose(gcs, "b", *["a"] * 32)["size"] == "32"


def test_conditions_on_sources_and_target_hold_or_nothing_is_made(gcs: Gcs) -> None:
    generation = int(gcs.upload("a", b"x")["generation"])
    path = f"{gcs.object('b')}/compose"
    stale = {"name": "a", "objectPreconditions": {"ifGenerationMatch": str(generation + 1)}}
    assert gcs.refused("POST", path, json=body(stale)) == (412, "conditionNotMet")
    query = {"ifGenerationMatch": "1"}
    assert gcs.refused("POST", path, json=body("a"), params=query) == (412, "conditionNotMet")
    gone = {"name": "a", "generation": str(generation - 1)}
    assert gcs.refused("POST", path, json=body(gone)) == (404, "notFound")
    assert gcs.refused("POST", path, json=body("missing")) == (404, "notFound")
    assert gcs.names() == ["a"]
    fresh = {"name": "a", "objectPreconditions": {"ifGenerationMatch": generation}}
    gcs.call("POST", path, json=body(fresh), params={"ifGenerationMatch": 0})
    assert gcs.contents("b") == b"x"
