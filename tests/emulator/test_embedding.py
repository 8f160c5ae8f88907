from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator.embedding import embed

SIZE = 3072
PINNED = [0.03495221957564354, -0.0023301478940993547, 0.01165073923766613, -0.01165073923766613]


def vector(
    text: str, dimensions: int = SIZE, *, normalise: bool = False
) -> npt.NDArray[np.float32]:
    return embed(text, SIZE, dimensions=dimensions, normalise=normalise)


def similarity(left: str, right: str, dimensions: int = 768) -> float:
    return float(
        np.dot(vector(left, dimensions, normalise=True), vector(right, dimensions, normalise=True))
    )


def test_a_whole_vector_has_unit_length() -> None:
    assert np.linalg.norm(vector("Hello world")) == pytest.approx(1, abs=1e-6)


def test_a_shorter_vector_is_the_beginning_of_the_whole_one() -> None:
    short = vector("Hello world", 256)
    assert np.array_equal(short, vector("Hello world")[:256])
    assert np.linalg.norm(short) < 0.5


def test_a_shorter_vector_can_be_made_of_unit_length() -> None:
    assert np.linalg.norm(vector("Hello", 256, normalise=True)) == pytest.approx(1, abs=1e-6)


def test_vectors_are_the_same_on_every_machine() -> None:
    assert vector("Hello world", 4).tolist() == PINNED


@pytest.mark.parametrize("dimensions", [256, 768, 3072])
@pytest.mark.parametrize(
    "query, near, far",
    [
        (
            "how do I reset my password",
            "To reset a password, open the settings of your account",
            "The recipe needs two eggs and a spoon of sugar",
        ),
        (
            "Wie funktioniert die Photosynthese?",
            "Pflanzen gewinnen durch Photosynthese Energie aus Licht",
            "Der Zug nach Hamburg fährt heute später",
        ),
        ("光合作用是什么", "植物的光合作用过程", "今天天气很好"),
        ("パスワードを変更する", "パスワードの変更方法", "おいしいラーメン"),
        ("фотосинтез растений", "Что такое фотосинтез", "Поезд опаздывает сегодня"),
        ("التمثيل الضوئي", "عملية التمثيل الضوئي في النبات", "القطار متأخر اليوم"),
    ],
)
def test_a_query_is_nearer_to_the_text_that_shares_its_words(
    query: str, near: str, far: str, dimensions: int
) -> None:
    assert similarity(query, near, dimensions) > similarity(query, far, dimensions) + 0.1


def test_case_and_width_do_not_matter() -> None:
    assert similarity("HELLO World", "hello world") == pytest.approx(1, abs=1e-5)
    assert similarity("\uff21\uff22\uff23", "abc") == pytest.approx(1, abs=1e-5)


@settings(deadline=None)
@given(text=st.text(max_size=50), dimensions=st.integers(1, SIZE))
def test_any_text_has_a_vector_without_a_zero(text: str, dimensions: int) -> None:
    found = vector(text, dimensions)
    assert found.dtype == np.float32
    assert found.shape == (dimensions,)
    assert np.all(np.isfinite(found) & (found != 0))
