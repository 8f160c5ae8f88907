from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchkit.emulator import CallFault, JobFault, RowFault, parse_fault


@pytest.mark.parametrize(
    "text, fault",
    [
        ("drop", RowFault("drop")),
        ("error,share=0.3,code=8", RowFault("error", share=0.3, code=8)),
        ("block,where=a b,times=2", RowFault("block", where="a b", times=2)),
        ("expire,answered=0.4", JobFault("expire", answered=0.4)),
        ("hide,seconds=30", JobFault("hide", seconds=30)),
        ("refuse,on=create,code=429,times=all", CallFault("refuse", "create", 429, times=None)),
        ("cut,on=download,skip=1", CallFault("cut", "download", skip=1)),
    ],
)
def test_a_fault_is_read_from_its_text(text: str, fault: Any) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text, said",
    [
        ("explode", "'explode' is no fault; there are refuse, lose, cut"),
        ("drop,answered=0.4", "'answered=0.4': a fault of kind drop takes share, where"),
        ("drop,share", "'share': a fault of kind drop takes share, where"),
        ("drop,share=much", "could not convert"),
        ("drop,share=1.5", r"RowFault\(share=1.5\): it is from 0 to 1"),
        ("refuse,on=lunch", r"CallFault\(on='lunch'\): it is one of create, get"),
    ],
)
def test_a_text_that_is_no_fault_is_refused_with_what_there_is(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_fault(text)


@pytest.mark.parametrize(
    "kind, fields",
    [
        (RowFault, {"kind": "expire"}),
        (JobFault, {"kind": "drop"}),
        (CallFault, {"kind": "hide"}),
        (JobFault, {"kind": "expire", "answered": -0.1}),
        (JobFault, {"kind": "expire", "answered": float("nan")}),
        (JobFault, {"kind": "hide", "seconds": -1}),
        (JobFault, {"kind": "fail", "code": 0}),
        (RowFault, {"kind": "drop", "times": 0}),
        (CallFault, {"kind": "cut", "skip": -1}),
    ],
)
def test_a_fault_that_there_is_not_cannot_be_made(kind: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}\("):
        kind(**fields)


def test_every_kind_of_fault_is_documented() -> None:
    with pytest.raises(ValueError, match="there are") as caught:
        parse_fault("none")
    kinds = str(caught.value).partition("there are ")[2].split(", ")
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")
    assert [kind for kind in kinds if f"\n| `{kind}` |" not in page] == []
    assert len(kinds) == len({*kinds}) == 20
