"""How requests travel: inlined in the call that creates the job, or in an uploaded file."""
