"""Rounds of faults: each is done to a place by chance, and says which faults it did."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from apart import DONE, STOPPED, TOLD, forked, waited
from damage import damage_some, damaged_warehouse
from place import THETAS, Place
from s3 import RESET, SHORT, TORN
from store_place import StorePlace

from lazsl.cli.app import terminate
from lazsl.errors import UserError

Faults = list[tuple[str, str]]
"""The kind of every fault of a round, and what it did."""
Round = Callable[[Place, random.Random], Faults]

_STEPS = ("replace", "fsync", "link", "unlink")
_ANSWERS = (403, 500, 503, RESET, SHORT, TORN)


def damaged(place: Place, chance: random.Random) -> Faults:
    """Artifacts of a labelled place are damaged."""
    place.put_back(labelled=True)
    return damage_some(place, chance)


def warehouse(place: Place, chance: random.Random) -> Faults:
    """The warehouse of a labelled place is damaged."""
    place.put_back(labelled=True)
    return damaged_warehouse(place, chance)


def killed(place: Place, chance: random.Random) -> Faults:
    """Labelling is killed at some of the moments at which it writes, one attempt after another."""
    place.put_back(labelled=False)
    return [_ended(place.label, chance, signal.SIGKILL, 30) for _ in range(4)]


def killed_later(place: Place, chance: random.Random) -> Faults:
    """Commands over a labelled place are killed at any moment."""
    place.put_back(labelled=True)
    commands = {
        "relabel": lambda: place.relabel(THETAS[1]),
        "load": lambda: place.load(place.home / "new.duckdb"),
        "rebuild": lambda: place.load(rebuild=True),
        "label": lambda: place.label(retry_rejects="all"),
    }
    faults = []
    for name in chance.choices(sorted(commands), k=4):
        seconds = chance.uniform(0.01, 0.5)
        status = waited(forked(commands[name], seconds))
        _check(status, -signal.SIGPROF)
        faults.append(("killed", f"{name} after {seconds:.3f} s: {status}"))
    return faults


def terminated(place: Place, chance: random.Random) -> Faults:
    """Labelling gets SIGTERM at some of the moments at which it writes."""
    place.put_back(labelled=False)
    return [_ended(place.label, chance, signal.SIGTERM, 30) for _ in range(3)]


def two_planners(place: Place, chance: random.Random) -> Faults:
    """Two processes plan and label the same archive in the same workspace at once."""
    place.put_back(labelled=False)
    delay = chance.random() * 0.2
    first = forked(place.label)
    second = forked(lambda: time.sleep(delay) or place.label())
    statuses = [waited(first), waited(second)]
    for status in statuses:
        _check(status)
    return [("two planners", f"the second after {delay:.2f} s: {statuses}")]


def full_disk(place: Place, chance: random.Random) -> Faults:
    """The workspace's or the warehouse's disk is full after a while, then there is more room."""
    faults = []
    labelled = chance.random() < 0.5
    place.put_back(labelled)
    for _ in range(3):
        if chance.random() < 0.6:
            used = _size(place.workspace)
            room = chance.randrange(0, 300, 4)
            command: Any = partial(place.relabel, THETAS[1]) if labelled else place.label
            with _small_disk(Path(place.workspace), (used >> 10) + 16 + room):
                status = waited(forked(command))
            faults.append(("full disk", f"workspace with room for {room} kB: {status}"))
        else:
            room = chance.randrange(16, 4000, 4)
            small = place.home / "small"
            with _small_disk(small, room):
                status = waited(forked(partial(place.load, small / "new.duckdb")))
            # What the loader left goes on where there is room.
            for path in [*small.glob("*.duckdb*")]:
                path.rename(place.home / path.name)
            faults.append(("full disk", f"warehouse with room for {room} kB: {status}"))
        _check(status)
    return faults


def full_scratch(place: Place, chance: random.Random) -> Faults:
    """The disk that an archive's images are staged on is full after a while."""
    place.put_back(labelled=False)
    faults = []
    for _ in range(3):
        room = chance.randrange(4, 60, 4)
        with _small_disk(Path(str(place.job().scratch)), room):
            status = waited(forked(place.label))
        _check(status)
        faults.append(("full disk", f"staged images with room for {room} kB: {status}"))
    return faults


def disturbed_store(place: Place, chance: random.Random) -> Faults:
    """Each object's first requests are refused, torn or reset, for one in two or three of them,
    while an archive and a workspace in a bucket are labelled, relabelled and loaded."""
    assert isinstance(place, StorePlace)
    place.put_back(labelled=False)
    faults = []
    for command in (place.label, place.label, lambda: place.relabel(THETAS[1])):
        kinds = [chance.choice(_ANSWERS) if chance.random() < 0.4 else 0 for _ in range(7)]
        with place.through(kinds) as proxy, suppress(UserError):
            command()
        met = {kind: times for kind, times in sorted(proxy.met.items()) if kind}
        faults.append(("disturbed store", f"{kinds}, met {met}"))
    return faults


def ended_command(place: Place, chance: random.Random) -> Faults:
    """`lazsl label` itself, with the Prefect server that it starts, is ended at any moment."""
    place.put_back(labelled=False)
    number = chance.choice([signal.SIGKILL, signal.SIGTERM])
    process = _command(place)
    shards, seconds = chance.randrange(7), chance.uniform(0, 2)
    while process.poll() is None and len(place.folder.names("runs", ".json")) < shards:
        time.sleep(0.05)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    if process.poll() is None:
        process.send_signal(number)
    errors = process.communicate(timeout=300)[1]
    faults = [("ended command", f"{number.name} after {shards} records: {process.returncode}")]
    if process.returncode not in (DONE, TOLD, STOPPED, -number) or "Traceback" in errors:
        raise RuntimeError(f"{faults}: {errors}")
    again = _command(place)
    errors = again.communicate(timeout=900)[1]
    if again.returncode:
        raise RuntimeError(errors)
    return faults


def _command(place: Place) -> subprocess.Popen[str]:
    job = place.job()
    options = f"--labels={job.labels} --workspace={job.workspace} --warehouse={job.warehouse}"
    options += f" --model=fieldguide --regions=6 --truth={job.truth} --open-set --device=cpu -q"
    options += f" --set shard_size={job.shard_size} --set scratch={job.scratch}"
    options += f" --set loss_ceiling={job.loss_ceiling}"
    kept = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    return subprocess.Popen(
        [sys.executable, "-m", "lazsl.cli", "label", job.archive, *shlex.split(options)],
        env=kept | {"PREFECT_HOME": str(place.home / "prefect")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


DISK: dict[Round, int] = {
    damaged: 118,
    warehouse: 40,
    killed: 40,
    killed_later: 20,
    terminated: 12,
    two_planners: 20,
    full_disk: 14,
    ended_command: 4,
}
"""Rounds in a place on the disk, with how many of about a thousand faults they are."""
STORE: dict[Round, int] = {disturbed_store: 16, full_scratch: 6}
"""Rounds in a bucket."""


def _ended(
    command: Callable[[], Any], chance: random.Random, number: signal.Signals, steps: int
) -> tuple[str, str]:
    """The fault of a command that is ended when it writes for the n-th time."""
    at = chance.randrange(1, steps)

    def counted() -> None:
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
        command()

    status = waited(forked(counted))
    _check(status, -number)
    kind = "killed" if number == signal.SIGKILL else "terminated"
    return kind, f"{number.name} at step {at}: {status}"


def _check(status: int, *others: int) -> None:
    if status not in (DONE, TOLD, STOPPED, *others):
        raise RuntimeError(f"a command ended with status {status}")


def _size(folder: str) -> int:
    """Bytes that a folder takes on a disk with blocks of 4 kB."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in files)


@contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A folder's files on a disk of that size; afterwards they are where they were."""
    moved = folder.with_name(f"{folder.name}.moved")
    folder.mkdir(exist_ok=True)
    folder.rename(moved)
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={max(kilobytes, 4)}k", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        subprocess.run(["cp", "-a", f"{moved}/.", str(folder)], check=True)
        subprocess.run(["rm", "-rf", str(moved)], check=True)
        yield
        subprocess.run(["cp", "-a", str(folder), str(moved)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()
    moved.rename(folder)
