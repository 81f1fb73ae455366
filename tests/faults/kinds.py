"""Kinds of faults. Each is done to a place by chance, and says what it did."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import Any

from place import Place, StorePlace, fresh
from s3 import RESET, SHORT, TORN

from lazsl.cli.app import terminate
from lazsl.errors import UserError

PATIENCE = 120.0
"""Seconds after which a process counts as hung."""
_STEPS = ("replace", "fsync", "link")
_ANSWERS = (403, 500, 503, RESET, SHORT, TORN)
_JSON = (b"", b"{", b"{}", b"null", b"[]", b"\x00\xff\xfe", b'{"run": 3}', b"0")


class Hung(Exception):
    """A process did not end."""


def flipped_bit(place: Place, chance: random.Random) -> str:
    """One bit of one artifact is another; the kinds of artifacts are equally likely."""
    path = _artifact(place, chance)
    data = bytearray(path.read_bytes())
    at = chance.randrange(8 * len(data))
    data[at // 8] ^= 1 << at % 8
    path.write_bytes(data)
    return f"bit {at} of {place.kind(path)}"


def overwritten_page(place: Place, chance: random.Random) -> str:
    """A block of an artifact holds something else, as after a crash of a file system."""
    path = _artifact(place, chance)
    data = bytearray(path.read_bytes())
    length = min(len(data), chance.choice([16, 512, 4096]))
    at = chance.randrange(len(data) - length + 1)
    data[at : at + length] = chance.choice([b"\0", b"U", b"\xff"]) * length
    path.write_bytes(data)
    return f"{length} bytes at {at} of {place.kind(path)}"


def cut_file(place: Place, chance: random.Random) -> str:
    """An artifact ends early."""
    path = _artifact(place, chance)
    length = chance.randrange(path.stat().st_size)
    os.truncate(path, length)
    return f"{place.kind(path)} cut to {length} bytes"


def lost_file(place: Place, chance: random.Random) -> str:
    """An artifact is gone."""
    path = _artifact(place, chance)
    path.unlink()
    return f"{place.kind(path)} gone"


def damaged_json(place: Place, chance: random.Random) -> str:
    """A record is no record."""
    path = chance.choice([path for path in place.artifacts() if path.suffix == ".json"])
    data = chance.choice(_JSON)
    path.write_bytes(data)
    return f"{place.kind(path)} is {data!r}"


def damaged_warehouse(place: Place, chance: random.Random) -> str:
    """The published warehouse is damaged, cut, or gone."""
    path = place.home / "warehouse.duckdb"
    os.chmod(path, 0o644)
    data = bytearray(path.read_bytes())
    how = chance.choice(["cut", "page", "gone"])
    if how == "gone":
        path.unlink()
    elif how == "cut":
        os.truncate(path, chance.randrange(len(data)))
    else:
        at = chance.randrange(0, len(data), 4096)
        data[at : at + 4096] = b"U" * 4096
        path.write_bytes(data)
    return f"warehouse {how}"


def killed(place: Place, chance: random.Random) -> str:
    """A labelling process is killed at one of the moments at which it writes."""
    return _ended(fresh(place, labelled=False), chance, signal.SIGKILL)


def terminated(place: Place, chance: random.Random) -> str:
    """A labelling process gets SIGTERM at such a moment."""
    return _ended(fresh(place, labelled=False), chance, signal.SIGTERM)


def two_planners(place: Place, chance: random.Random) -> str:
    """Two processes plan and label the same archive in the same workspace at once."""
    fresh(place, labelled=False)
    delay = chance.random() * 0.2
    processes = [
        _forked(lambda: place.label(warehouse=str(place.home / "one.duckdb"))),
        _forked(lambda: time.sleep(delay) or place.label(warehouse=str(place.home / "two.duckdb"))),
    ]
    statuses = [_waited(process) for process in processes]
    if any(status not in (0, 2) for status in statuses):
        raise RuntimeError(f"two planners ended with {statuses}")
    return f"two planners, the second after {delay:.2f} s"


def full_disk(place: Place, chance: random.Random) -> str:
    """The workspace's disk is full after a while; then there is room again (root only)."""
    fresh(place, labelled=False)
    kilobytes = chance.randrange(16, 400, 4)
    place.workspace.mkdir()
    with _disk(str(place.workspace), kilobytes):
        with suppress(UserError):
            place.label(warehouse=str(place.home / "first.duckdb"))
        # What lies on the small disk is what a larger one would hold.
        subprocess.run(["cp", "-a", f"{place.workspace}/.", f"{place.home}/moved"], check=True)
    place.workspace.rmdir()
    (place.home / "moved").rename(place.workspace)
    return f"disk of {kilobytes} kB"


def disturbed_store(place: Place, chance: random.Random) -> str:
    """Each object's first request is refused, torn or reset, for one in two or three of them."""
    assert isinstance(place, StorePlace)
    kinds = [chance.choice(_ANSWERS) if chance.random() < 0.4 else 0 for _ in range(7)]
    with place.through(kinds) as proxy, suppress(UserError):
        place.label()
    return f"store that answers {[kind for kind in kinds if kind]}, met {proxy.met.total()}"


LABELLED: dict[Callable[[Place, random.Random], str], int] = {
    flipped_bit: 40,
    overwritten_page: 10,
    cut_file: 6,
    lost_file: 4,
    damaged_json: 10,
    damaged_warehouse: 4,
}
"""Faults of a labelled place, with how many of a hundred they are."""
UNLABELLED: dict[Callable[[Place, random.Random], str], int] = {
    killed: 14,
    terminated: 4,
    two_planners: 3,
    full_disk: 5,
}
"""Faults that happen while a place is labelled."""
STORE: dict[Callable[[Place, random.Random], str], int] = {disturbed_store: 6}
"""Faults of an archive and a workspace in a bucket."""


def _artifact(place: Place, chance: random.Random) -> Any:
    paths = place.artifacts()
    kind = chance.choice(sorted({place.kind(path) for path in paths}))
    paths = [path for path in paths if place.kind(path) == kind and path.stat().st_size]
    return chance.choice(paths)


def _ended(place: Place, chance: random.Random, number: signal.Signals) -> str:
    at = chance.randrange(1, 60)

    def label() -> None:
        signal.signal(signal.SIGTERM, terminate)
        count = 0

        def counting(function: Callable[..., Any]) -> Callable[..., Any]:
            def step(*arguments: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == at:
                    os.kill(os.getpid(), number)
                return function(*arguments, **named)

            return step

        for name in _STEPS:
            setattr(os, name, counting(getattr(os, name)))
        place.label()

    status = _waited(_forked(label))
    if status not in (0, 2, 143, -number):
        raise RuntimeError(f"{number.name} at step {at}: status {status}")
    return f"{number.name} at step {at}"


def _forked(function: Callable[[], Any]) -> int:
    """A copy of this process that calls a function; status 0, 2 (told), 143 (stopped) or 1."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        function()
        status = 0
    except UserError:
        status = 2
    except KeyboardInterrupt:
        status = 143
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _waited(child: int) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise Hung(f"process {child} did not end in {PATIENCE:.0f} s")


@contextmanager
def _disk(folder: str, kilobytes: int) -> Any:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
