from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .client import Client


def test_a_current_model_says_what_it_can(client: Client) -> None:
    model = client.call("GET", "models/gemini-3.8-flash")
    assert model["name"] == "models/gemini-3.8-flash"
    assert "batchGenerateContent" in model["supportedGenerationMethods"]
    assert model["inputTokenLimit"] == 1_048_576


def test_an_embedding_model_makes_embedding_batches(client: Client) -> None:
    model = client.call("GET", "models/gemini-embedding-2")
    assert "asyncBatchEmbedContent" in model["supportedGenerationMethods"]


@pytest.mark.parametrize(
    "model", ["gemini-2.0-flash", "embedding-001", "text-embedding-004", "text-embedding-005"]
)
def test_a_retired_model_is_not_found_in_googles_words(client: Client, model: str) -> None:
    error = client.refused("GET", f"models/{model}")
    assert error["status"] == "NOT_FOUND"
    assert error["message"].startswith(f"models/{model} is not found for API version v1beta")


def test_models_are_listed_in_pages(client: Client) -> None:
    whole = [model["name"] for model in client.call("GET", "models")["models"]]
    assert "models/gemini-embedding-001" in whole
    paged: list[str] = []
    token = ""
    while token or not paged:
        page = client.call("GET", f"models?pageSize=4&pageToken={token}")
        paged += [model["name"] for model in page["models"]]
        token = page.get("nextPageToken", "")
    assert paged == whole
