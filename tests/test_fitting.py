from __future__ import annotations

import numpy as np
import pytest

import batchkit as bk
from batchkit.fitting import fitted
from batchkit.outcome import Response


def answer(*values: float) -> Response:
    return Response("a", "ok", embedding=np.array(values, np.float32))


def test_a_vector_longer_than_asked_is_shortened_and_normalised_and_says_so() -> None:
    """Vertex AI has been seen to ignore output_dimensionality."""
    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=2)
    response, _ = fitted(answer(3, 4, 12), spec)
    assert response.status == "ok"
    assert response.embedding is not None
    assert response.embedding.dtype == np.float32
    assert response.embedding.tolist() == pytest.approx([0.6, 0.8])
    assert response.notes == ("shortened from 3 to 2 values and normalised",)


def test_a_model_whose_vectors_cannot_be_cut_gives_none_of_another_length() -> None:
    spec = bk.embed("some-other-model", "{text}", dimensions=2)
    response, _ = fitted(answer(3, 4, 12), spec)
    assert (response.status, response.embedding) == ("malformed", None)
    assert response.error_message == "the vector has 3 values, 2 were asked for"


def test_a_vector_of_the_length_asked_for_stays_as_it_came() -> None:
    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=2)
    response, _ = fitted(answer(3, 4), spec)
    assert response.embedding is not None
    assert response.embedding.tolist() == [3, 4]
    assert response.notes == ()


def test_vectors_are_brought_to_unit_length_on_request() -> None:
    spec = bk.embed("gemini-embedding-001", "{text}", normalize=True)
    response, _ = fitted(answer(3, 4), spec)
    assert response.embedding is not None
    assert response.embedding.tolist() == pytest.approx([0.6, 0.8])
    assert response.notes == ("normalised",)


def test_a_vector_without_a_length_stays_zero() -> None:
    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=2)
    response, _ = fitted(answer(0, 0, 1), spec)
    assert response.embedding is not None
    assert response.embedding.tolist() == [0, 0]
