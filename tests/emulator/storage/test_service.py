from __future__ import annotations

import contextlib
import itertools
import os
import threading
from typing import TYPE_CHECKING

import requests

from batchkit.emulator import serve

from .client import BUCKET, QUANTUM, Gcs
from .process import emulator_elsewhere

if TYPE_CHECKING:
    from pathlib import Path

TEXT = os.urandom(2 * QUANTUM + 100)


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    with emulator_elsewhere(tmp_path) as process:
        gcs = Gcs(process.url)
        made = gcs.send_multipart({"name": "a", "metadata": {"k": "v"}}, TEXT).json()
        gcs.upload_all(["gone", "copied"])
        gcs.call("DELETE", gcs.object("gone"))
        gcs.call("POST", f"/o/a/rewriteTo/b/{BUCKET}/o/copied")
        gcs.call("PATCH", gcs.object("copied"), json={"contentType": "text/plain"})
        gcs.send("POST", "/storage/v1/b", json={"name": "another", "location": "EU"})
        session = gcs.start("resumed")
        gcs.put(session, TEXT[:QUANTUM], f"bytes 0-{QUANTUM - 1}/*")
        upload = gcs.start_parts("parts")
        part = gcs.put_part("parts", upload, 1, TEXT).headers["etag"]
        finished = gcs.start("finished")
        final = gcs.send("PUT", finished, data=b"x").json()
        process.kill()
        old = process.url
        gcs.session.close()
    with serve(folder=tmp_path) as emulator:
        gcs = Gcs(emulator.url)
        found = gcs.call("GET", gcs.object("a", fields="generation,md5Hash,metadata"))
        assert found == {name: made[name] for name in ("generation", "md5Hash", "metadata")}
        assert gcs.names() == ["a", "copied", "finished"]
        assert gcs.contents("copied") == TEXT
        assert gcs.call("GET", gcs.object("copied"))["contentType"] == "text/plain"
        assert gcs.send("GET", "/storage/v1/b/another").json()["location"] == "EU"
        session, finished = session.replace(old, gcs.url), finished.replace(old, gcs.url)
        assert gcs.received(session) == QUANTUM
        rest = gcs.put(session, TEXT[QUANTUM:], f"bytes {QUANTUM}-{len(TEXT) - 1}/{len(TEXT)}")
        assert int(rest.json()["generation"]) > int(final["generation"])
        assert gcs.contents("resumed") == TEXT
        again = gcs.put(finished, b"", "bytes */1").json()
        assert again["generation"] == final["generation"]
        assert again["selfLink"].startswith(gcs.url)
        assert gcs.complete("parts", upload, (1, part)).status_code == 200
        assert gcs.contents("parts") == TEXT
        gcs.session.close()


def test_a_kill_amid_writing_leaves_no_torn_object(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    with emulator_elsewhere(tmp_path) as process:
        busy = threading.Event()

        def write(worker: int) -> None:
            gcs = Gcs(process.url)
            with contextlib.suppress(requests.ConnectionError):
                for number in itertools.count():
                    # A name is written again and again: each time longer, and of one letter.
                    name = f"{worker}-{number % 3}"
                    gcs.upload(name, bytes([97 + number % 26]) * (QUANTUM + number))
                    acknowledged[name] = QUANTUM + number
                    if number == 20:
                        busy.set()
            gcs.session.close()

        workers = [threading.Thread(target=write, args=[worker]) for worker in range(3)]
        for worker in workers:
            worker.start()
        assert busy.wait(60)
        process.kill()
        for worker in workers:
            worker.join()
    with serve(folder=tmp_path) as emulator:
        gcs = Gcs(emulator.url)
        items = gcs.call("GET", "/o")["items"]
        assert {item["name"] for item in items} >= set(acknowledged)
        for item in items:
            text = gcs.contents(item["name"])
            assert len(text) == int(item["size"]) >= acknowledged.get(item["name"], 0)
            assert len(set(text)) == 1
        assert len(list((tmp_path / "blobs").iterdir())) == len(items)
        gcs.session.close()


def test_paths_of_the_json_api_that_are_none_are_not_found(gcs: Gcs) -> None:
    paths = [
        "/storage/v1/nothing",
        "/storage/v1/b/x/y",
        "/upload/storage/v1/x",
        "/batch/storage/v1/x",
    ]
    paths += ["/download/storage/v1/b/x", f"/storage/v1/b/{BUCKET}/o/a/b"]
    for path in paths:
        assert gcs.refusal(gcs.send("GET", path)) == (404, "notFound")


def test_paths_of_the_other_apis_are_not_taken_for_buckets(gcs: Gcs) -> None:
    for path in ("/v1beta/nothing", "/v1/files", "/v1beta1/x"):
        error = gcs.send("GET", path).json()["error"]
        assert error["status"] == "PERMISSION_DENIED"  # there, a key is wanted
