from __future__ import annotations

import subprocess
from pathlib import Path

from batchkit.emulator.bigquery import launcher

FOLDER = Path(launcher.__file__).parent

# In the interpreter that has bqemulator: three results of which two fit.
KEEPING = """
import asyncio
import pyarrow as pa
from bqemulator.config import Settings
from bqemulator.domain.errors import NotFoundError
from bqemulator.jobs.executor import JOB_RESULTS
from bqemulator.storage.engine import DuckDBEngine
from _amended.results import Results

DuckDBEngine._load_spatial = lambda engine: None

async def main():
    engine = DuckDBEngine(Settings(enable_format_extensions=False))
    await engine.start()
    results = Results(engine, most_bytes=2000)
    for name in ("first", "second", "third"):
        JOB_RESULTS[name] = pa.table({"x": range(100)})
        table = results.keep("p", name)
        results.materialise("p", table["tableId"])
    print(sorted(JOB_RESULTS), results.of_job("third")[0].num_rows)
    print(len(engine.execute("SELECT * FROM duckdb_tables()").fetchall()))
    try:
        results.of_job("first")
    except NotFoundError as error:
        print(error)

asyncio.run(main())
"""


def test_the_rows_of_the_oldest_queries_are_let_go(bigquery_python: str) -> None:
    said = subprocess.run(  # noqa: S603  # the interpreter of the tests
        [bigquery_python, "-c", KEEPING], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    lines = said.stdout.split("\n")[-4:]
    assert lines[0] == "['second', 'third'] 100"
    assert lines[1] == "2"
    assert lines[2] == "Not found: the rows of job first are not kept any more"
