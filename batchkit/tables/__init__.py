"""Where rows come from: Arrow streams, Parquet, CSV, JSONL; pinned, to be read again."""
