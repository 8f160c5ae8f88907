from __future__ import annotations

from typing import TYPE_CHECKING

import batchkit as bk
from batchkit.courier import Courier
from batchkit.events import Event, Transferred

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def test_a_shard_on_its_way_is_named_by_run_shard_attempt_and_content(
    tmp_path: Path, service: Service
) -> None:
    run = bk.build([{"text": "a"}], SPEC, into=tmp_path / "run", target="file")
    told: list[Event] = []
    courier = Courier(run, service.client, told.append)
    (shard,) = run.shards.shards
    courier.send(shard, run.attempts()[0], "file", courier.jobs())
    (file,) = (f for f in service.client.files.list_all() if f.source == "UPLOADED")
    (job,) = service.client.batches.list_all()
    name = f"batchkit-{run.definition.id}-00000-1-{shard.sha256[:12]}"
    assert file.display_name == job.display_name == name
    assert file.sha256 == shard.sha256
    sent = [event for event in told if isinstance(event, Transferred)]
    assert sent[-1] == Transferred("00000", shard.bytes, shard.bytes, is_upload=True)


def test_equal_tables_in_two_runs_have_jobs_of_two_names(tmp_path: Path, service: Service) -> None:
    for name in ("one", "two"):
        run = bk.build([{"text": "a"}], SPEC, into=tmp_path / name)
        bk.submit(run, client=service.client)
    names = {job.display_name for job in service.client.batches.list_all()}
    assert len(names) == 2
