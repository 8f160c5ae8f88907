from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.scalar import SCALARS, is_enum_number
from tests.proto_values import SCALARS as DRAWN
from tests.proto_values import TABLES


@pytest.mark.parametrize("name", sorted(DRAWN))
@given(data=st.data())
def test_every_spelling_of_a_value_is_read(name: str, data: st.DataObject) -> None:
    assert SCALARS[name].fits(data.draw(DRAWN[name]))


@pytest.mark.parametrize(
    "name, value",
    [
        ("int32", 2**31),
        ("int32", -(2**31) - 1),
        ("int32", 1.5),
        ("int32", True),
        ("int32", ""),
        ("int32", " 1"),
        ("int32", "--5"),
        ("int32", "+5"),
        ("int32", "1.5"),
        ("int32", "0x10"),
        ("int32", "\uff11"),
        ("int32", "9" * 5_000),
        ("int32", "1e999"),
        ("int32", [1]),
        ("int64", str(2**63)),
        ("int64", float(2**63)),
        ("double", "NaN"),
        ("double", "Infinity"),
        ("double", "1e999"),
        ("double", "1_0"),
        ("double", True),
        ("double", float("inf")),
        ("float", ""),
        ("boolean", "true"),
        ("boolean", 1),
        ("string", 5),
        ("byte", "data:image/png;base64,aGk="),
        ("byte", "aGk\n"),
        ("byte", "a"),
        ("byte", "aGk==="),
        ("byte", "é"),
        ("byte", [104, 105]),
        ("google-duration", "3"),
        ("google-duration", "3 s"),
        ("google-duration", 3),
        ("google-datetime", "2026-11-23"),
        ("date-time", "2026-11-23 10:00:00"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_no_parser_reads_is_no_value(name: str, value: Any) -> None:
    assert not SCALARS[name].fits(value)


def test_exponents_and_trailing_zeros_make_no_other_integer() -> None:
    for text in ("1e2", "1E+2", "100.0", "100.00e0", "1000e-1"):
        assert SCALARS["int32"].fits(text)


@pytest.mark.parametrize("value, is_one", [(0, True), (7, True), (2**31, False), (True, False)])
def test_an_enum_may_be_given_by_number(value: Any, *, is_one: bool) -> None:
    assert is_enum_number(value) is is_one


@pytest.mark.parametrize("service", ["gemini", "vertex"])
def test_every_scalar_of_the_field_tables_is_known(service: str) -> None:
    def named(field_type: Any) -> set[str]:
        if isinstance(field_type, list):
            return named(field_type[0])
        if isinstance(field_type, dict):
            return named(field_type["map"]) if "map" in field_type else set()
        return {field_type}

    types = TABLES[service]
    messages = [entry for entry in types.values() if "fields" in entry and entry != "object"]
    used = {name for entry in messages for kind in entry["fields"].values() for name in named(kind)}
    assert used - types.keys() <= SCALARS.keys()
