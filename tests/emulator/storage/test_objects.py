from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from batchkit.emulator import Clock, serve

from .client import BUCKET, QUANTUM, Gcs

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.emulator import Emulator


def test_generations_grow_even_when_time_stands_still(gcs: Gcs) -> None:
    generations = [int(gcs.upload("a")["generation"]) for _ in range(3)]
    gcs.call("DELETE", gcs.object("a"))
    generations.append(int(gcs.upload("a")["generation"]))
    assert generations == sorted(set(generations))


def test_generations_grow_over_a_restart_and_a_deletion(tmp_path: Path) -> None:
    generations: list[int] = []
    for _ in range(3):
        with serve(folder=tmp_path, clock=Clock(), buckets=(BUCKET,)) as emulator:
            gcs = Gcs(emulator.url)
            generations.append(int(gcs.upload("a")["generation"]))
            gcs.call("DELETE", gcs.object("a"))
            gcs.session.close()
    assert generations == sorted(set(generations))


def test_of_many_creators_of_one_name_exactly_one_succeeds(emulator: Emulator) -> None:
    start = threading.Barrier(8)

    def create(number: int) -> int:
        gcs = Gcs(emulator.url)
        start.wait()
        status = gcs.send_media("a", str(number).encode(), ifGenerationMatch=0).status_code
        gcs.session.close()
        return status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(create, range(8)))
    assert sorted(statuses) == [200] + [412] * 7


def test_a_reader_sees_one_generation_whole_while_others_replace_it(emulator: Emulator) -> None:
    texts = [bytes([65 + number]) * QUANTUM for number in range(4)]
    gcs = Gcs(emulator.url)
    gcs.upload("a", texts[0])
    done = threading.Event()

    def replace() -> None:
        writer = Gcs(emulator.url)
        while not done.is_set():
            for text in texts:
                writer.upload("a", text)
        writer.session.close()

    writing = threading.Thread(target=replace)
    writing.start()
    try:
        for _ in range(100):
            assert gcs.contents("a") in texts
    finally:
        done.set()
        writing.join()
        gcs.session.close()


def test_a_replaced_or_deleted_object_leaves_nothing_on_disk(emulator: Emulator, gcs: Gcs) -> None:
    for _ in range(3):
        gcs.upload("a", b"x")
    assert len(list((emulator.folder / "blobs").iterdir())) == 1
    gcs.call("DELETE", gcs.object("a"))
    assert list((emulator.folder / "blobs").iterdir()) == []


@pytest.mark.parametrize(
    "name", [".", "..", "a\nb", "a\rb", "x" * 1025, "ä" * 513, ".well-known/acme-challenge/x"]
)
def test_a_name_no_object_can_have_is_refused(gcs: Gcs, name: str) -> None:
    assert gcs.refusal(gcs.send_media(name)) == (400, "invalid")


def test_an_upload_without_a_name_is_refused(gcs: Gcs) -> None:
    assert gcs.refusal(gcs.send_media("")) == (400, "required")


def test_a_name_may_have_1024_bytes(gcs: Gcs) -> None:
    name = "ä" * 512
    assert gcs.upload(name)["name"] == name


def test_statistics_count_objects_and_their_bytes(emulator: Emulator, gcs: Gcs) -> None:
    gcs.upload("a", b"12345")
    gcs.upload("b", b"678")
    gcs.upload("b", b"9")
    stats = gcs.send("GET", "/_emulator/stats").json()
    assert (stats["buckets"], stats["objects"], stats["object_bytes"]) == (1, 2, 6)
    assert emulator.stats() == stats
