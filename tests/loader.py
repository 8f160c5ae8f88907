"""A process that loads a run's result into BigQuery, to be killed while it does."""

from __future__ import annotations

import os

from google.auth.credentials import AnonymousCredentials

import batchkit as bk

__all__ = ["load"]


def load(folder: str, table: str, environment: dict[str, str]) -> None:
    """Load the result of a run, where the environment points."""
    os.environ.update(environment)
    project = environment["GOOGLE_CLOUD_PROJECT"]
    client = bk.Vertex(project, "us-central1", credentials=AnonymousCredentials())
    bk.collect(folder).to_bigquery(table, client=client)
