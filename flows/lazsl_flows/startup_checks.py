"""What keeps Prefect from starting, found before it is tried and told in one sentence."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from lazsl.errors import UserError
from lazsl.store.urls import masked, reason

_ROOM = 2**20
"""Bytes that a home must have room for."""
_CHECKING = 5.0
"""Seconds for which a large database is looked through."""
_HISTORY = "it holds only Prefect's own history, nothing of lazsl's results"


def check_proxies() -> None:
    """Raise UserError if a proxy variable cannot be used, which breaks every request."""
    try:
        httpx.Client().close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        names = ", ".join(f"{name}_PROXY" for name in sorted(map(str.upper, getproxies())))
        raise UserError(
            f"the proxy in {names} cannot be used: {reason(error)}; correct or unset it, then "
            "run again"
        ) from None


def proxy_of(url: str) -> str | None:
    """Name of the variable whose proxy is asked for a URL; None if it is asked directly."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    names = [name for name in (parts.scheme, "all") if name in getproxies()]
    return f"{names[0].upper()}_PROXY" if names else None


def check_database(home: Path, connection: SecretStr | None) -> None:
    """Raise UserError if the home cannot be written, or its SQLite database is no database.

    Args:
        home: Prefect's.
        connection: of another database than the home's; one that is no file is left to the server.
    """
    _check_room(home)
    try:
        url = make_url(connection.get_secret_value()) if connection else None
    except ArgumentError:
        raise UserError(
            "PREFECT_SERVER_DATABASE_CONNECTION_URL is no database URL; correct or unset it"
        ) from None
    if url is not None and not url.drivername.startswith("sqlite"):
        return
    path = home / "prefect.db" if url is None else Path(url.database or ":memory:")
    if not path.is_file():
        return
    advice = f"make room, or move it away ({_HISTORY}) and run again"
    try:
        _probe(path)
    except sqlite3.Error as error:
        if "lock" in str(error) or "interrupt" in str(error):
            return  # another command uses it, or it is too large to be looked through
        raise UserError(f"Prefect's database {path} cannot be used: {error}; {advice}") from None


def _check_room(home: Path) -> None:
    probe = home / f".lazsl-room-{time.monotonic_ns()}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(bytes(_ROOM))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"Prefect's home {home} cannot be written: {error.strerror or error}; make room, "
            "correct its permissions, or set PREFECT_HOME to a folder of your own"
        ) from None


def _probe(path: Path) -> None:
    """Raise sqlite3.Error if the database cannot be read to its end, or not written."""
    deadline = time.monotonic() + _CHECKING
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as database:
        database.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        (result,) = database.execute("pragma quick_check(1)").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(" ".join(result.split()))
        database.execute("begin immediate")
        database.execute("create table lazsl_room (bytes)")
        database.execute("insert into lazsl_room values (zeroblob(100000))")
        database.execute("rollback")


def reason_in(log: str) -> str:
    """The last sentence of an error in a server's log, on one line; empty if there is none."""
    messages = re.findall(
        r"^(?:[\w.]+(?:Error|Exception|Warning)|ERROR):? +(.*\S)", log, re.MULTILINE
    )
    reasons = [line for line in messages if "Application startup failed" not in line]
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return masked((reasons or lines or [""])[-1])[:300]
