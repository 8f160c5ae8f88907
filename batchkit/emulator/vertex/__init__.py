"""Vertex AI's batchPredictionJobs, and the tokens that they ask for.

    Vertex          the service: its routes, its jobs' life
    Accounts        a throw-away service account, and the tokens that it gets
    Answers         answers to rows, by an answerer
    Quirks          what is not known of the service, as somebody reports it

A create becomes an order (orders: what was asked, checked by messages) and a job of the same life
as the Developer API's. Its work (work) reads objects (intake) or a table (tables) into rows,
answers them (answers, echoes) and writes an object or a table; resource shows it, filters finds it.
"""

from batchkit.emulator.vertex.accounts import PROJECT, Accounts
from batchkit.emulator.vertex.answers import Answers
from batchkit.emulator.vertex.quirks import Quirks
from batchkit.emulator.vertex.service import Vertex

__all__ = ["PROJECT", "Accounts", "Answers", "Quirks", "Vertex"]
