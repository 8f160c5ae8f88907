from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchkit.emulator import RowFault
from batchkit.emulator.blemishes import befallen
from batchkit.emulator.blobs import Blobs
from batchkit.emulator.rows import Row, Rows, RowsWriter

from .client import Client, generate_line, text_request

if TYPE_CHECKING:
    from batchkit.emulator import Emulator

KEYS = [f"r{i}" for i in range(10)]
SCHEMA = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]}


def output(emulator: Emulator, client: Client, *faults: Any, **options: Any) -> list[Any]:
    """The lines of a job of ten rows that these befall."""
    emulator.inject(*faults)
    lines = options.pop("lines", [generate_line(key) for key in KEYS])
    return client.output(client.create_from_lines(lines, **options))


def text(line: dict[str, Any]) -> str:
    return line["response"]["candidates"][0]["content"]["parts"][-1]["text"]


def raw_output(emulator: Emulator, client: Client, fault: RowFault) -> bytes:
    emulator.inject(fault)
    job = client.create_from_lines([generate_line(key) for key in KEYS])
    name = client.get(job)["response"]["responsesFile"]
    return client.send("GET", f"/v1beta/{name}:download?alt=media").content


def test_dropped_lines_are_not_there(emulator: Emulator, client: Client) -> None:
    lines = output(emulator, client, RowFault("drop", share=0.3))
    assert len({line["key"] for line in lines}) == len(lines) == 7


def test_a_file_of_which_all_is_dropped_is_empty(emulator: Emulator, client: Client) -> None:
    assert raw_output(emulator, client, RowFault("drop")) == b""


def test_repeated_lines_are_there_twice_byte_by_byte(emulator: Emulator, client: Client) -> None:
    lines = raw_output(emulator, client, RowFault("repeat", share=0.3)).split(b"\n")[:-1]
    assert (len(lines), len(set(lines))) == (13, 10)


def test_contradicting_lines_have_one_key_and_two_answers(
    emulator: Emulator, client: Client
) -> None:
    lines = output(emulator, client, RowFault("contradict", share=0.1))
    (twice,) = {line["key"] for line in lines if [m["key"] for m in lines].count(line["key"]) == 2}
    first, second = (text(line) for line in lines if line["key"] == twice)
    assert first != second


def test_lines_lose_their_keys_or_get_those_of_nobody(emulator: Emulator, client: Client) -> None:
    faults = RowFault("unkey", share=0.2), RowFault("stray", share=0.3)
    keys = [line.get("key") for line in output(emulator, client, *faults)]
    assert keys.count(None) == 2
    assert len([key for key in keys if key and key not in KEYS]) == 3


def test_a_broken_line_is_half_of_it(emulator: Emulator, client: Client) -> None:
    lines = raw_output(emulator, client, RowFault("break", share=0.2)).split(b"\n")[:-1]
    broken = [line for line in lines if not line.endswith(b"}")]
    assert (len(lines), len(broken)) == (10, 2)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        json.loads(broken[0])


def test_inline_only_the_response_is_broken(emulator: Emulator, client: Client) -> None:
    emulator.inject(RowFault("break", share=0.5))
    items = [{"request": text_request(key), "metadata": {"key": key}} for key in KEYS]
    reply = client.get(client.create_inline(items))
    listed = reply["response"]["inlinedResponses"]["inlinedResponses"]
    assert sorted(item["metadata"]["key"] for item in listed) == KEYS
    assert sum(isinstance(item["response"], str) for item in listed) == 5


@pytest.mark.parametrize("code, said", [(13, "Internal error"), (8, "exhausted"), (999, "Failed")])
def test_an_error_has_its_code_and_a_message(
    emulator: Emulator, client: Client, code: int, said: str
) -> None:
    lines = output(emulator, client, RowFault("error", share=0.1, code=code))
    (error,) = [line["error"] for line in lines if "error" in line]
    assert error["code"] == code
    assert said in error["message"]


def test_failed_rows_are_counted_as_the_service_counts(emulator: Emulator, client: Client) -> None:
    emulator.inject(RowFault("error", share=0.4, message="as told"))
    job = client.get(client.create_from_lines([generate_line(key) for key in KEYS]))
    counts = {"requestCount": "10", "successfulRequestCount": "6", "failedRequestCount": "4"}
    assert job["metadata"]["batchStats"] == counts


def test_blocked_empty_and_truncated_answers_look_as_the_services_do(
    emulator: Emulator, client: Client
) -> None:
    kinds = ("block", "empty", "truncate")
    lines = output(emulator, client, *(RowFault(kind, share=0.1) for kind in kinds))
    responses = [line["response"] for line in lines]
    (blocked,) = [each for each in responses if "promptFeedback" in each]
    assert blocked.keys() == {"promptFeedback", "usageMetadata"}
    assert {} in responses
    reasons = [each["candidates"][0]["finishReason"] for each in responses if "candidates" in each]
    assert sorted(reasons) == ["MAX_TOKENS", *["STOP"] * 7]


def test_garbled_json_is_no_json(emulator: Emulator, client: Client) -> None:
    config = {"responseMimeType": "application/json", "responseSchema": SCHEMA}
    lines = [{"key": key, "request": text_request(key, **config)} for key in KEYS]
    texts = [text(line) for line in output(emulator, client, RowFault("garble"), lines=lines)]
    for each in texts:
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
            json.loads(each)


def test_garbled_vectors_are_too_short(emulator: Emulator, client: Client) -> None:
    content = {"parts": [{"text": "hello"}]}
    lines = [
        {"key": key, "request": {"content": content, "outputDimensionality": 8}} for key in KEYS
    ]
    model = "gemini-embedding-001"
    faults = RowFault("garble", share=0.5), RowFault("contradict", share=0.1)
    found = output(emulator, client, *faults, lines=lines, model=model)
    sizes = [len(line["response"]["embedding"]["values"]) for line in found]
    assert (sizes.count(4), sizes.count(8)) == (5, 6)


def test_a_fault_befalls_the_rows_that_say_something(emulator: Emulator, client: Client) -> None:
    lines = [generate_line(key, f'say "{key}" é') for key in KEYS]
    found = output(emulator, client, RowFault("drop", where='"r3" é'), lines=lines)
    assert {*KEYS} - {line["key"] for line in found} == {"r3"}


SHARES = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["", "even"])), max_size=5)


@given(SHARES, st.integers(1, 60), st.integers(0, 5))
def test_faults_divide_the_rows_up(
    tmp_path_factory: pytest.TempPathFactory, shares: Any, count: int, seed: int
) -> None:
    rows = Rows(Blobs(Path(tmp_path_factory.mktemp("rows"))), "job")
    with RowsWriter(rows) as writer:
        for number in range(count):
            writer.add(Row(text_request("odd" if number % 2 else "even"), {}))
    faults = [RowFault("drop", share=s, where=w, times=i + 1) for i, (s, w) in enumerate(shares)]
    found = befallen(faults, rows, str(seed))
    assert found == befallen(faults, rows, str(seed))
    taken: set[int] = set()
    for fault in faults:
        there = {n for n in range(count) if not (fault.where and n % 2)}
        mine = {number for number, each in found.items() if each is fault}
        assert mine <= there - taken
        assert len(mine) == min(round(fault.share * len(there)), len(there - taken))
        taken |= mine
