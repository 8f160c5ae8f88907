from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

import batchkit as bk
from batchkit.emulator import serve
from batchkit.errors import BatchkitError
from tests.canaries import Told, canaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.canaries import Canaries

KEY = "a-key-without-any-form-that-is-known"
SPEC = bk.generate("gemini-3.8-flash", "Say {text}")
RETRIES = bk.Retries(first_seconds=0.001, longest_seconds=0.01, total_seconds=0.05)
LARGE = "large " * 200_000  # so that objects are uploaded in sessions, whose address is a secret


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    with serve(api_key=KEY, buckets=["bucket"]) as emulator, canaries(emulator) as between:
        assert between.server is not None
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value.replace(emulator.url, between.server.url))
        between.hear_account()
        yield between


def client_of(target: str) -> Any:
    return bk.Gemini(KEY, retries=RETRIES) if "://" not in target else bk.Vertex(retries=RETRIES)


def journey(folder: Path, target: str, told: Told) -> bk.Results:
    """A run that is begun again after each error, as its user would."""
    table = [{"id": f"r{i}", "text": LARGE if "://" in target else f"text {i}"} for i in range(8)]
    for _ in range(80):
        client = client_of(target)
        told.thing(client)
        told.thing(client.batches)
        try:
            results = bk.run(
                table,
                SPEC,
                key="id",
                into=folder / "run",
                target=target,
                client=client,
                settle_seconds=0,
                poll_seconds=0.01,
                progress=told.thing,
                provenance=True,
                raw=True,
            )
        except BatchkitError as error:
            told.error(error)
        else:
            results.to_parquet()
            results.to_csv(folder / "out.csv")
            results.to_jsonl(folder / "out.jsonl")
            return results
    pytest.fail("the journey came to no end")


def answered(call: Callable[[], Any], told: Told) -> Any:
    """What a call gives in the end."""
    for _ in range(20):
        try:
            return call()
        except BatchkitError as error:
            told.error(error)
    return None


def look_around(target: str, told: Told) -> None:
    """Everything that a client shows of what there is."""
    client = client_of(target)
    jobs = answered(lambda: list(client.batches.list_all()), told)
    page = answered(client.batches.list, told)
    job = answered(lambda: client.batches.get(jobs[0].name), told)
    assert answered(lambda: client.batches.get("batches/none"), told) is None
    for thing in (*jobs, page, job, job.error, vars(client)):
        told.thing(thing)
    if isinstance(client, bk.Gemini):
        told.thing(client.files)
        told.thing(answered(client.files.list, told))
        for file in answered(lambda: list(client.files.list_all()), told):
            told.thing(file)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of cut lines
@pytest.mark.parametrize("target", ["inline", "file", "gs://bucket/folder"])
def test_no_key_token_or_upload_address_is_ever_written_or_said(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    heard: Canaries,
    target: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    told = Told()
    with caplog.at_level(logging.DEBUG):
        results = journey(tmp_path, target, told)
        look_around(target, told)
    assert results.tally()["ok"] == len(results)
    for thing in (results, results.run, results.to_pandas(), *results.run.attempts()):
        told.thing(thing)
    told.folder(tmp_path)
    told.texts += [*capfd.readouterr(), caplog.text]
    told.texts += [repr(vars(record)) for record in caplog.records]
    kinds = {"inline": 3, "file": 4, "gs://bucket/folder": 3}
    assert len(heard.secrets) > kinds[target]
    assert len(heard.failures) > kinds[target]  # so many ways of calling have failed
    assert any("urllib3" in record.name for record in caplog.records)
    assert told.leaked(heard.secrets) == []
