"""New warehouses that are copies of one: to define tables, views and macros anew takes longer than
to load what a test loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lazsl.warehouse import loading
from lazsl.warehouse.opening import current_definitions

BEGINNINGS = {"test_warehouse"}
"""Files of tests whose subject is how a warehouse begins."""

_empty: dict[str, bytes] = {}


@contextmanager
def defining_once(file: str) -> Iterator[None]:
    """In a file of tests, an empty warehouse is made once, and then copied."""
    prepare = loading.prepare_file

    def copied(path: Path, working: Path) -> None:
        definitions = current_definitions()
        if path.exists() or definitions not in _empty:
            prepare(path, working)
            if not path.exists():
                _empty[definitions] = working.read_bytes()
        else:
            working.write_bytes(_empty[definitions])

    with pytest.MonkeyPatch.context() as patch:
        if file not in BEGINNINGS:
            patch.setattr(loading, "prepare_file", copied)
        yield
