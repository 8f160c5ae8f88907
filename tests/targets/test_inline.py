from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchkit import jsonl
from batchkit.targets.inline import create_inline, stage_nothing
from batchkit.targets.parcel import Parcel
from tests.google import google

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

REQUEST: dict[str, Any] = {"contents": [{"parts": [{"text": "hello"}]}]}
EMBED: dict[str, Any] = {"content": {"parts": [{"text": "hello"}]}, "outputDimensionality": 8}


def parcel(path: Path, lines: list[dict[str, Any]]) -> Parcel:
    path.write_bytes(b"\n".join(map(jsonl.dumps, lines)) + b"\n")
    embeds = "content" in lines[0]["request"]
    model = "gemini-embedding-001" if embeds else "gemini-3.8-flash"
    return Parcel(path, "embed" if embeds else "generate", model, "a name", "")


@pytest.mark.parametrize("request_", [REQUEST, EMBED], ids=["generate", "embed"])
def test_the_requests_travel_in_the_call_with_their_keys_beside_them(
    tmp_path: Path, request_: dict[str, Any]
) -> None:
    keys = ["a", "ü \u2028", '["x",1]']
    lines = [{"key": key, "request": request_} for key in keys]
    with google() as service:
        create_inline(service.client(), parcel(tmp_path / "requests", lines), None)
        (asked,) = service.asked("POST")
    batch = asked.json()["batch"]
    assert batch["displayName"] == "a name"
    assert batch["inputConfig"]["requests"]["requests"] == [
        {"request": request_, "metadata": {"key": key}} for key in keys
    ]


def test_the_answers_of_an_inline_job_carry_the_keys(tmp_path: Path, service: Service) -> None:
    lines = [{"key": key, "request": REQUEST} for key in ("a", "b")]
    job = create_inline(service.client, parcel(tmp_path / "requests", lines), None)
    items = service.client.batches.get(job.name).destination.inlined or ()
    assert {item["metadata"]["key"] for item in items} == {"a", "b"}


def test_nothing_is_put_anywhere_before(tmp_path: Path) -> None:
    sent = parcel(tmp_path / "requests", [{"key": "a", "request": REQUEST}])
    with google() as service:
        assert stage_nothing(service.client(), sent) is None
        assert service.server is not None
        assert service.server.asked == []
