from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import batchkit as bk
from batchkit.errors import NotFoundError, RunChangedError, RunDirectoryError, TableError
from batchkit.service.job_json import read_job
from batchkit.tables.delivered import deliver_objects
from batchkit.tables.gcs import object_table
from batchkit.tables.reach import Reach
from batchkit.tables.stream import TableStream
from tests.cloud import BUCKET, GoogleCloud

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]
TABLE = pa.Table.from_pylist(ROWS)
SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def read(gs: GoogleCloud, address: str, folder: Path) -> list[dict[str, Any]]:
    with Reach(lambda: gs.cloud, folder) as reach:
        stream = object_table(address, (), reach)
        assert isinstance(stream, TableStream)
        return pa.Table.from_batches(list(stream.batches), stream.schema).to_pylist()


def build(gs: GoogleCloud, address: str, folder: Path, **options: Any) -> bk.Run:
    return bk.build(address, SPEC, into=folder, client=gs.client, **{"key": "id"} | options)


@pytest.mark.parametrize(
    "name, content",
    [
        ("rows.csv", b"id,text\n1,a\n2,b\n"),
        ("rows.tsv", b"id\ttext\n1\ta\n2\tb\n"),
        ("rows.csv.gz", gzip.compress(b"id,text\n1,a\n2,b\n", mtime=0)),
        ("deep/rows.jsonl", b'{"id":1,"text":"a"}\n{"id":2,"text":"b"}\n'),
        ("rows.ndjson.gz", gzip.compress(b'{"id":1,"text":"a"}\n{"id":2,"text":"b"}\n', mtime=0)),
    ],
)
def test_objects_are_known_by_how_their_names_end(
    gs: GoogleCloud, tmp_path: Path, name: str, content: bytes
) -> None:
    assert read(gs, gs.put(name, content), tmp_path) == ROWS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["rows.parquet", "rows", "a/rows [1].parquet"])
def test_all_other_objects_are_parquet(gs: GoogleCloud, tmp_path: Path, name: str) -> None:
    assert read(gs, gs.put_parquet(name, TABLE, group_rows=1), tmp_path) == ROWS


@pytest.mark.parametrize("address", ["t", "t/", "t/day=*/*.parquet", "t/**.parquet", ""])
def test_a_folder_and_a_pattern_are_one_table_in_the_order_of_names(
    gs: GoogleCloud, tmp_path: Path, address: str
) -> None:
    gs.put_parquet("t/day=2/a.parquet", TABLE.slice(1))
    gs.put_parquet("t/day=1/a.parquet", TABLE.slice(0, 1).select(["text", "id"]))
    gs.put("t/day=1/_SUCCESS", b"")
    gs.put_parquet("t/_old/day=3/a.parquet", TABLE)
    found = read(gs, f"gs://{BUCKET}/{address}", tmp_path)
    assert found == [{"text": r["text"], "id": r["id"], "day": str(r["id"])} for r in ROWS]


def test_objects_with_other_columns_are_refused_by_name(gs: GoogleCloud, tmp_path: Path) -> None:
    gs.put_parquet("t/a.parquet", TABLE)
    gs.put_parquet("t/b.parquet", TABLE.select(["id"]))
    with pytest.raises(TableError, match=r"t/b\.parquet: its columns differ from .*t/a\.parquet"):
        read(gs, f"gs://{BUCKET}/t", tmp_path)


@pytest.mark.parametrize("name", ["no.parquet", "no/", "no*.parquet", "no.csv"])
def test_an_object_that_is_not_there_is_named(gs: GoogleCloud, tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match="there is no object gs://a-bucket/no"):
        build(gs, f"gs://{BUCKET}/{name}", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_bucket_that_is_not_there_is_an_error(gs: GoogleCloud, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        build(gs, "gs://no-such-bucket/a.parquet", tmp_path / "run")


@pytest.mark.parametrize(
    "name, said", [("a.parquet", "is no Parquet file"), ("a.csv", "gs://a-bucket/a.csv: .*UTF-8")]
)
def test_an_object_that_is_no_table_is_named(
    gs: GoogleCloud, tmp_path: Path, name: str, said: str
) -> None:
    address = gs.put(name, b"id\n\xff\n")
    with pytest.raises(TableError, match=said):
        build(gs, address, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_ours_is_left_alone(gs: GoogleCloud, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(RunDirectoryError, match=r"holds other files \(precious\.txt"):
        build(gs, gs.put("rows.csv", b"id,text\n1,a\n"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_csv_is_read_from_one_object(gs: GoogleCloud, tmp_path: Path) -> None:
    gs.put("a.csv", b"id\n1\n")
    gs.put("b.csv", b"id\n1\n")
    with pytest.raises(TableError, match="names 2 objects: CSV and JSONL are read from one"):
        read(gs, f"gs://{BUCKET}/*.csv", tmp_path)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_is_downloaded_once_and_known_again_by_its_generation(
    gs: GoogleCloud, tmp_path: Path, ending: str
) -> None:
    name = f"rows.{ending}"
    put = {
        "parquet": lambda: gs.put_parquet(name, TABLE),
        "csv": lambda: gs.put(name, b"id,text\n1,a\n2,b\n"),
    }
    address = put[ending]()
    first = build(gs, address, tmp_path / "run").definition
    content = gs.content(name)
    gs.lose_contents()
    assert build(gs, address, tmp_path / "run").definition.table == first.table
    gs.replace(name, content)
    with pytest.raises(RunChangedError, match=f"source {address}: the run has"):
        build(gs, address, tmp_path / "run")


def test_a_csv_of_another_key_is_read_anew(gs: GoogleCloud, tmp_path: Path) -> None:
    address = gs.put("rows.csv", b"id,n,text\n1,2,a\n2,3,b\n")
    known = build(gs, address, tmp_path / "run").definition.table
    with Reach(lambda: gs.cloud, tmp_path / "run", known) as reach:
        assert object_table(address, ("id",), reach) is known
        assert object_table(address, ("n",), reach).schema.field("n").type == pa.string()


def test_an_object_that_is_replaced_while_it_is_read_is_refused(
    gs: GoogleCloud, tmp_path: Path
) -> None:
    gs.put_parquet("t/a.parquet", TABLE)
    gs.put_parquet("t/b.parquet", TABLE)
    with Reach(lambda: gs.cloud, tmp_path) as reach:
        stream = object_table(f"gs://{BUCKET}/t", (), reach)
        assert isinstance(stream, TableStream)
        next(stream.batches)
        gs.replace("t/b.parquet", gs.content("t/b.parquet"))
        with pytest.raises(RunChangedError, match=r"t/b\.parquet was replaced or deleted while"):
            list(stream.batches)


def test_the_result_has_the_rows_of_the_table_though_its_objects_are_gone(
    gs: GoogleCloud, tmp_path: Path
) -> None:
    run = build(gs, gs.put_parquet("rows.parquet", TABLE), tmp_path / "run")
    gs.replace("rows.parquet", b"")
    assert bk.collect(run).to_arrow().select(["id", "text"]).to_pylist() == ROWS


@pytest.mark.parametrize("folder", ["n" * 300 + "/", "..", "../../x", "a//", "é\\ "], ids=range(5))
@pytest.mark.parametrize("end", ["x.csv", ".jsonl", "/..csv", "n" * 300 + ".jsonl"], ids=range(4))
def test_no_name_of_an_object_becomes_that_of_a_file(
    gs: GoogleCloud, tmp_path: Path, folder: str, end: str
) -> None:
    content = b"id,text\n1,a\n2,b\n" if end.endswith("csv") else b'{"id":1,"text":"a"}\n' * 2
    address = gs.put(f"{folder}{end}", content)
    inner = tmp_path / "inner"
    inner.mkdir()
    assert [row["text"] for row in read(gs, address, inner)][:1] == ["a"]
    assert [path.name for path in tmp_path.rglob("*")] == ["inner"]


@pytest.mark.parametrize("name", ["../up.csv", "n" * 500 + ".csv", "a\\b", "x/.."])
def test_a_result_is_delivered_under_any_name(gs: GoogleCloud, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    address = f"gs://{BUCKET}/{name}"

    def write(to: Path) -> None:
        to.write_bytes(b"rows")

    deliver_objects(write, address, gs.cloud.objects, folder)
    assert gs.content(name) == b"rows"
    assert [path.name for path in tmp_path.rglob("*")] == ["inner"]


def test_objects_of_any_name_become_one_file_of_responses(gs: GoogleCloud, tmp_path: Path) -> None:
    for name in ("../../up.jsonl", "/etc/x.jsonl", "n" * 400 + ".jsonl", "..jsonl"):
        gs.put(f"out/{name}", b"{}\n")
    job = read_job(
        {
            "name": "projects/p/locations/l/batchPredictionJobs/1",
            "outputInfo": {"gcsOutputDirectory": f"gs://{BUCKET}/out"},
        }
    )
    to = tmp_path / "inner" / "responses.jsonl"
    to.parent.mkdir()
    assert gs.client.batches.write_output(job, to)
    assert to.read_bytes() == b"{}\n" * 4
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inner", "responses.jsonl"]
