"""One script per page of docs/research."""
