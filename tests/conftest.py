"""Where the suite's processes keep things, how tests are cut over them, and what tests may start.

The fixtures are in tests/support/stores.py.
"""

from __future__ import annotations

import os
from pathlib import Path

# The field guide of every test and of every process that it starts, unless it says otherwise.
os.environ["LAZSL_FIELDGUIDE"] = str(Path(__file__).parent / "data" / "first_guide")

if "PYTEST_XDIST_WORKER" in os.environ:
    # One of several processes that share the processor, so each has one thread. xdist says how wide
    # the terminal is; tests that look at lines say so themselves. Both are read at import.
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)

import atexit
import gc
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from processes import Groups, in_order, starts_something
from started import started, watch

if "PYTEST_XDIST_WORKER" not in os.environ:
    # Of the hundred processes that the suite starts, none compiles the project anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Temporary folders lie in memory where there is room: a warehouse often waits for its disk.
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**32:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
    # The suite notes no archive among those of the user who runs it; its processes share a place.
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="lazsl-tests-")
    atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)


watch()


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures, except in a process that hands out the tests and runs none."""
    gc.disable()  # until all is imported, of which nothing may go
    works = "PYTEST_XDIST_WORKER" in os.environ
    if works:
        # The last thing that it does: to take apart all that it imported takes Python seconds.
        atexit.register(os._exit, 0)
    if works or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("stores")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """What hands out the tests, whatever `--dist` says."""
    config.option.loadscopereorder = False
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files, and mark what `make quick` leaves out."""
    in_order(items)
    for item in items:
        if starts_something(item):
            item.add_marker(pytest.mark.starts)


def pytest_collection_finish() -> None:
    """What was imported stays, so that nobody need look through it for what may go."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """Libraries complain of what is left where Python takes everything apart."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        gc.unfreeze()


@pytest.fixture(autouse=True)
def starts_nothing_unsaid(request: pytest.FixtureRequest) -> Iterator[None]:
    """`make quick` is what it says: what starts a server or a process is marked so."""
    started.clear()
    yield
    if started and request.node.get_closest_marker("starts") is None:
        pytest.fail(f"this starts {started[0]}: mark it `starts`")
