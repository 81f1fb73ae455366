"""Which web hosts answer: a list of URLs names many, and some are always gone."""

from __future__ import annotations

import threading
from collections import Counter
from urllib.parse import urlsplit

_SILENT_AFTER = 3  # questions without an answer

WAITING = {"total": 300.0, "sock_connect": 20.0}
"""Seconds that a web host is waited for: for all of an answer, and for a connection."""


class Hosts:
    """What is known of hosts; safe in threads."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._answered: set[str] = set()
        self._lock = threading.Lock()

    def answered(self, url: str) -> None:
        """A host answered, whatever it said."""
        with self._lock:
            self._answered.add(host_of(url))

    def failed(self, url: str, error: Exception) -> None:
        """A question to a host ended in an error; one that came from the host is an answer."""
        with self._lock:
            if is_answer(error):
                self._answered.add(host_of(url))
            else:
                self._failures[host_of(url)] += 1

    def is_silent(self, url: str) -> bool:
        """Whether a host is asked no more: it never answered, and was asked a few times."""
        host = host_of(url)
        return host not in self._answered and self._failures[host] >= _SILENT_AFTER

    def has_failed(self, url: str) -> bool:
        """Whether a host was asked in vain."""
        return self._failures[host_of(url)] > 0

    def any_answered(self) -> bool:
        """Whether a host answered at all."""
        return bool(self._answered)


def host_of(url: str) -> str:
    """The host of a web URL, with its port; empty for whatever else."""
    return urlsplit(url).netloc if url.startswith(("http://", "https://")) else ""


def behind(error: Exception) -> Exception:
    """What an error is really about: fsspec says of every failure of a web host that the file is
    not found."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        of_network = type(cause).__module__.startswith("aiohttp")
        if of_network or isinstance(cause, ConnectionError | TimeoutError | FileNotFoundError):
            return behind(cause)
    return error


def is_answer(error: Exception) -> bool:
    """Whether an error came from a host, rather than from there being none."""
    error = behind(error)
    return status_of(error) is not None or isinstance(error, FileNotFoundError)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error tells of; None where no host has answered."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) and 100 <= status < 600 else None
