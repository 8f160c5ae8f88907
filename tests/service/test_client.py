from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

import batchkit as bk

if TYPE_CHECKING:
    from tests.conftest import Service


def test_a_client_has_the_batches_and_the_files_of_one_account(service: Service) -> None:
    client = bk.Gemini(service.emulator.api_key, base_url=service.emulator.url)
    assert isinstance(client.batches, bk.Batches)
    assert isinstance(client.files, bk.Files)
    assert client.service == "gemini"
    file = client.files.upload(b"x")
    assert [each.name for each in client.files.list_all()] == [file.name]
    assert list(client.batches.list_all()) == []


def test_a_client_does_not_show_its_key() -> None:
    client = bk.Gemini("secret-key", base_url="http://127.0.0.1:8080")
    assert repr(client) == str(client) == "Gemini(base_url='http://127.0.0.1:8080')"


def test_batches_and_files_of_the_environment_need_no_client(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in service.emulator.environment.items():
        monkeypatch.setenv(name, value)
    job = bk.Batches().create("gemini-3.8-flash", inlined_requests=["Hello"])
    assert [r.text for r in bk.Batches().get_responses(job.name)] == ["Echo: Hello"]
    assert bk.Files().upload(b"x").bytes == 1


def test_jobs_and_files_can_be_carried_between_processes(service: Service) -> None:
    """Clients cannot; they hold a connection."""
    job = service.client.batches.create("gemini-3.8-flash", inlined_requests=["Hello"])
    file = service.client.files.upload(b"x")
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301  # our own
    assert pickle.loads(pickle.dumps(file)) == file  # noqa: S301  # our own


def test_a_service_that_is_not_there_is_said_after_the_retries() -> None:
    retries = bk.Retries(first_seconds=0.001, longest_seconds=0.01, total_seconds=0.05)
    client = bk.Gemini("secret-key", base_url="http://127.0.0.1:9", retries=retries)
    with pytest.raises(bk.errors.ServiceFailureError) as caught:
        client.batches.list()
    assert "secret-key" not in str(caught.value)
    assert "batches.list: CONNECTION: no answer from the service" in str(caught.value)
