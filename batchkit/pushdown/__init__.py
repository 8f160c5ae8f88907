"""Pushdown: the requests and outcomes of a BigQuery table as SQL, so that no row leaves it.

    columns     types whose text SQL writes as `text.py` does, and keys
    requests    a table and a spec become the SELECT of its requests
    outcomes    the rows of output tables become outcomes, one for each key
    decoding    the response of a row, by the rules of `answer.py`
    fitting     answers held against a schema, by those of `fitting.py`
    failures    the status of a row that failed, by those of `wire.py`
    results     rows and outcomes side by side, and their tally
    statements  all of a run, from its definition
    literals    texts, names and JSON paths as SQL writes them

All of it is text to text. The SQL keeps to what BigQuery documents and bqemulator runs.
"""
