"""`python -m batchkit` is the command line."""

from batchkit.cli import main

main()
