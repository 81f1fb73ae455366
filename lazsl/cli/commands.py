"""All commands: one module per group of them, registered by being imported."""

from __future__ import annotations

from lazsl.cli import (  # noqa: F401
    audit,
    datasets,
    describe,
    estimate,
    evaluate,
    explain,
    export,
    find,
    label,
    labels,
    labels_tree,
    relabel,
    report,
    runs,
    serve,
    sql,
    warehouse,
)
from lazsl.cli.app import app

__all__ = ["app"]
