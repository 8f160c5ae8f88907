from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.canonical import value_hash
from batchkit.emulator import serve
from batchkit.errors import RunDirectoryError
from tests.conftest import quick_client
from tests.scripted import Said, scripted

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = bk.generate("gemini-3.8-flash", "{text}")
TABLE = [{"id": f"r{i}", "text": f"text {i}"} for i in range(6)]
FETCHED = "ledger/00000-1/05-fetched.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two shards that was collected."""
    folder = tmp_path_factory.mktemp("hostile") / "run"
    with serve() as emulator:
        client = quick_client(emulator)
        limits = {"max_rows": 3}
        bk.run(TABLE, SPEC, key="id", into=folder, target="file", limits=limits, client=client)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of that run, as somebody may have sent it."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A file of the user's, which no run has anything to do with."""
    path = tmp_path / "private"
    path.write_bytes(b"the user's own\n")
    return path


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    content = jsonl.loads(path.read_bytes())
    changed = change(content)
    path.write_text(json.dumps(content if changed is None else changed))  # with any number in it


def put(*steps: Any, value: Any) -> Callable[[Any], None]:
    """A change of one value in JSON."""

    def change(content: Any) -> None:
        for step in steps[:-1]:
            content = content[step]
        content[steps[-1]] = value

    return change


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def use(folder: Path) -> None:
    """All that a user who was sent a run may do with it, when nothing stops that."""
    with scripted(Said(404)) as server:
        bk.submit(folder, client=server.client(), settle_seconds=0)
        results = bk.collect(folder, client=server.client())
    results.to_arrow()
    results.to_parquet()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


LINKED = [
    "run.json",
    "shards.json",
    ".lease",
    "lease.json",
    "audit.json",
    "table.arrow",
    "ledger",
    "ledger/00000-1",
    FETCHED,
    "requests/00000.jsonl",
    "responses",
    "responses/00000-1.jsonl",
    "rows/00001.parquet",
    "outcomes",
    "outcomes/00000-1.parquet",
    "results",
    "new-name",
]


@pytest.mark.parametrize("name", LINKED)
def test_a_link_is_refused_whatever_stands_in_its_place(
    folder: Path, tmp_path: Path, name: str
) -> None:
    path, there = folder / name, tmp_path / "there"
    if path.exists():
        path.rename(there)
    else:
        there.write_bytes(b"the user's own\n")
    path.symlink_to(there)
    before = everything(tmp_path)
    for verb in (use, bk.open_run, lambda f: bk.Run(f).shards, bk.wait):
        with pytest.raises(RunDirectoryError, match=f"{path} is a link"):
            verb(folder)
    with pytest.raises(RunDirectoryError, match=f"{path} is a link"):
        bk.build(TABLE, SPEC, key="id", into=folder, target="file", limits={"max_rows": 3})
    assert everything(tmp_path) == before


def test_a_link_to_nowhere_creates_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / ".lease").unlink()
    (folder / ".lease").symlink_to(tmp_path / "made")
    with pytest.raises(RunDirectoryError, match="is a link"):
        bk.collect(folder)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["run.json", "shards.json", "audit.json", FETCHED])
def test_a_pipe_is_refused_and_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    for verb in (use, bk.open_run, lambda f: bk.Run(f).shards):
        with pytest.raises(RunDirectoryError, match="is no plain file"):
            verb(folder)


def test_the_directory_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "name").symlink_to(folder)
    assert bk.collect(tmp_path / "name").tally()["ok"] == len(TABLE)


OUTSIDE = ["../private", "/etc/passwd", "a/../../private", "..", "", ".", "a\0b", "n" * 300, "a/b"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_name_of_a_shard_leads_nowhere(folder: Path, elsewhere: Path, name: str) -> None:
    edit(folder / "shards.json", put("shards", 0, "name", value=name))
    with pytest.raises(RunDirectoryError, match=r"shards\.json is damaged"):
        use(folder)
    assert elsewhere.read_bytes() == b"the user's own\n"


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_table_of_a_run_is_no_file_elsewhere(folder: Path, name: str) -> None:
    edit(folder / "run.json", put("table", "files", 0, "path", value=name))
    with pytest.raises(RunDirectoryError, match=r"run\.json is damaged|table\.arrow|is missing"):
        use(folder)


@pytest.mark.parametrize("path", ["private.parquet", "../private.parquet", "/x/../private.parquet"])
def test_a_table_outside_is_named_by_its_whole_path(folder: Path, path: str) -> None:
    edit(folder / "run.json", put("table", "files", 0, "path", value=path))
    edit(folder / "run.json", put("table", "files", 0, "modified", value=1))
    with pytest.raises(RunDirectoryError, match="leads out of the run"):
        use(folder)


def test_a_table_outside_is_not_read_unless_its_size_and_time_are_known(
    folder: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private.parquet"
    pq.write_table(pa.table({"id": ["secret"] * 6, "text": ["secret"] * 6}), private)
    state = private.stat()
    file = {"path": str(private), "format": "parquet", "bytes": state.st_size}
    file |= {"modified": state.st_mtime_ns + 1, "group_rows": [6], "partition": []}
    edit(folder / "run.json", put("table", "files", value=[file]))
    with pytest.raises(bk.errors.RunChangedError, match="gone or changed"):
        use(folder)


EDITS: list[tuple[str, Callable[[Any], Any]]] = [
    ("run.json", put("id", value="../../x")),
    ("run.json", put("id", value=5)),
    ("run.json", put("salt", value=None)),
    ("run.json", put("key", value="id")),
    ("run.json", put("key", value=["no such column"])),
    ("run.json", put("carry", value=[["id"]])),
    ("run.json", put("limits", "max_rows", value=-1)),
    ("run.json", put("limits", "max_rows", value="many")),
    ("run.json", put("limits", "bytes_per_token", value=None)),
    ("run.json", put("layout", "flatten", value="no")),
    ("run.json", put("layout", "prefix", value=7)),
    ("run.json", put("dialect", value="none")),
    ("run.json", put("labelled", value=[])),
    ("run.json", put("spec", "prompt", value="{id} and something else")),
    ("run.json", put("spec", "kind", value="ready")),
    ("run.json", put("spec", "kind", value={})),
    ("run.json", put("resident", value={"source": 5})),
    ("run.json", put("table", "schema", value="AAAA")),
    ("run.json", put("table", "schema", value="not base64!")),
    ("run.json", put("table", "files", 0, "group_rows", value=[2**70])),
    ("run.json", put("table", "files", 0, "group_rows", value=[10**9])),
    ("run.json", put("table", "files", 0, "format", value="pickle")),
    ("run.json", put("table", "files", 0, "partition", value=[["a"]])),
    ("run.json", put("table", "files", value=[])),
    ("run.json", put("table", "digest", value=3)),
    ("shards.json", put("shards", value=[])),
    ("shards.json", put("shards", 1, "name", value="00000")),
    ("shards.json", put("shards", 0, "rows", value=2**62)),
    ("shards.json", put("shards", 0, "rows", value=-3)),
    ("shards.json", put("shards", 0, "rows", value=3.0)),
    ("shards.json", put("shards", 0, "rows", value=True)),
    ("shards.json", put("shards", 0, "first_row", value=1)),
    ("shards.json", put("shards", 0, "requests", value=4)),
    ("shards.json", put("shards", 0, "sha256", value=[1])),
    ("shards.json", put("target", value={})),
    ("shards.json", lambda content: [content]),
    (FETCHED, put("bytes", value="all")),
    (FETCHED, put("bytes", value=-1)),
    (FETCHED, put("kind", value="created")),
    (FETCHED, put("kind", value=["fetched"])),
    (FETCHED, put("at", value="yesterday")),
    (FETCHED, lambda _: 5),
    ("ledger/00000-1/04-ended.json", put("error", value="broken")),
    ("ledger/00000-1/03-created.json", put("job", value=["batches/x"])),
    ("ledger/00000-1/03-created.json", put("job", value="")),
]


@pytest.mark.parametrize("name, change", EDITS, ids=map(str, range(len(EDITS))))
def test_json_that_somebody_edited_is_refused(
    folder: Path, name: str, change: Callable[[Any], Any]
) -> None:
    edit(folder / name, change)
    with pytest.raises(RunDirectoryError, match=f"({Path(name).name}|shards.json) is damaged"):
        use(folder)


@pytest.mark.parametrize("name", ["run.json", "shards.json", FETCHED, "outcomes/00000-1.json"])
@pytest.mark.parametrize(
    "content",
    [nested(900), nested(200_000), b"[" * 300, b"NaN", b"1e999", b"9" * 9_999, b'"\xed\xa0\x80"'],
    ids=["deep", "deeper", "cut", "NaN", "infinite", "huge", "surrogate"],
)
def test_json_that_is_none_or_too_deep_is_refused_or_made_again(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    if name.startswith("outcomes"):
        assert bk.collect(folder).tally()["ok"] == len(TABLE)
        return
    with pytest.raises(RunDirectoryError, match=f"{Path(name).name} (is damaged|has format None)"):
        use(folder)


def deep_schema(depth: int) -> Any:
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(depth):
        schema = {"type": "ARRAY", "items": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 5},
        {"type": "OBJECT", "properties": ["n"]},
        {"type": "OBJECT", "properties": {"n": 5}},
        {"type": "STRING", "enum": 5},
        {"type": "OBJECT", "properties": {"n": {"type": "STRING"}}, "required": "n"},
        {"type": "ARRAY", "items": {"type": "ARRAY", "items": [1]}},
        {"anyOf": {"type": "STRING"}},
        deep_schema(190),
    ],
    ids=map(str, range(8)),
)
def test_a_schema_that_is_none_is_refused(folder: Path, schema: Any) -> None:
    config = {"responseMimeType": "application/json", "responseSchema": schema}

    def change(content: Any) -> None:
        content["spec"]["body"]["generationConfig"] = config
        content["spec_hash"] = value_hash(content["spec"])

    edit(folder / "run.json", change)
    with pytest.raises(RunDirectoryError, match=r"run\.json is damaged|outcomes"):
        use(folder)


def swap(one: Path, other: Path) -> None:
    held = one.with_name("held")
    one.rename(held)
    other.rename(one)
    held.rename(other)


@pytest.mark.parametrize("part", ["rows/0000{}.parquet", "outcomes/0000{}-1.parquet"])
def test_files_of_two_shards_that_were_swapped_are_found(folder: Path, part: str) -> None:
    if part.startswith("rows"):
        shutil.rmtree(folder / "outcomes")
    swap(folder / part.format(0), folder / part.format(1))
    with pytest.raises(RunDirectoryError, match="row numbers that are not those"):
        use(folder)


def test_requests_that_were_swapped_for_others_are_not_sent(tmp_path: Path) -> None:
    table = [{"text": "aaaa"}, {"text": "bbbb"}]
    run = bk.build(table, SPEC, into=tmp_path / "run", target="inline", limits={"max_rows": 1})
    swap(run.requests_path("00000"), run.requests_path("00001"))
    with scripted(Said(body={"operations": []})) as server:
        with pytest.raises(RunDirectoryError, match=r"requests/00000\.jsonl is damaged .*SHA-256"):
            bk.submit(run, client=server.client())
        assert [asked for asked in server.asked if asked.method == "POST"] == []


def test_facts_that_lack_one_before_them_are_refused(folder: Path) -> None:
    (folder / "ledger/00000-1/03-created.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"04-ended\.json is damaged .*fact 3 by its place"):
        use(folder)


@pytest.mark.parametrize("name", ["9x-intent.json", "99-intent.json", "01-other.json"])
def test_a_fact_of_another_name_is_refused(folder: Path, name: str) -> None:
    shutil.copy(folder / "ledger/00000-1/01-intent.json", folder / "ledger/00000-1" / name)
    with pytest.raises(RunDirectoryError, match="is damaged"):
        use(folder)


def outcomes_of(folder: Path) -> tuple[Path, pa.Table]:
    path = folder / "outcomes" / "00000-1.parquet"
    return path, pq.read_table(path)


@pytest.mark.parametrize("rows", [[0, 1, 99], [-1, 0, 1], [0, 0, 1], [2, 1, 0], [0, None, 2]])
def test_outcomes_of_rows_that_there_are_not_are_refused(
    folder: Path, rows: list[int | None]
) -> None:
    path, table = outcomes_of(folder)
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(rows, pa.int64())), path)
    with pytest.raises(RunDirectoryError, match=r"00000-1\.parquet is damaged .*row numbers"):
        use(folder)


def test_outcomes_of_other_types_or_statuses_are_refused(folder: Path) -> None:
    path, table = outcomes_of(folder)
    place = table.schema.get_field_index("status")
    statuses = pa.array(["ok", "<b>", "ok"])
    pq.write_table(table.set_column(place, table.schema.field(place), statuses), path)
    with pytest.raises(RunDirectoryError, match="a status that there is not"):
        use(folder)
    pq.write_table(table.drop_columns(["response"]), path)
    with pytest.raises(RunDirectoryError, match="its columns are not those of the run"):
        use(folder)


def test_a_file_that_says_it_has_a_billion_rows_is_refused(folder: Path) -> None:
    rows = 10_000_000
    few = pa.DictionaryArray.from_arrays(
        pa.array(bytes(rows), pa.int8()), pa.array([0], pa.int64())
    )
    path = folder / "rows" / "00000.parquet"
    pq.write_table(pa.table({"row": few}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    edit(folder / "shards.json", put("shards", 0, "rows", value=rows))
    edit(folder / "shards.json", put("shards", 1, "first_row", value=rows))
    edit(folder / "run.json", put("table", "files", 0, "group_rows", value=[rows + 3]))
    with pytest.raises(RunDirectoryError, match=r"10,000,000 rows in .* bytes"):
        use(folder)


def test_a_table_of_other_rows_is_refused(folder: Path) -> None:
    path = folder / "table.arrow"
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pa.ipc.new_file(str(path), schema) as writer:
        writer.write_batch(pa.record_batch([["x"] * 4, ["y"] * 4], schema=schema))
    edit(folder / "run.json", put("table", "files", 0, "bytes", value=path.stat().st_size))
    with pytest.raises(RunDirectoryError, match="its rows are not the 6"):
        use(folder)


class _Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


# Older Arrows say that they do not unpickle.
@pytest.mark.filterwarnings("ignore:pickle-based deserialization:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:pyarrow.PyExtensionType is deprecated:FutureWarning")
def test_nothing_of_a_run_is_unpickled(folder: Path, tmp_path: Path) -> None:
    import base64  # noqa: PLC0415  # of this test alone
    import pickle  # noqa: PLC0415  # as above

    trap = pickle.dumps(_Trap(tmp_path / "sprung"))
    metadata = {b"ARROW:extension:name": b"arrow.py_extension_type"}
    metadata |= {b"ARROW:extension:metadata": trap}
    schema = pa.schema(
        [pa.field("id", pa.string(), metadata=metadata), pa.field("text", pa.string())],
        metadata={b"pandas": trap, b"batchkit": trap},
    )
    encoded = base64.b64encode(schema.serialize().to_pybytes()).decode()
    edit(folder / "run.json", put("table", "schema", value=encoded))
    with pytest.raises(RunDirectoryError):
        bk.collect(folder).to_pandas()
    assert not (tmp_path / "sprung").exists()


def test_statuses_of_an_edited_balance_are_not_shown_in_a_notebook(tmp_path: Path) -> None:
    from batchkit.display.html import tally_html  # noqa: PLC0415  # of this test alone

    shown = tally_html(str(tmp_path), {"<script>alert(1)</script>": 1})
    assert "<script>" not in shown
