from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import batchkit as bk
from batchkit.errors import NotAuthorisedError, NotFoundError
from tests.conftest import quick_vertex
from tests.scripted import Asked, Said, forbidding, scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import VertexService

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
# As in https://github.com/googleapis/google-cloud-python/issues/9065, with what is added since.
DENIED = (
    "robot@p.iam.gserviceaccount.com does not have {0} access to the Google Cloud Storage bucket. "
    "Permission '{0}' denied on resource (or it may not exist)."
)
# What each permission is for: https://docs.cloud.google.com/storage/docs/access-control/iam-json
CALLS = {
    "storage.buckets.get": r"GET /storage/v1/b/[^/?]+(\?.*)?",
    "storage.objects.list": r"GET /storage/v1/b/[^/?]+/o(\?.*)?",
    "storage.objects.get": r"GET /(download/)?storage/v1/b/[^/?]+/o/.+",
    "storage.objects.create": r"POST /upload/storage/.*",
}


def built(folder: Path, target: str, output: str | None = None) -> bk.Run:
    rows = [{"id": f"k{i}", "text": "hello"} for i in range(4)]
    limits = {"max_rows": 2}
    return bk.build(rows, SPEC, key="id", into=folder, target=target, output=output, limits=limits)


def sent(vertex: VertexService) -> tuple[int, int]:
    """How many objects and jobs there are."""
    stats = vertex.emulator.stats()
    return stats["objects"], sum(stats["jobs"].values())


def without(permission: str, vertex: VertexService) -> Callable[[Asked], Said]:
    """The emulator's Cloud Storage, to an account that has all permissions but one."""
    denied = DENIED.format(permission)
    return forbidding(CALLS[permission], denied, "forbidden", vertex.emulator.url)


@pytest.mark.parametrize(
    "target, output", [("gs://no-such-bucket/p", None), ("gs://emulator-bucket/p", "gs://no-such")]
)
def test_a_bucket_that_is_not_there_is_named_before_anything_is_sent(
    tmp_path: Path, vertex: VertexService, target: str, output: str | None
) -> None:
    run = built(tmp_path / "run", target, output)
    with pytest.raises(NotFoundError, match="there is no bucket gs://no-such") as caught:
        bk.submit(run, client=vertex.client)
    assert "check the name" in str(caught.value)
    assert sent(vertex) == (0, 0)


@pytest.mark.parametrize(
    "permission", ["storage.objects.list", "storage.objects.get", "storage.objects.create"]
)
def test_a_missing_permission_is_said_before_any_job(
    tmp_path: Path, vertex: VertexService, monkeypatch: pytest.MonkeyPatch, permission: str
) -> None:
    run = built(tmp_path / "run", vertex.uri("p"))
    with scripted(without(permission, vertex)) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        with pytest.raises(NotAuthorisedError) as caught:
            bk.submit(run, client=quick_vertex())
    assert caught.value.message == DENIED.format(permission)
    assert "such as Storage Object User on the bucket" in str(caught.value)
    assert sent(vertex) == (0, 0)


def test_once_the_permission_is_there_the_run_goes_on_at_once(
    tmp_path: Path, vertex: VertexService, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = built(tmp_path / "run", vertex.uri("p"))
    with scripted(without("storage.objects.create", vertex)) as server, monkeypatch.context() as at:
        at.setenv("STORAGE_EMULATOR_HOST", server.url)
        with pytest.raises(NotAuthorisedError):
            bk.submit(run, client=quick_vertex())
    assert bk.submit(run, client=vertex.client, settle_seconds=600).is_complete
    assert sent(vertex)[1] == 2


def test_roles_on_objects_alone_are_enough(
    tmp_path: Path, vertex: VertexService, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = built(tmp_path / "run", vertex.uri("p"))
    with scripted(without("storage.buckets.get", vertex)) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        client = quick_vertex()
        bk.submit(run, client=client)
        bk.wait(run, client=client)
        assert bk.collect(run, client=client).tally()["ok"] == 4
