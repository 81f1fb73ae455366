"""Prefect flows over lazsl: thin tasks, no mathematics, no SQL."""
