"""The Prefect API of one command: the server that is named, or one that lives as long as it does.

Prefect would start a server too. That one outlives a killed command, and says nothing for minutes
where it cannot start.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

from lazsl.errors import UserError, in_one_line
from lazsl.store.private import private_folder
from lazsl.store.urls import reason
from lazsl_flows import recording
from lazsl_flows.startup_checks import check_database, check_proxies, proxy_of, reason_in

log = logging.getLogger("lazsl.server")

_AS_PREFECT_DOES = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
"""What Prefect tells a temporary server of its own."""
_LONGEST = 180.0
"""Seconds that a server may take as long as it lives: on a busy machine a first start is slow."""
_LIVES = 3
"""Times that a server that dies is started again."""
_PATIENCE = 6.0
"""Seconds in which a server that is named must answer."""


def keep_to_this_command() -> None:
    """Have a server that Prefect starts for this process ask for a key that nobody else has.

    It listens on loopback, where every user of the machine can reach it, and its API runs commands.
    Its home, with its database, is closed to other users.

    Raises:
        UserError: Prefect's home belongs to another user.
    """
    settings = get_current_settings()
    if settings.api.url is not None:
        return
    private_folder(Path(settings.home).resolve())
    key = f"lazsl:{secrets.token_urlsafe(24)}"
    os.environ.update(PREFECT_SERVER_API_AUTH_STRING=key, PREFECT_API_AUTH_STRING=key)
    refresh_global_settings_context()


@contextmanager
def starting_api() -> Iterator[Callable[[], None]]:
    """Begin to have an API for the flows of this process, and stop at the end if nobody waited.

    Yields what waits until it answers, after which `PREFECT_API_URL` names it as long as this
    process lives.

    Raises:
        UserError: the named server does not answer, or a temporary one cannot start, which may be
            told while waiting; the sentence says what is in the way, and what to do.
    """
    settings = get_current_settings()
    check_proxies()
    if settings.api.url is not None:
        _check_named(str(settings.api.url))
        yield lambda: None
        return
    home = Path(settings.home).resolve()
    check_database(home, settings.server.database.connection_url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # httpx and websockets would ask a proxy for what is on this machine.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))
    server = _Server(port)
    answers = False

    def wait() -> None:
        nonlocal answers
        url = f"http://127.0.0.1:{port}/api"
        _wait(f"{url}/health", server, home)
        answers = True
        server.keep()
        os.environ["PREFECT_API_URL"] = url
        refresh_global_settings_context()

    try:
        yield wait
    finally:
        # What Prefect has still to tell a server that was used, it tells as the process ends.
        if not answers:
            server.stop()


class _Server:
    """A temporary server: its process, and the file that holds what it writes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._lock = threading.Lock()
        self._stopped = False
        self._start()
        atexit.register(self.stop)

    def _start(self) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (written as long as the server lives)
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lazsl_flows.temporary_server_process", str(self.port)],
            env={**recording.TOGETHER, **os.environ, **_AS_PREFECT_DOES, **settings},
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,  # Ctrl-C is for the command, which still tells it how it ended
        )

    def keep(self) -> None:
        """Start it again where it dies: the system kills what takes much memory. Its history is in
        its database, and Prefect's clients ask again for a minute."""
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        # Prefect writes a page for every event that a server which is away does not hear.
        logging.getLogger("prefect._internal.concurrency").addFilter(
            lambda record: "EventsWorker" not in record.getMessage()
        )
        for _ in range(_LIVES):
            self.process.wait()
            with self._lock:
                if self._stopped:
                    return
                log.warning(
                    "Prefect's temporary server was killed; it is being restarted, and the run "
                    "continues. Only Prefect's own history lacks what happened in between"
                )
                self._start()

    def stop(self) -> None:
        """End it, for good."""
        with self._lock:
            self._stopped = True
            if self.process.stdin is not None:
                self.process.stdin.close()
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def server_failed(error: Exception) -> UserError:
    """What is said where a server that answered at first fails in the middle of a flow."""
    settings = get_current_settings()
    return UserError(
        f"Prefect's server at {settings.api.url} failed in the middle "
        f"({in_one_line(error)[:200]}); what is done is kept. If it was started for this command, "
        f"see that there is room in {Path(settings.home).resolve()}; then run the same "
        "command again, and it goes on"
    )


def _check_named(url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            httpx.get(f"{url}/health", timeout=5).raise_for_status()
            return
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if time.monotonic() < deadline and isinstance(error, httpx.TransportError):
                time.sleep(0.5)
                continue
            proxy = proxy_of(url)
            by = f" through the proxy in {proxy}" if proxy else ""
            raise UserError(
                f"no Prefect server answers at {url}{by}, which PREFECT_API_URL or the "
                f"profile names ({reason(error)}); start it, or unset "
                "PREFECT_API_URL (prefect config unset PREFECT_API_URL), and this command starts a "
                "temporary one"
                + ("; a server on your side of the proxy belongs in NO_PROXY" if proxy else "")
            ) from None


def _wait(health: str, server: _Server, home: Path) -> None:
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if httpx.get(health, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    slow = server.process.poll() is None
    server.stop()
    server.log.seek(0)
    written = server.log.read().decode(errors="replace")
    if slow:
        raise UserError(
            f"Prefect's temporary server did not answer in {_LONGEST:.0f} s "
            f"({reason_in(written) or 'it said nothing'}); is the machine very busy? Run again, or "
            "start a server (prefect server start) and name it in PREFECT_API_URL"
        )
    raise UserError(
        f"Prefect's temporary server cannot start: {reason_in(written) or 'it said nothing'}; "
        f"its home is {home} (PREFECT_HOME names another), which holds only Prefect's own history: "
        f"move {home / 'prefect.db'} away, or make room, and run again"
    )
