"""The `lazsl` command. Bad input ends in one sentence and exit code 2, never in a traceback.

One module per group of commands; importing it registers them.
"""

from lazsl.cli import (
    audit,
    datasets,
    describe,
    estimate,
    evaluate,
    explain,
    label,
    labels,
    report,
    runs,
    warehouse,
)
from lazsl.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the console script."""
    app()


_ = (audit, datasets, describe, estimate, evaluate, explain, label, labels, report, runs, warehouse)
