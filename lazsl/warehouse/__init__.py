"""The warehouse, a DuckDB file or a lake: loading, opening, run keys, SQL files, export."""
