"""A stand-in for Google's Gemini APIs and Cloud Storage on localhost, as strict as the services.

    serve          starts one; returns an Emulator
    Emulator       its url, api_key, clock, environment and stats
    Clock          its time, which a test can move
    Limits         the documented limits, which a test can shrink
    Quirks         how Vertex AI behaves where accounts of it differ
    CallFault      what goes wrong with a call, where a test wants it
    JobFault       what goes wrong with a job
    RowFault       what goes wrong with rows of a job's output
    parse_fault    any of these from its text, as on the command line
    echo           the default answerer
    AnswerError    what an answerer raises to refuse a request

What `serve(on_effect=)` hears of: upload.started, upload.received, upload.cancelled, file.created,
file.deleted, batch.created, batch.processed (it succeeded or failed), batch.expired,
batch.cancelled, batch.deleted, call.answered; of Cloud Storage, by gs:// URI: bucket.created,
bucket.updated, bucket.deleted, object.created, object.updated, object.deleted, and of uploads in
several requests upload.started, upload.received, upload.cancelled.

It imports nothing from the rest of batchkit, which is tested against it.

A request goes server (sockets) -> interference (faults of calls) -> routes (key, path) -> a
service (uploads, files, batches, interactive, models, control) -> state (SQLite) and blobs
(contents). Bodies become messages in protojson and messages. A job's input becomes rows in intake;
life moves jobs by the clock; output answers the rows through answering and an answerer (echo, with
embedding and structure). fate knows which faults befall what, blemishes what they make of rows;
quota is the room for jobs. Vertex AI
(vertex) has jobs of the same life, on objects of Cloud Storage (storage) and tables of BigQuery
(bigquery, a process of its own).
"""

from batchkit.emulator.clock import Clock
from batchkit.emulator.echo import echo
from batchkit.emulator.emulator import Emulator, serve
from batchkit.emulator.errors import AnswerError
from batchkit.emulator.faults import CallFault, JobFault, RowFault, parse_fault
from batchkit.emulator.limits import Limits
from batchkit.emulator.vertex import Quirks

__all__ = [
    "AnswerError",
    "CallFault",
    "Clock",
    "Emulator",
    "JobFault",
    "Limits",
    "Quirks",
    "RowFault",
    "echo",
    "parse_fault",
    "serve",
]
