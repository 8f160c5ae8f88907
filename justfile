# What CI runs; each lane can be run alone. `just` lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

_list:
    @just --list

# Everything that must be green at every commit
check: lint types imports test lowest readme notebooks

# Style and rules of code, tests and scripts
lint:
    uv run --frozen ruff check .
    uv run --frozen ruff format --check .

# Strict types of the package, and of what it exports
types:
    uv run --frozen basedpyright
    uv run --frozen basedpyright --verifytypes batchkit --ignoreexternal
    UV_PROJECT_ENVIRONMENT="$PWD/.venv-bigquery" uv sync --frozen --quiet --project tests/bigquery
    uv run --frozen basedpyright --project tests/bigquery --pythonpath .venv-bigquery/bin/python

# Which module may import which
imports:
    uv run --frozen lint-imports

# The tests, in random order
test *args:
    uv run --frozen pytest {{ args }}

# The tests with the oldest dependencies that pyproject.toml allows, in a copy: uv would rewrite the lock
lowest:
    folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT && git ls-files -z | tar --null -cT - | tar -xC "$folder" && cd "$folder" && uv run --isolated --no-dev --group test --resolution lowest-direct pytest -q

# Whether generated parts of the documentation are up to date
readme:
    uv run --frozen cog --check -I docs docs/*.md

# Bring the generated parts of the documentation up to date
docs:
    uv run --frozen cog -r -I docs docs/*.md

# Whether the notebooks run, and give what is committed
notebooks:
    uv run --frozen python notebooks/execute.py --check

# A million rows there and back against an emulator; figures
million *args:
    uv run --frozen python benchmarks/million.py {{ args }}

# Kill drivers at every change of a file and at 500 random moments; figures, within an hour
kill-test *args:
    uv run --frozen python -m benchmarks.kill {{ args }}

# Feed damaged files to what reads them, for so many seconds, with low priority
fuzz seconds="600" *args:
    nice -n 19 uv run --frozen python -m tests.fuzz {{ seconds }} {{ args }}
