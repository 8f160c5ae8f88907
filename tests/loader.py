"""Processes that write into BigQuery, to be killed while they do."""

from __future__ import annotations

import os

from google.auth.credentials import AnonymousCredentials

import batchkit as bk

__all__ = ["load", "push"]

SPEC = bk.generate("gemini-3.8-flash", "Say {text}")


def load(folder: str, table: str, environment: dict[str, str]) -> None:
    """Load the result of a run, where the environment points."""
    os.environ.update(environment)
    project = environment["GOOGLE_CLOUD_PROJECT"]
    client = bk.Vertex(project, "us-central1", credentials=AnonymousCredentials())
    bk.collect(folder).to_bigquery(table, client=client)


def push(folder: str, table: str, target: str, environment: dict[str, str]) -> None:
    """Take a table through a run with pushdown, and its result into a table of the target."""
    os.environ.update(environment)
    client = bk.Vertex(retries=bk.Retries(first_seconds=0.01, longest_seconds=0.05))
    options = {"key": "id", "target": target, "pushdown": True, "client": client}
    results = bk.run(table, SPEC, into=folder, settle_seconds=0.3, poll_seconds=0.05, **options)
    results.to_bigquery(f"{target}.out", client=client)
