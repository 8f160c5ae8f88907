from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from batchkit.emulator.messages import line_decoder
from batchkit.errors import SetupError
from batchkit.request_check import Report, check_lines, detect_dialect, dialect_named
from batchkit.validity import Problem
from batchkit.wire import DIALECTS, dialect_for
from tests.proto_values import Drawing

if TYPE_CHECKING:
    from batchkit.wire import Dialect

PARTS = [{"text": "a"}]
GENERATE = {"contents": [{"role": "user", "parts": PARTS}]}
EMBED = {"content": {"parts": PARTS}}


def line(item: Any) -> bytes:
    return json.dumps(item).encode() + b"\n"


def keyed(key: str, request: Any = GENERATE) -> bytes:
    return line({"key": key, "request": request})


def told(report: Report) -> list[tuple[int | None, str | None, str, str]]:
    return [(p.line, p.key, p.rule, p.path) for p in report.problems]


def test_a_report_of_good_lines_is_short() -> None:
    report = check_lines([keyed("a"), keyed("b")])
    assert report.ok
    assert str(report) == "2 lines of gemini-generate: 0 errors, 0 warnings"


def test_a_problem_has_the_line_and_the_key_it_is_of() -> None:
    flat = {**GENERATE, "thinking_config": {"thinkingBudget": 1}}
    report = check_lines([keyed("a"), b"\n", b" \r\n", keyed("r-0042", flat)])
    assert not report.ok
    assert str(report) == (
        "error: line 4, key 'r-0042', $.request.thinking_config: unknown field; "
        "did you mean generationConfig.thinkingConfig?\n"
        "2 lines of gemini-generate: 1 error, 0 warnings"
    )


def test_problems_come_in_the_order_of_the_lines() -> None:
    lines = [keyed("a"), line(GENERATE), keyed("a"), b"{\n", keyed("b", {})]
    assert told(check_lines(lines)) == [
        (2, None, "no-key", "$.key"),
        (3, "a", "duplicate-key", "$.key"),
        (4, None, "not-json", "$"),
        (5, "b", "no-contents", "$.request.contents"),
    ]


def test_a_repeated_key_is_told_with_the_line_that_has_it_first() -> None:
    lines = [b"\n", keyed("b"), keyed("a"), line(GENERATE), keyed("a"), keyed("c"), keyed("a")]
    report = check_lines(lines)
    repeats = [problem for problem in report.problems if problem.rule == "duplicate-key"]
    assert [str(problem) for problem in repeats] == [
        f"line {n}, key 'a', $.key: the key of line 3 again; "
        "answers are joined by key: give each line one of its own"
        for n in (5, 7)
    ]


def test_keys_far_apart_are_still_the_same() -> None:
    count = 70_000
    lines = (keyed(f"k{i % (count - 2)}") for i in range(count))
    report = check_lines(lines)
    assert told(report) == [
        (count - 1, "k0", "duplicate-key", "$.key"),
        (count, "k1", "duplicate-key", "$.key"),
    ]
    assert "the key of line 2 again" in report.problems[1].message


def test_many_problems_of_one_rule_leave_room_for_those_of_another() -> None:
    lines = [line(GENERATE) for _ in range(500)] + [keyed("a") for _ in range(300)]
    report = check_lines([*lines, keyed("b", {**GENERATE, "labels": {}})])
    kept = [problem.rule for problem in report.problems]
    assert {rule: kept.count(rule) for rule in kept} == {
        "no-key": 200,
        "duplicate-key": 200,
        "other-service": 1,
    }
    assert dict(report.counts) == {
        ("warning", "no-key"): 500,
        ("error", "duplicate-key"): 299,
        ("error", "other-service"): 1,
    }
    assert (report.errors, report.warnings) == (300, 500)
    assert "… and 399 more of the same kinds" in str(report)


def test_a_report_counts_each_problem_it_is_given() -> None:
    report = Report("gemini-embed")
    report.add(Problem("warning", "no-key", "$.key", "missing"))
    assert report.ok
    report.add(Problem("error", "too-large", "$", "too large"))
    assert not report.ok
    assert str(report).endswith("0 lines of gemini-embed: 1 error, 1 warning")


def test_blank_lines_are_no_requests_and_all_bytes_are_counted() -> None:
    report = check_lines([b"\n", keyed("a"), b"  \n"])
    assert report.lines == 1
    assert report.bytes == len(keyed("a")) + 4


@pytest.mark.parametrize(
    "item, name",
    [
        ({"key": "a", "request": GENERATE}, "gemini-generate"),
        (GENERATE, "gemini-generate"),
        ({"key": "a", "request": EMBED}, "gemini-embed"),
        (EMBED, "gemini-embed"),
        ({"request": EMBED}, "gemini-embed"),
        ({"request": GENERATE}, "vertex-generate"),
        ({"key": "a", "request": {**EMBED, "embed_content_config": {}}}, "vertex-embed"),
        ({"key": "a", "request": {**EMBED, "autoTruncate": True}}, "vertex-embed"),
        ({"content": "a text"}, "vertex-embed-legacy"),
        ({"request": "a text"}, "gemini-generate"),
        (5, "gemini-generate"),
    ],
    ids=lambda value: repr(value)[:70],
)
def test_a_line_shows_its_dialect(item: Any, name: str) -> None:
    assert detect_dialect(item).name == name


@pytest.mark.parametrize(
    "items, name",
    [
        ([{"request": GENERATE}, {"key": "a", "request": GENERATE}], "gemini-generate"),
        ([{"request": GENERATE}, GENERATE], "gemini-generate"),
        ([{"request": GENERATE}, {"request": GENERATE}], "vertex-generate"),
        (
            [{"key": "a", "request": EMBED}, {"request": {**EMBED, "embedContentConfig": {}}}],
            "vertex-embed",
        ),
        ([5, {"key": "a", "request": EMBED}], "gemini-embed"),
    ],
    ids=["a key", "a bare request", "no key at all", "a config of Vertex", "no object"],
)
def test_what_one_of_the_first_lines_shows_holds_for_the_file(items: Any, name: str) -> None:
    lines = [b"{broken\n", *map(line, items)]
    assert check_lines(lines).dialect == name
    assert check_lines(lines, dialect_named("gemini-embed")).dialect == "gemini-embed"


def test_a_file_that_no_line_of_can_be_read_has_no_dialect() -> None:
    report = check_lines([b"{\n", b"nan\n"])
    assert report.dialect is None
    assert str(report).endswith("\n2 lines: 2 errors, 0 warnings")


def test_a_dialect_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(SetupError, match="there are gemini-generate, gemini-embed, vertex-gen"):
        dialect_named("gemini")


def test_all_requests_of_a_file_name_one_model() -> None:
    lines = [
        keyed("a"),
        keyed("b", {**GENERATE, "model": "models/gemini-3.8-flash"}),
        keyed("c", {**GENERATE, "model": "gemini-3.8-flash"}),
        keyed("d", {**GENERATE, "model": "models/gemini-3.5-flash"}),
    ]
    assert told(check_lines(lines)) == [(4, "d", "other-model", "$.request.model")]


def test_a_model_that_is_shut_down_is_warned_of_once() -> None:
    bare = {**GENERATE, "model": "models/gemini-2.0-flash"}
    report = check_lines([line(bare), keyed("b", bare)])
    [warning] = [problem for problem in report.problems if problem.rule == "ending-model"]
    assert (warning.severity, warning.line, warning.path) == ("warning", 1, "$.model")
    assert warning.message.startswith("gemini-2.0-flash is shut down (https://ai.google.dev/")


# What the check holds against a request and the emulator does not.
STRICTER = {
    "bad-key",
    "bad-role",
    "field-twice",
    "no-data",
    "no-file",
    "other-model",
    "schema-without-type",
    "two-schemas",
}
KEYED_TYPES = {"generate": "GenerateContentLine", "embed": "EmbedContentLine"}


@st.composite
def nearly_requests(draw: st.DrawFn, dialect: Dialect) -> dict[str, Any]:
    """A request that the table allows, as whole as the base, with some value put elsewhere."""
    base = GENERATE if dialect.kind == "generate" else EMBED
    drawn = draw(Drawing("gemini", enum_numbers=False).values(dialect.request_type, 4))
    body = json.loads(json.dumps({**base, **drawn} if draw(st.booleans()) else {**drawn, **base}))
    if draw(st.booleans()):
        places = list(_places(body))
        place, name = draw(st.sampled_from(places))
        odd = st.sampled_from([None, 2**40, -1.5, True, "x", "5", [], {}, [{}], {"a": 1}, "user"])
        place[name] = draw(odd)
    return {"key": "a", "request": body}


def _unlike(value: Any) -> bool:
    """Whether a role is there that only one of the two takes."""
    return any(name == "role" and place[name] in ("", "tool") for place, name in _places(value))


def _places(value: Any) -> Any:
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in list(steps):
        yield value, name
        if isinstance(item, dict | list):
            yield from _places(item)


@pytest.mark.parametrize("kind", ["generate", "embed"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_check_and_the_emulator_agree_on_what_a_request_is(
    kind: Any, data: st.DataObject
) -> None:
    item = data.draw(nearly_requests(dialect_for("gemini", kind)))
    assume(not _unlike(item))
    report = check_lines([line(item)], dialect_for("gemini", kind))
    faults: list[Any] = []
    line_decoder(KEYED_TYPES[kind])(item, None, faults)
    errors = {p.rule for p in report.problems if p.severity == "error"}
    if report.ok:
        assert [fault.description for fault in faults] == []
    elif not faults:
        assert errors <= STRICTER


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@settings(deadline=None)
@given(text=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_line_is_too_odd_to_be_checked(dialect: Dialect, text: bytes) -> None:
    report = check_lines([text.replace(b"\n", b"")], dialect)
    assert report.lines <= 1
    assert report.ok is (report.errors == 0)
