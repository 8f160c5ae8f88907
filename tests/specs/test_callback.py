from __future__ import annotations

import functools
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from batchkit.errors import SetupError
from batchkit.specs.callback import Callback, as_callback

if TYPE_CHECKING:
    from collections.abc import Mapping


def shout(row: Mapping[str, Any]) -> str:
    return row["text"].upper()


class Asker:
    def __call__(self, row: Mapping[str, Any]) -> str:
        return row["text"] + "?"


def test_a_function_is_known_by_name_and_version() -> None:
    callback = as_callback(shout, "2")
    assert str(callback) == "tests.specs.test_callback.shout version 2"
    assert callback.called()({"text": "x"}) == "X"


@pytest.mark.parametrize(
    "function, name",
    [
        (Asker(), "tests.specs.test_callback.Asker"),
        (functools.partial(shout), "functools.partial"),
        (Asker().__call__, "tests.specs.test_callback.Asker.__call__"),
    ],
    ids=["object", "partial", "method"],
)
def test_whatever_can_be_called_is_a_function(function: Any, name: str) -> None:
    assert as_callback(function, "1").name == name


@pytest.mark.parametrize("version", [None, ""])
def test_a_function_without_a_version_is_refused_with_what_to_write(version: str | None) -> None:
    with pytest.raises(SetupError, match=r"shout is a function: give version='1', and a new one"):
        as_callback(shout, version)


@pytest.mark.parametrize("prompt", [None, 5, {"contents": []}, ["a"]])
def test_what_is_neither_text_nor_function_is_refused_as_such(prompt: Any) -> None:
    with pytest.raises(SetupError, match=f"is a {type(prompt).__name__}: give a template or a fun"):
        as_callback(prompt, "1")


def test_a_callback_read_back_knows_its_name_and_misses_its_function() -> None:
    callback = Callback.from_json(as_callback(shout, "1").to_json())
    assert callback == as_callback(shout, "1")
    with pytest.raises(SetupError, match=r"shout version 1 is not at hand: pass the spec"):
        callback.called()


def test_callbacks_differ_by_version_and_not_by_code() -> None:
    one, other = Callback("f", "1", shout), Callback("f", "1", lambda _: "x")
    assert one == other
    assert one != Callback("f", "2", shout)


def test_a_function_of_a_module_travels_to_another_process() -> None:
    there = pickle.loads(pickle.dumps(as_callback(shout, "1")))  # noqa: S301
    assert there.called()({"text": "x"}) == "X"
