"""The DuckDB file: SQL files, opening, run keys, finished shards, loading, publishing, export."""
