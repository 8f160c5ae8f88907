"""Turn tables into Gemini batches and put every answer back on the row it came from."""
