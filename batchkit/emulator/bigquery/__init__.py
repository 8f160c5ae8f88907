"""A stand-in for BigQuery on localhost: bqemulator in a process of its own, amended.

    serve           starts one; returns a BigQuery
    BigQuery        its rest_url, grpc_address and environment
    StartError      there is none to start, or it did not start

bqemulator (https://github.com/jjviscomi/bqemulator) is not a dependency: it needs older libraries
than the rest, so it lives in an environment of its own, and is found through `python=`, in this
environment or on the PATH. What `_amended` changes in it, and what it still answers wrongly, is in
docs/emulator-bigquery.md.

`_amended` is run by that other interpreter, as `python -m _amended` in this folder: it imports
bqemulator and nothing of batchkit.
"""

from batchkit.emulator.bigquery.launcher import BigQuery, StartError, serve

__all__ = ["BigQuery", "StartError", "serve"]
