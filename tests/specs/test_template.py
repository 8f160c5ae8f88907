from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit.errors import TemplateError
from batchkit.specs.template import Hole, Template, bind_template
from tests.specs.asked import asked

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("price", pa.float64()),
        ("day", pa.date32()),
        ("tags", pa.list_(pa.string())),
        ("data", pa.binary()),
        ("a:b", pa.string()),
        ("what??", pa.string()),
        ("none", pa.null()),
    ]
)


def bound(text: str, schema: pa.Schema = SCHEMA) -> tuple[str | Hole, ...]:
    return bind_template(Template(text), schema)


def rendered(template: str, **values: Any) -> str | None:
    """The prompt that a template makes of one row; None for a rejected one."""
    columns = {name: pa.array([value]) for name, value in values.items()}
    (body,) = asked(bk.generate("m", template), columns)
    return None if isinstance(body, tuple) else body["contents"][0]["parts"][0]["text"]


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("plain", ("plain",)),
        ("{text}", (Hole("text"),)),
        ("Say {text} now", ("Say ", Hole("text"), " now")),
        ("{text}{text}", (Hole("text"), Hole("text"))),
        ("{{text}}", ("{text}",)),
        ("{{{text}}}", ("{", Hole("text"), "}")),
        ('{{"a": {text}}}', ('{"a": ', Hole("text"), "}")),
        ("{price:.2f}", (Hole("price", ".2f"),)),
        ("{price:.2f??free}", (Hole("price", ".2f", "free"),)),
        ("{text??}", (Hole("text", "", ""),)),
        ("{text??a: b}", (Hole("text", "", "a: b"),)),
        ("{day:%H:%M}", (Hole("day", "%H:%M"),)),
        ("{text:}", (Hole("text"),)),
        ("{a:b}", (Hole("a:b"),)),
        ("{a:b??x}", (Hole("a:b", "", "x"),)),
        ("{what??}", (Hole("what??"),)),
        ("{none:.2f}", (Hole("none", ".2f"),)),
        ("a\nb\u2028\0{text}", ("a\nb\u2028\0", Hole("text"))),
    ],
)
def test_a_template_is_constant_texts_and_holes(text: str, pieces: tuple[str | Hole, ...]) -> None:
    assert bound(text) == pieces


@pytest.mark.parametrize(
    "text, said",
    [
        ("{txt}", "no column 'txt' for the template '{txt}'; did you mean {text}?"),
        ("{Price}", "did you mean {price}?"),
        ("{ text }", "did you mean {text}?"),
        ("{zzzzz}", "the columns are text, price, day, tags, data, a:b, what??, none"),
        ("{}", "no column '' for the template '{}'; the columns are text"),
        ('{"a": 1}', "a brace that stands for itself is written twice"),
        ("{text", "a lone '{' at character 0, in '{text': double it"),
        ("text}", "a lone '}' at character 4, in 'text}': double it"),
        ("{te{xt}", "a lone '{' at character 0"),
        ("", "the template is empty, and the service refuses an empty text"),
        ("{data}", "column 'data' in '{data}': bytes have no text form: decode them first"),
        ("{text:.2f}", "column 'text' in '{text:.2f}': string cannot be formatted with '.2f'"),
        ("{tags:>5}", "list<item: string> takes no format specification"),
        ("{day:.2f}", "date32[day] is formatted with directives such as %Y"),
    ],
)
def test_a_template_that_does_not_fit_says_why_and_what_to_do(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        bound(text)
    assert said in str(caught.value)
    assert caught.value.template == text


def test_a_long_prompt_does_not_drown_what_is_wrong_with_it() -> None:
    text = "x" * 10_000 + "{txt}" + "y" * 10_000
    with pytest.raises(TemplateError, match=r"did you mean \{text\}") as caught:
        bound(text)
    assert len(str(caught.value)) < 300
    with pytest.raises(TemplateError, match="xx} yy") as lone:
        bound("x" * 10_000 + "} " + "y" * 10_000)
    assert len(str(lone.value)) < 300


def test_a_table_without_columns_says_so() -> None:
    with pytest.raises(TemplateError, match="the columns are none"):
        bound("{text}", pa.schema([]))


@pytest.mark.parametrize(
    "template, value, text",
    [
        ("{x}", 'as \0 it \u2028 is \\"', 'as \0 it \u2028 is \\"'),
        ("{x:.2f}", 3.14159, "3.14"),
        ("{x:+d}", 7, "+7"),
        ("{x:08.3f}", Decimal("1.5"), "0001.500"),
        ("{x:%d.%m.%y}", dt.date(2026, 1, 2), "02.01.26"),
        ("{x:%H h}", dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), "03 h"),
        ("{x:^5}", "a", "  a  "),
        ("{x}", [1, 2], "[1,2]"),
        ("{x??none}", "some", "some"),
        ("{x} and {x:>3}", "a", "a and   a"),
        ("{{{x}}}", 1, "{1}"),
    ],
)
def test_a_row_fills_the_holes(template: str, value: Any, text: str) -> None:
    assert rendered(template, x=value) == text


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_default_stands_in_for_null_and_nan(missing: float | None) -> None:
    assert rendered("{x??nothing}", x=missing) == "nothing"
    assert rendered("a{x??}", x=missing) == "a"
    assert rendered("a{x}", x=missing) is None


def test_a_default_stands_in_after_a_format_too() -> None:
    assert rendered("{x:.1f??n/a}", x=float("nan")) == "n/a"


def test_a_default_is_text_and_is_escaped_as_such() -> None:
    assert rendered('{x??"\\}', x=None) == '"\\'


def test_a_template_reads_as_the_user_wrote_it() -> None:
    assert str(Template("Say {text}")) == "Say {text}"
