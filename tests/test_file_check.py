from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from batchkit.errors import SetupError, TableError
from batchkit.file_check import check_content, check_file
from batchkit.request_check import LONGEST_LINE_BYTES, dialect_named

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.request_check import Report

REQUEST: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
SPREAD = (
    "line 1, $: a request is spread over several lines; "
    "write each request on one line, as `jq -c .` does"
)
EMBED: dict[str, Any] = {"content": {"parts": [{"text": "a"}]}}


def lines(count: int, request: dict[str, Any] = REQUEST) -> str:
    items = ({"key": f"k{i}", "request": request} for i in range(count))
    return "".join(json.dumps(item) + "\n" for item in items)


def told(report: Report) -> list[tuple[str, str]]:
    return [(problem.rule, str(problem)) for problem in report.problems]


@pytest.mark.parametrize(
    "content, rule, said",
    [
        (
            lines(2).encode("utf-16"),
            "not-utf8",
            "line 1, $: the file is UTF-16; `batchkit convert` writes it as UTF-8",
        ),
        (
            lines(2).encode("utf-16-be"),
            "not-utf8",
            "line 1, $: the file is UTF-16; `batchkit convert` writes it as UTF-8",
        ),
        (
            lines(2).encode("utf-8-sig"),
            "byte-order-mark",
            "line 1, $: the file has a byte order mark; `batchkit convert` takes it away",
        ),
        (
            b'\n [{"key": "a"}]',
            "json-array",
            "line 1, $: the file is one JSON array; `batchkit convert` writes one request per line",
        ),
        (
            json.dumps({"key": "a", "request": REQUEST}, indent=2).encode(),
            "spread",
            SPREAD,
        ),
        (
            gzip.compress(lines(2).encode()),
            "compressed",
            "line 1, $: the file is gzip-compressed; unpack it first",
        ),
    ],
    ids=["utf-16", "utf-16 without a mark", "utf-8 with a mark", "array", "spread", "gzip"],
)
def test_a_file_of_another_form_is_told_as_a_whole(
    tmp_path: Path, content: bytes, rule: str, said: str
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(content)
    assert told(check_file(path)) == [(rule, said)]
    assert told(check_content([content])) == [(rule, said)]


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n"], ids=["empty", "blank"])
def test_a_file_without_a_request_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(content)
    expected = [("no-requests", "$: there is no request; write one JSON object per line")]
    assert told(check_file(path)) == expected
    assert told(check_content(iter([content]))) == expected
    assert told(check_content([])) == expected


def test_a_file_that_cannot_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nowhere\.jsonl cannot be read: No such file"):
        check_file(tmp_path / "nowhere.jsonl")
    with pytest.raises(TableError, match="cannot be read: Is a directory"):
        check_file(tmp_path)


def test_bytes_and_rows_are_held_against_what_a_job_takes(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(lines(3))
    size = path.stat().st_size
    assert check_file(path, limits={"max_bytes": size, "max_rows": 3}).ok
    report = check_file(path, limits={"max_bytes": size - 1, "max_rows": 2})
    remedy = "split it, or build with batchkit"
    assert told(report) == [
        ("too-large", f"$: the file has {size} bytes, a job takes {size - 1}; {remedy}"),
        ("too-many", f"$: 3 requests, a job takes 2; {remedy}"),
    ]
    assert report.bytes == size


def test_the_documented_rows_differ_by_what_is_asked() -> None:
    legacy = [b'{"content": "a"}\n'] * 30_001
    report = check_content(legacy, dialect_named("vertex-embed-legacy"))
    assert report.counts["error", "too-many"] == 1
    assert "30,001 requests, a job takes 30,000" in str(report)
    embed = [json.dumps({"request": EMBED}).encode() + b"\n"] * 30_001
    assert check_content(embed, dialect_named("vertex-embed")).errors == 0
    assert check_content(embed, dialect_named("gemini-embed")).errors == 0


def test_a_limit_that_is_none_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(lines(1))
    with pytest.raises(SetupError, match="there is no max_tokens; the limits are max_bytes, max_"):
        check_file(path, limits={"max_tokens": 5})


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    with path.open("wb") as file:
        file.write(lines(1).encode())
        file.seek(6 * LONGEST_LINE_BYTES, 1)  # a hole, which takes no disk
        file.write(b"\n" + lines(2).encode())
    tracemalloc.start()
    try:
        report = check_file(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(p.line, p.rule) for p in report.problems] == [(2, "long-line"), (3, "duplicate-key")]
    assert peak < path.stat().st_size / 2
