"""How the suite is cut over processes, and what these share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    # What waits most comes first, so that something can be done beside it, then what takes longest.
    "test_service": "service",
    # One Python that has imported the large libraries serves these,
    "test_processes": "prefect",
    "test_temporary_server": "prefect",
    "test_shipped_guide": "prefect",
    # and one Prefect server serves those.
    "test_cluster": "prefect",
    "test_flows": "prefect",
    "test_made_anew": "prefect",
    "test_determinism": "determinism",
    "test_report_browser": "report",
    "test_report": "report",
    "test_warehouse": "warehouse",
    "test_lake": "lake",
    "test_healing": "healing",
    "test_explain": "explain",
    # One process imports POT for these, which takes two seconds.
    "test_transport": "transport",
    "test_evaluate_methods": "transport",
}
"""Files whose tests one process runs, longest first; any other file is a group of its own."""

STARTERS = ("subprocess", "ThreadingHTTPServer", "Server")
"""Names of what starts processes and servers, in files of tests; others mark their tests."""

RANKS = {name: rank for rank, name in enumerate(TOGETHER)}


class Groups(LoadScopeScheduling):
    """Hands out whole groups of files to the processes, in the order of collection.

    xdist's own loadgroup writes a group into a name that pytest 9.2 does not read again: every
    file was cut in two, and both processes made what the tests of a file share.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0]).stem
        return TOGETHER.get(file, file)


def in_order(items: list[pytest.Item]) -> None:
    """Sort tests by their files, longest first."""
    items.sort(key=lambda item: RANKS.get(item.path.stem, len(RANKS)))


def starts_something(item: pytest.Item) -> bool:
    """True when a test starts a server, a browser or a process of its own."""
    fixtures = set(getattr(item, "fixturenames", ()))
    servers = {"s3_server", "browser", "prefect_server", "prefect_home", "warm_python", "wheel"}
    if fixtures & servers:
        return True
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    module = getattr(item, "module", None)
    return parameters.get("place") == "s3" or any(hasattr(module, name) for name in STARTERS)


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of all processes of a suite."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(name: str, factory: pytest.TempPathFactory) -> None:
    """Fail where another process makes the same costly thing: then the groups do not hold."""
    try:
        (shared_folder(factory) / f"{name}.made").touch(exist_ok=False)
    except FileExistsError:
        pytest.fail(
            f"the {name} was made twice in one suite: see Groups in tests/support/processes.py"
        )
