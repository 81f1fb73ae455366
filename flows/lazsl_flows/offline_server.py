"""Prefect's server, which connects to nobody by itself: `python -m lazsl_flows.offline_server`.

It takes the arguments of `prefect server`. Prefect's own asks GitHub for lists of worker types and
blocks when a worker starts, and takes the lists that it brings along where GitHub does not answer.
"""

from __future__ import annotations

import sys

NOWHERE = "packaged://"
"""No scheme that the server can ask, so that it takes the list that it brings along."""


def ask_nobody() -> None:
    """Have the server of this process take the lists that Prefect brings along."""
    from prefect.server.api import collections

    for name in collections.KNOWN_VIEWS:
        collections.KNOWN_VIEWS[name] = f"{NOWHERE}{name}"


def main() -> None:
    """`prefect server` with the arguments of this command."""
    ask_nobody()
    from prefect.cli import app

    sys.argv = ["prefect", "server", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
