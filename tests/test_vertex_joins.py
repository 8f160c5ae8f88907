"""How answers of Vertex AI find their rows: by key, label, echo, and as a multiset."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchkit as bk
from batchkit.emulator import Quirks, serve
from tests.conftest import quick_vertex
from tests.echoing import echoed
from tests.shard import Shard, receive

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL = "gemini-3.8-flash"
SAMPLES = Path(__file__).parent / "samples"
OBJECTS, TABLE = "gs://bucket/folder", "bq://project.dataset"


def asks(*parts: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    """A request of one turn; a text is a part of its own."""
    said = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"contents": [{"role": role, "parts": said}], **more}


def picture(name: str, kind: str = "image/jpeg") -> dict[str, Any]:
    uri = f"gs://cloud-samples-data/generative-ai/{name}"
    return {"fileData": {"fileUri": uri, "mimeType": kind}}


LIST, WARM = "List objects in this image.", {"temperature": 0.4}
TOOLS, DESK = picture("image/gardening-tools.jpeg"), picture("image/office-desk.jpeg")
RELATE = "What is the relation between the following video and image samples?"
ANIMALS, CRICKET = picture("video/animals.mp4", "video/mp4"), picture("image/cricket.jpeg")
FRENCH = {"parts": [{"text": "Answer in French."}]}
EXPLAIN = "Explain how AI works in a few words"
# What the published lines answer, as we write it, among requests that differ in little.
COMPOSED = {
    "tools": asks(LIST, TOOLS, generationConfig=WARM),
    "desk": asks(LIST, DESK, generationConfig=WARM),
    "tools, cold": asks(LIST, TOOLS, generationConfig={"temperature": 0}),
    "tools first": asks(TOOLS, LIST, generationConfig=WARM),
    "animals": asks(RELATE, ANIMALS, CRICKET),
    "cricket first": asks(RELATE, CRICKET, ANIMALS),
    "animals in French": asks(RELATE, ANIMALS, CRICKET, systemInstruction=FRENCH),
    "tester": asks(EXPLAIN, role="tester"),
    "tester, full stop": asks(f"{EXPLAIN}.", role="tester"),
    "user": asks(EXPLAIN),
}
REFUSED = "Please use a valid role: user, model."
# Published lines with an echo: the row that asked, its status, and how the answer begins.
PUBLISHED = {
    "vertex_generate_gcs/output_generative-ai_notebook_cell30.jsonl": (
        "tools",
        "ok",
        "Here's a list of the objects in the image:",
    ),
    "vertex_generate_gcs/output_docs_success_2024-11.pretty.json": (
        "animals",
        "ok",
        "This video shows a Google Photos marketing campaign",
    ),
    "vertex_generate_gcs/output_docs_failed_2025-07.pretty.json": ("tester", "error", REFUSED),
    "vertex_generate_bq/output_docs_failed_request_column.json": (
        "tester, full stop",
        "error",
        REFUSED,
    ),
}


def published(name: str) -> bytes:
    """A published line on one line; of a row of BigQuery, as its export would have it."""
    item = json.loads((SAMPLES / name).read_bytes())
    if "vertex_generate_bq" in name:
        status = SAMPLES / "vertex_generate_bq" / "output_docs_failed_status_column.txt"
        item = {"request": json.dumps(item), "status": status.read_text().strip(), "response": ""}
    return json.dumps(item).encode()


def composed(folder: Path, target: str) -> Shard:
    """A run of the composed requests.

    Our check refuses the role of the published failure, which goes into the request file instead.
    """

    def ask(row: Any) -> dict[str, Any]:
        request = COMPOSED[row["id"]]
        return {**request, "contents": [{**request["contents"][0], "role": "user"}]}

    spec = bk.generate(MODEL, ask, version="1")
    table = [{"id": name} for name in COMPOSED]
    run = bk.build(table, spec, key="id", into=folder / "run", target=target)
    path = run.requests_path("00000")
    lines = zip(path.read_bytes().split(b"\n")[:-1], COMPOSED, strict=True)
    sent = [
        line.replace(b'"user"', b'"tester"') if name.startswith("tester") else line
        for line, name in lines
    ]
    path.write_bytes(b"".join(line + b"\n" for line in sent))
    return Shard(run.folder)


@pytest.mark.parametrize("target", [OBJECTS, TABLE])
@pytest.mark.parametrize("turn", range(len(PUBLISHED)))
def test_published_lines_join_the_requests_that_their_echoes_tell_of(
    tmp_path: Path, target: str, turn: int
) -> None:
    """tests/samples/README.md says where each line was published."""
    shard = composed(tmp_path, target)
    lines = [published(name) for name in PUBLISHED]
    counts = shard.collect(lines[turn:] + lines[:turn])
    assert counts["lines"] == {"joined": len(lines)}
    rows = dict(zip(COMPOSED, shard.rows(), strict=True))
    for name, status, said in PUBLISHED.values():
        row = rows.pop(name)
        assert row["status"] == status
        assert (row["response"] or row["error_message"]).startswith(said)
    assert {row["status"] for row in rows.values()} == {"missing"}


def test_every_published_line_with_an_echo_is_joined_here() -> None:
    outputs = [path for path in SAMPLES.glob("vertex_*/output_*") if "elided" not in path.name]
    echo = re.compile(rb'"(request|contents|instance)":')
    found = {str(p.relative_to(SAMPLES)) for p in outputs if echo.search(p.read_bytes())}
    assert found == set(PUBLISHED)


# The publisher cut what these echo and the vectors; the cut requests are published beside them.
@pytest.mark.parametrize("turned", [False, True])
def test_a_published_line_of_gemini_embeddings_joins_by_its_key(
    tmp_path: Path, *, turned: bool
) -> None:
    asked = SAMPLES / "vertex_embed" / "input_gemini-embedding-001_docs.jsonl"
    run = bk.build(asked, None, model="gemini-embedding-001", into=tmp_path / "run", target=OBJECTS)
    shard = Shard(run.folder)
    output = (SAMPLES / "vertex_embed" / "output_gemini-embedding_docs_elided.txt").read_text()
    texts = output.replace(", ...]", "]").split("\n")[:-1]
    lines = [
        text.replace("{...}", json.dumps(request["request"])).encode()
        for text, request in zip(texts, shard.requests(), strict=True)
    ]
    counts = shard.collect(lines[::-1] if turned else lines)
    assert counts == {"lines": {"joined": 2}, "statuses": {"ok": 2}}
    vectors = [row["embedding"] for row in shard.rows()]
    assert vectors == [pytest.approx([-0.015, 0.024]), pytest.approx([-0.075, 0.031])]


@pytest.mark.parametrize("turned", [False, True])
def test_a_published_line_of_legacy_embeddings_joins_by_its_text(
    tmp_path: Path, *, turned: bool
) -> None:
    asked = SAMPLES / "vertex_embed" / "input_legacy_docs.jsonl"
    texts = [json.loads(line)["content"] for line in asked.read_bytes().split(b"\n")[:-1]]
    table = [{"text": text} for text in (texts[1], "another", texts[0])]
    spec = bk.embed("text-embedding-005", "{text}")
    run = bk.build(table, spec, into=tmp_path / "run", target=OBJECTS)
    shard = Shard(run.folder)
    output = (SAMPLES / "vertex_embed" / "output_legacy_docs_elided.txt").read_text()
    whole = re.sub(r",\.+\]", "]", output)
    for text in texts:
        whole = whole.replace(f"{text.split()[0]}...", text)
    lines = [line.encode() for line in whole.split("\n")[:-1]]
    assert len(lines) == 2
    counts = shard.collect(lines[::-1] if turned else lines)
    assert counts == {"lines": {"joined": 2}, "statuses": {"ok": 2, "missing": 1}}
    vectors = [row["embedding"] for row in shard.rows()]
    assert vectors == [pytest.approx([0.1]), None, pytest.approx([0.2])]


def test_an_instance_with_nulls_put_in_is_the_one_that_was_sent(tmp_path: Path) -> None:
    table = [{"text": "one"}, {"text": "two"}]
    spec = bk.embed("text-embedding-005", "{text}")
    shard = Shard(bk.build(table, spec, into=tmp_path / "run", target=OBJECTS).folder)
    vector = [{"embeddings": {"statistics": {"token_count": 1}, "values": [0.5]}}]
    instance = {"title": None, "content": "two", "task_type": None}
    shard.collect([{"instance": instance, "predictions": vector, "status": ""}])
    assert [row["status"] for row in shard.rows()] == ["missing", "ok"]


def test_a_published_row_of_legacy_embeddings_in_bigquery_joins_by_its_text(
    tmp_path: Path,
) -> None:
    output = (SAMPLES / "vertex_embed" / "output_legacy_bq_docs_elided.md").read_text()
    cells = [line.strip("| ").split(" | ") for line in output.split("\n")[2:-1]]
    rows = [
        {"content": json.loads(text), "predictions": said.strip("`").replace(", ...]", "]")}
        for text, said, *_ in cells
    ]
    table = [{"text": "another"}, *({"text": row["content"]} for row in rows)]
    spec = bk.embed("text-embedding-005", "{text}")
    shard = Shard(bk.build(table, spec, into=tmp_path / "run", target=TABLE).folder)
    refused = {"content": "another", "predictions": None, "status": "Bad Request: {}"}
    counts = shard.collect([rows[1] | {"status": ""}, refused, rows[0] | {"status": ""}])
    assert counts == {"lines": {"joined": 3}, "statuses": {"ok": 2, "error": 1}}
    vectors = [row["embedding"] for row in shard.rows()]
    assert vectors == [None, pytest.approx([0.1]), pytest.approx([0.2])]


def test_a_run_that_is_echoed_as_in_2024_is_answered_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["plain", 'a "quote"', "null", "fileData", "line\nbreak", "same", "same", "☃ 😀"]
    table = [{"id": f"r{i}", "text": text} for i, text in enumerate(texts)]
    spec = bk.generate(MODEL, "{text}", system="Be brief.", config={"temperature": 1, "topK": 8})
    with serve(buckets=["bucket"], quirks=Quirks(echo="2024")) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        for labels in (True, False):
            folder = tmp_path / str(labels)
            results = bk.run(
                table,
                spec,
                key="id",
                into=folder,
                target=OBJECTS,
                labels=labels,
                client=quick_vertex(),
            )
            echoes = (folder / "responses" / "00000-1.jsonl").read_bytes()
            assert b'"file_data":null' in echoes
            assert b'"system_instruction"' in echoes
            said = results.to_arrow().column("response").to_pylist()
            assert said == [f"Echo: {' '.join(text.split())}" for text in texts]


ROWS = {"a": "apple", "b": "pear", "c": "same", "d": "same", "e": "same", "f": "fig"}
FOREIGN = "bk-aaaaaaaaaaaaaaab"  # of another run
OWN = "its own request"


class Line(NamedTuple):
    """One line of an output: what it carries, how its echo is written, and what it answers."""

    key: str | None
    label: str | None  # of the row with this key
    asked: str | None
    manner: int
    answer: str

    @property
    def said(self) -> str:
        """What no other line says."""
        return "<" + " ".join(map(str, self)) + ">"


def own(line: Line) -> Line:
    """The line, its echo that of the row it names, where it is to have that one."""
    return line._replace(asked=ROWS.get(line.key or line.label or "", "strange"))


def lines_of(key: Any, label: Any, asked: Any) -> st.SearchStrategy[Line]:
    line = st.builds(Line, key, label, asked, st.integers(0, 3), st.sampled_from("12e"))
    return line.map(lambda line: own(line) if line.asked == OWN else line)


NONE = st.none()
CARRIERS = {
    "key": lines_of(
        st.sampled_from([*ROWS, "x"]), NONE, st.sampled_from([None, OWN, OWN, "same", "strange"])
    ),
    "label": lines_of(
        NONE, st.sampled_from([*ROWS, FOREIGN]), st.sampled_from([OWN, OWN, OWN, "apple", "same"])
    ),
    "echo": lines_of(NONE, NONE, st.sampled_from(["apple", "pear", "fig", "strange"])),
    "identical requests": lines_of(NONE, NONE, st.just("same")),
}
LINES = {**CARRIERS, "mixture": st.one_of(*CARRIERS.values())}
WAYS = [*((OBJECTS, carrier) for carrier in LINES), (TABLE, "key"), (TABLE, "mixture")]
DAMAGED = [b'{"key":"a"', b"\xff", b"null", b"{}", b'{"request":null}']


def of_2024(request: dict[str, Any]) -> dict[str, Any]:
    """As the published lines of 2024 echo: nulls, names in snake_case, a part as an object."""
    turn = request["contents"][0]
    part = {"file_data": None, "text": turn["parts"][0]["text"]}
    rest = {"labels": request["labels"]} if "labels" in request else {}
    return {
        "contents": [{"parts": part, "role": turn["role"]}],
        "generation_config": request["generationConfig"],
        "system_instruction": request["systemInstruction"],
        **rest,
    }


class Output(NamedTuple):
    """A shard, and how its service would write lines."""

    shard: Shard
    sent: dict[str, dict[str, Any]]  # requests by key

    @property
    def is_labelled(self) -> bool:
        return "labels" in self.sent["a"]

    def text(self, line: Line) -> bytes:
        item: dict[str, Any] = {} if line.key is None else {"key": line.key}
        if line.asked is not None:
            echo = self._echo(line)
            item["request"] = echo if self.is_labelled else json.dumps(echo)
        if line.answer == "e":
            error = {"code": 14, "message": line.said}
            item["status"] = f"Unavailable: {json.dumps({'error': error})}"
        else:
            content = {"role": "model", "parts": [{"text": line.said}]}
            item["response"] = {"candidates": [{"content": content, "finishReason": "STOP"}]}
        names = sorted(item, reverse=line.manner % 2 == 1)
        return json.dumps({name: item[name] for name in names}).encode()

    def _echo(self, line: Line) -> dict[str, Any]:
        request = json.loads(json.dumps(self.sent["a"]))
        request["contents"][0]["parts"][0]["text"] = line.asked
        request.pop("labels", None)
        if line.label is not None:
            sent = self.sent.get(line.label, {}).get("labels", {"batchkit": FOREIGN})
            request["labels"] = dict(sent)
        if line.manner == 0:
            return request
        if line.manner == 1:
            return of_2024(request)
        return echoed(request, "", random.Random(line.manner))  # noqa: S311  # the same each time

    def collect(self, lines: Sequence[Line | bytes], attempt: int = 1) -> Collected:
        texts = [self.text(line) if isinstance(line, Line) else line for line in lines]
        counts = self.shard.collect(texts, attempt)
        rows = self.shard.rows(attempt)
        kept = self.shard.aside(attempt)
        return Collected(
            counts["lines"],
            counts["statuses"],
            rows,
            Counter((entry["text"], entry["reason"], entry["key"]) for entry in kept),
        )


class Collected(NamedTuple):
    """All that collecting made of some lines; `counts` are of lines, by placement."""

    counts: dict[str, int]
    statuses: dict[str, int]
    rows: list[dict[str, Any]]
    aside: Counter[tuple[str, str, str | None]]

    def answers(self) -> dict[str, str | None]:
        """By key: what was said to the row, CONFLICT, or None without a line."""
        said = {"GONE": None, "CONFLICT": "CONFLICT"}
        return {
            key: said.get(row["error_code"], row["response"] or row["error_message"])
            for key, row in zip(ROWS, self.rows, strict=True)
        }


@pytest.fixture(scope="module")
def output(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Output:
    table = [{"id": key, "text": text} for key, text in ROWS.items()]
    config = {"temperature": 1, "maxOutputTokens": 8}
    spec = bk.generate(MODEL, "{text}", system="Be brief.", config=config)
    folder = tmp_path_factory.mktemp("joins") / "run"
    shard = Shard(bk.build(table, spec, key="id", into=folder, target=request.param).folder)
    sent = {key: line["request"] for key, line in zip(ROWS, shard.requests(), strict=True)}
    return Output(shard, sent)


@pytest.mark.parametrize("output, carrier", WAYS, indirect=["output"])
@settings(max_examples=25)
@given(data=st.data())
def test_the_order_of_the_lines_means_nothing(
    output: Output, carrier: str, data: st.DataObject
) -> None:
    lines = data.draw(st.lists(LINES[carrier] | st.sampled_from(DAMAGED), max_size=14))
    found = output.collect(lines)
    assert output.collect(data.draw(st.permutations(lines)), 2) == found
    assert output.collect(lines[::-1], 3) == found


@pytest.mark.parametrize("output, carrier", WAYS, indirect=["output"])
@settings(max_examples=25)
@given(data=st.data())
def test_a_row_gets_the_answer_of_its_key_its_label_or_its_request(
    output: Output, carrier: str, data: st.DataObject
) -> None:
    lines = data.draw(st.lists(LINES[carrier], max_size=14))
    found = output.collect(lines).answers()
    named, echoing = told_apart(lines, is_labelled=output.is_labelled)
    for key in named:
        assert found[key] == decided(named[key], ROWS[key])
    for text in {*ROWS.values()}:
        rows = [key for key in ROWS if ROWS[key] == text and key not in named]
        answers = {line.said for line in echoing[text]}
        got = [found[key] for key in rows if found[key] is not None]
        if len(answers) > len(rows):
            assert got == ["CONFLICT"] * len(rows)
        else:
            assert set(got) == answers
            assert len(got) == min(len(rows), len(echoing[text]))


def told_apart(
    lines: Sequence[Line], *, is_labelled: bool
) -> tuple[dict[str, set[Line]], dict[str | None, list[Line]]]:
    """The lines that name a row, by its key, and those that only echo, by the text they echo."""
    named: dict[str, set[Line]] = defaultdict(set)
    echoing: dict[str | None, list[Line]] = defaultdict(list)
    for line in lines:
        label = line.label if is_labelled and line.label in ROWS else None
        if line.key is None and label is None:
            echoing[line.asked].append(line)
        elif line.key in ROWS or line.key is None:
            named[line.key or label or ""].add(line)
    return named, echoing


def decided(lines: set[Line], asked: str) -> str:
    """What a row is told by lines that name it: of differing ones, by that with its request."""
    own = [line for line in lines if line.asked == asked]
    chosen = own if len(lines) > 1 else [*lines]
    return chosen[0].said if len(chosen) == 1 else "CONFLICT"


@pytest.mark.parametrize("output, carrier", WAYS, indirect=["output"])
@settings(max_examples=25)
@given(data=st.data())
def test_every_line_is_counted_and_is_either_an_answer_or_kept_aside_with_a_reason(
    output: Output, carrier: str, data: st.DataObject
) -> None:
    lines = data.draw(st.lists(LINES[carrier] | st.sampled_from(DAMAGED), max_size=14))
    found = output.collect(lines)
    assert sum(found.counts.values()) == len(lines)
    assert sum(found.statuses.values()) == len(found.rows) == len(ROWS)
    texts = Counter(output.text(x) if isinstance(x, Line) else x for x in lines)
    said = {output.text(x): x.said for x in lines if isinstance(x, Line)}
    answers = {*found.answers().values()}
    used = {text for text, answer in said.items() if answer in answers}
    kept = Counter({text.encode(): n for (text, _, _), n in found.aside.items()})
    assert used.isdisjoint(kept)
    damaged = {text.decode(errors="replace").encode(): n for text, n in texts.items()}
    assert kept == {text: n for text, n in damaged.items() if text not in used}
    assert all(reason for _, reason, _ in found.aside)


def label(key: str, asked: str, answer: str = "1", manner: int = 0) -> Line:
    return Line(None, key, asked, manner, answer)


RIGHT, WRONG, NOTHING = label("b", "pear"), label("b", "apple", "2"), Line("b", None, None, 0, "2")


@pytest.mark.parametrize("output", [OBJECTS], indirect=True)
@pytest.mark.parametrize("other", [WRONG, NOTHING], ids=["another request", "no request"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0, 1, 0), (1, 1, 0)])
def test_of_differing_answers_to_a_row_that_with_its_request_is_joined(
    output: Output, other: Line, order: tuple[int, ...]
) -> None:
    lines = [(RIGHT, other)[i] for i in order]
    found = output.collect(lines)
    assert found.answers()["b"] == RIGHT.said
    repeats = {"repeated": len(lines) - 2} if len(lines) > 2 else {}
    assert found.counts == {"joined": 1, "conflict": 1, **repeats}
    ((text, reason, _), count) = found.aside.popitem()
    assert (text.encode(), count) == (output.text(other), lines.count(other))
    assert reason == "another line with its key echoes what the row asked"
    assert not found.aside


@pytest.mark.parametrize("output", [OBJECTS], indirect=True)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "lines",
    [
        [RIGHT, label("b", "pear", "2")],
        [RIGHT, label("b", "pear", "1", manner=1)],
        [RIGHT, label("b", "pear", "2"), WRONG],
        [WRONG, label("b", "same")],
        [NOTHING, WRONG],
    ],
    ids=["both its own", "both its own, spelled otherwise", "two of three", "none", "no request"],
)
def test_differing_answers_that_no_echo_decides_are_a_conflict_and_all_kept_aside(
    output: Output, lines: list[Line], *, turned: bool
) -> None:
    found = output.collect(lines[::-1] if turned else lines)
    assert found.answers() == {**dict.fromkeys(ROWS), "b": "CONFLICT"}
    assert found.counts == {"joined": 1, "conflict": len(lines) - 1}
    assert {text.encode() for text, _, _ in found.aside} == {*map(output.text, lines)}
    assert {reason for _, reason, _ in found.aside} == {"two answers differ"}


@pytest.mark.parametrize("turned", [False, True])
def test_differing_vectors_for_one_key_are_decided_by_the_echo(
    tmp_path: Path, *, turned: bool
) -> None:
    table = [{"text": "one"}, {"text": "two"}]
    spec = bk.embed("gemini-embedding-001", "{text}", dimensions=1)
    shard = Shard(bk.build(table, spec, into=tmp_path / "run", target=OBJECTS).folder)
    one, two = (line["request"] for line in shard.requests())
    padded = {"embedContentConfig": one["embed_content_config"], "content": one["content"]}
    lines = [
        {"key": "0", "request": echo, "response": {"embedding": {"values": [value]}}}
        for echo, value in ((two, 2), ({**padded, "title": None}, 1))
    ]
    counts = shard.collect(lines[::-1] if turned else lines)
    assert counts["lines"] == {"joined": 1, "conflict": 1}
    assert [row["embedding"] for row in shard.rows()] == [[1], None]
    assert [entry["key"] for entry in shard.aside()] == ["0"]


def test_answers_to_the_requests_of_another_run_are_joined_by_what_they_echo(
    tmp_path: Path,
) -> None:
    table = [{"text": "one"}, {"text": "two"}]
    spec = bk.generate(MODEL, "{text}")
    first = bk.build(table, spec, into=tmp_path / "first", target=OBJECTS)
    again = bk.build(
        first.requests_path("00000"), None, model=MODEL, into=tmp_path / "again", target=OBJECTS
    )
    shard = Shard(again.folder)
    lines = [line | {"response": {}} for line in shard.requests()]
    assert all("batchkit" in line["request"]["labels"] for line in lines)
    stranger = json.loads(json.dumps(lines[0]).replace("one", "three"))
    counts = shard.collect([stranger, *lines[::-1]])
    assert counts == {"lines": {"joined": 2, "unknown": 1}, "statuses": {"empty": 2}}
    assert [entry["line"] for entry in shard.aside()] == [1]


def test_the_audit_counts_lines_whose_echo_nobody_asked_and_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = [{"text": "one"}, {"text": "two"}, {"text": "two"}]
    with serve(buckets=["bucket"]) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        run = bk.build(
            table, bk.generate(MODEL, "{text}"), into=tmp_path / "run", target=OBJECTS, labels=False
        )
        bk.submit(run, client=quick_vertex())
        bk.wait(run, client=quick_vertex(), poll_seconds=0.01)
    path = run.responses_path(run.attempts()[0])
    lines = path.read_bytes().split(b"\n")[:-1]
    strangers = [line.replace(b'"two"', b'"three"') for line in lines if b'"two"' in line]
    receive(run, b"".join(line + b"\n" for line in [*strangers[:1], *lines]))
    results = bk.collect(run)
    assert results.to_arrow().column("response").to_pylist() == [
        "Echo: one",
        "Echo: two",
        "Echo: two",
    ]
    audit = json.loads((run.folder / "audit.json").read_bytes())
    assert audit["lines"] == {"joined": 3, "unknown": 1}
    (kept,) = (run.folder / "quarantine.jsonl").read_bytes().split(b"\n")[:-1]
    assert json.loads(kept)["text"].encode() == strangers[0]
    assert json.loads(kept)["reason"] == "no row waits for an answer to this request"
