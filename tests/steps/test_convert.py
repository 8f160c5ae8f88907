from __future__ import annotations

import codecs
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit.canonical import request_hash
from batchkit.errors import RowsError
from batchkit.fields import field_table

SAMPLES = Path(__file__).parent.parent / "samples"
HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def written(path: Path) -> list[Any]:
    text = path.read_bytes().decode()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def converted(folder: Path, content: bytes) -> tuple[bk.check.__class__, list[Any]]:
    source, target = folder / "source", folder / "target.jsonl"
    source.write_bytes(content)
    report = bk.convert(source, target)
    return report, written(target)


def as_lines(items: list[Any]) -> str:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


def test_bare_requests_are_keyed_by_their_lines(tmp_path: Path) -> None:
    report, lines = converted(tmp_path, (as_lines([HI]) + "\n" + as_lines([HI, HI])).encode())
    assert [line["key"] for line in lines] == ["line-1", "line-3", "line-4"]
    assert all(line["request"] == HI for line in lines)
    assert str(report) == "3 lines of gemini-generate: 0 errors, 0 warnings"


@pytest.mark.parametrize(
    "keys, prefix",
    [(["line-2"], "line2-"), (["line-x", "line2-1"], "line3-"), (["line2-1"], "line-")],
)
def test_a_key_that_is_made_up_is_never_one_that_is_there(
    tmp_path: Path, keys: list[str], prefix: str
) -> None:
    items = [HI, *({"key": key, "request": HI} for key in keys)]
    report, lines = converted(tmp_path, as_lines(items).encode())
    assert [line["key"] for line in lines] == [f"{prefix}1", *keys]
    assert report.ok


@pytest.mark.parametrize("name", sorted(p.name for p in SAMPLES.glob("dev_*/input_*")))
def test_the_published_samples_become_keyed_lines_of_the_same_requests(
    tmp_path: Path, name: str
) -> None:
    [source] = SAMPLES.glob(f"*/{name}")
    before = written(source)
    report = bk.convert(source, tmp_path / "keyed.jsonl")
    after = written(tmp_path / "keyed.jsonl")
    assert [line["request"] for line in after] == [item.get("request", item) for item in before]
    assert [line["key"] for line in after] == [
        item.get("key", f"line-{number}") for number, item in enumerate(before, start=1)
    ]
    assert (report.ok, report.warnings) == (True, 0)


def test_legacy_embedding_lines_become_requests_of_the_developer_api(tmp_path: Path) -> None:
    report = bk.convert(
        SAMPLES / "vertex_embed" / "input_legacy_docs.jsonl", tmp_path / "keyed.jsonl"
    )
    assert str(report) == "2 lines of gemini-embed: 0 errors, 0 warnings"
    text = {"text": "Best recipe for banana bread:"}
    assert written(tmp_path / "keyed.jsonl")[1] == {
        "key": "line-2",
        "request": {"content": {"parts": [text]}},
    }


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("form", ["lines", "array", "indented array"])
def test_every_encoding_and_an_array_become_lines_in_utf_8(
    tmp_path: Path, encoding: str, form: str
) -> None:
    texts = ["a", "é \U0001f600", "\u2028", 'quote " [ { , ] }', "\\", '\\"', ""]
    items = [
        {"key": f"k{i}", "request": {"contents": [{"parts": [{"text": text}]}]}}
        for i, text in enumerate(texts)
    ]
    indent = 2 if form.startswith("indented") else None
    text = (
        as_lines(items) if form == "lines" else json.dumps(items, ensure_ascii=False, indent=indent)
    )
    report, lines = converted(tmp_path, text.encode(encoding))
    assert lines == items
    assert report.ok
    assert not (tmp_path / "target.jsonl").read_bytes().startswith(codecs.BOM_UTF8)


@pytest.mark.parametrize(
    "content, said",
    [
        (b'{"contents": []}\n\n{"contents": [\n', r"line 3, \$: the line ends in the middle"),
        (b'[{"contents": []}, {"a": NaN}]', r"item 2, \$\.a: NaN is not JSON; leave the field"),
        (b'[{"contents": []}, ]', "item 2 of the array is empty"),
        (b'[{"contents": []}', "the array does not end"),
        (b'[{"contents": []}] []', "more follows the array"),
        (b'{"a": "\xff"}\n', r"line 1, \$: byte 8 of the line, 0xff, is not UTF-8"),
        (b'{\n"contents": []}\n', "spread over several lines; write each request on one line"),
        (codecs.BOM_UTF16_LE + b'{\x00"', "is not utf-16"),
        (b"\x1f\x8b\x08", "gzip-compressed; unpack it first"),
    ],
    ids=["cut", "NaN", "comma", "open", "more", "latin-1", "spread", "half", "gzip"],
)
def test_what_is_not_json_is_refused_and_nothing_is_written(
    tmp_path: Path, content: bytes, said: str
) -> None:
    source, target = tmp_path / "source", tmp_path / "target.jsonl"
    source.write_bytes(content)
    target.write_bytes(b"kept")
    with pytest.raises(RowsError, match=said) as error:
        bk.convert(source, target)
    assert str(source) in str(error.value)
    assert target.read_bytes() == b"kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target.jsonl"]


def test_a_file_may_be_converted_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(as_lines([HI, {**HI, "custom_id": "b"}]))
    assert bk.convert(path, path).ok
    assert written(path) == [
        {"key": "line-1", "request": HI},
        {"key": "b", "request": HI},
    ]


def test_what_cannot_be_mended_stays_and_is_told(tmp_path: Path) -> None:
    items = [
        {"key": "a", "request": {**HI, "labels": {"x": "y"}}},
        {"key": "a", "request": HI},
        "no object",
        {"key": "b", "request": HI, "url": "/v1"},
    ]
    report, lines = converted(tmp_path, as_lines(items).encode())
    assert lines == items
    assert [(p.line, p.rule) for p in report.problems] == [
        (1, "other-service"),
        (2, "duplicate-key"),
        (3, "not-an-object"),
        (4, "unknown-field"),
    ]


def test_an_array_of_nothing_is_a_file_without_requests(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b" [ ] ")
    report = bk.convert(tmp_path / "source", tmp_path / "target.jsonl")
    assert (tmp_path / "target.jsonl").read_bytes() == b""
    assert [problem.rule for problem in report.problems] == ["no-requests"]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "topK": st.integers(1, 40),
        "stopSequences": st.lists(TEXT, max_size=2),
        "thinkingConfig": st.fixed_dictionaries({}, optional={"thinkingBudget": st.integers(0, 9)}),
    },
)
SNAKE = {
    "topK": "top_k",
    "stopSequences": "stop_sequences",
    "thinkingConfig": "thinking_config",
    "generationConfig": "generation_config",
    "systemInstruction": "system_instruction",
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """A line that is wrong in ways that convert says it mends, and the request it means."""
    text, config = draw(TEXT), draw(CONFIGS)
    system = draw(st.none() | TEXT)
    content = {"role": "user", "parts": [{"text": text}]}
    meant: dict[str, Any] = {"contents": [content]}
    if config:
        meant["generationConfig"] = config
    if system is not None:
        meant["systemInstruction"] = {"parts": [{"text": system}]}

    def spelled(name: str) -> str:
        return SNAKE.get(name, name) if draw(st.booleans()) else name

    request: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    sdk: dict[str, Any] = {}
    forms = [[content], content, text, [text], [{**content, "role": "human"}]]
    request["contents"] = draw(st.sampled_from(forms))
    for name, value in config.items():
        places = [request, beside, sdk, request.setdefault("generationConfig", {})]
        draw(st.sampled_from(places))[spelled(name)] = value
    if system is not None:
        value = draw(st.sampled_from([system, [system], {"parts": [{"text": system}]}]))
        draw(st.sampled_from([request, beside, sdk]))[spelled("systemInstruction")] = value
    if sdk:
        draw(st.sampled_from([request, beside]))["config"] = sdk
    is_bare = draw(st.booleans())
    return ({**beside, **request} if is_bare else {**beside, "request": request}), meant


def key_field(name: str, key: Any) -> dict[str, Any]:
    return {"metadata": {"key": key}} if name == "metadata" else {name: key} if name else {}


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(damaged(), st.sampled_from(["key", "custom_id", "metadata", ""])), max_size=6
    ),
    st.sampled_from(["lines", "array"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_whatever_convert_says_it_mends_passes_after_it_and_no_request_is_lost(
    drawn: list[tuple[tuple[Any, dict[str, Any]], str]], form: str, encoding: str
) -> None:
    items = [{**key_field(name, i), **item} for i, ((item, _), name) in enumerate(drawn)]
    text = as_lines(items) if form == "lines" else json.dumps(items)
    table = field_table("gemini")
    with tempfile.TemporaryDirectory() as folder:
        once, twice = Path(folder) / "once.jsonl", Path(folder) / "twice.jsonl"
        (Path(folder) / "source").write_bytes(text.encode(encoding))
        report = bk.convert(Path(folder) / "source", once)
        bk.convert(once, twice)
        lines = written(once) if items else []
        assert twice.read_bytes() == once.read_bytes()
    assert [str(p) for p in report.problems if p.rule != "no-requests"] == []
    assert [line["key"] for line in lines] == [
        str(i) if name else f"line-{i + 1}" for i, (_, name) in enumerate(drawn)
    ]
    for line, ((_, meant), _) in zip(lines, drawn, strict=True):
        got = request_hash(line["request"], table, "GenerateContentRequest")
        assert got == request_hash(meant, table, "GenerateContentRequest")
