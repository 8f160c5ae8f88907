"""bqemulator 1.4.0 with its gaps closed from outside: run by an interpreter that has it.

process starts it and installs what is changed, which service lists: jobs (queries, loads, extracts,
copies, uploads), rows and results, reading (the Storage API), catalog. Jobs write tables through
destinations, read files through sources and Cloud Storage through objects, and run where places
says. It imports the standard library, bqemulator and what that brings; nothing of batchkit.
"""
