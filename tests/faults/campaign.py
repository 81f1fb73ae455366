"""`make faults`: a thousand seeded faults, and what became of each.

Faults are done in rounds to a small labelled place, or while it is labelled; then the same commands
are given again, and what they say is followed. The end must be the undisturbed place's content.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psutil
from advice import follow
from apart import Broken, Hung, adopt_orphans, apart, left_behind
from kinds import DISK, STORE, Faults, Round
from place import THETAS, Content, Place, make_place
from store_place import make_store_place, stop_servers

from lazsl.errors import UserError
from lazsl.warehouse.opening import hint

_TRIES = 6
"""How often the commands are given anew, following what they said."""
OUTCOMES = ("healed", "told, healed", "lost", "doubled", "silently wrong", "stuck")
OUTCOMES += ("traceback", "hung", "process left")
GOOD = OUTCOMES[:2]


@dataclass
class Campaign:
    """Faults by kind and outcome, and what is to be looked at."""

    seed: int
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    seconds: float = 0.0
    processor_seconds: float = 0.0

    def add(self, kind: str, outcome: str, what: str = "") -> None:
        """Count one fault."""
        self.counts.setdefault(kind, Counter())[outcome] += 1
        if outcome not in GOOD:
            self.bad.append(f"{outcome}: {kind}: {what}")

    @property
    def total(self) -> int:
        """Faults that were done."""
        return sum(sum(count.values()) for count in self.counts.values())

    def table(self) -> str:
        """A Markdown table, a row per kind."""
        lines = [
            f"| fault | faults | {' | '.join(OUTCOMES)} |",
            "| --- |" + " ---: |" * (len(OUTCOMES) + 1),
        ]
        everything: Counter[str] = Counter()
        for kind, count in sorted(self.counts.items()):
            everything += count
            cells = " | ".join(str(count[outcome]) for outcome in OUTCOMES)
            lines.append(f"| {kind} | {sum(count.values())} | {cells} |")
        cells = " | ".join(str(everything[outcome]) for outcome in OUTCOMES)
        lines.append(f"| all | {self.total} | {cells} |")
        return "\n".join(lines)


def outcome_of(place: Place, whole: Content, chance: random.Random) -> tuple[str, str]:
    """What became of a place after a round, and the last thing that was said."""
    sentences: list[str] = []
    for _ in range(_TRIES):
        try:
            contents = _again(place, chance)
        except UserError as error:
            sentences.append(str(error))
        except duckdb.Error as error:
            if not hint(error):
                raise
            sentences.append(f"{error}{hint(error)}")
        else:
            break
        try:
            follow(sentences[-1], place)
        except UserError as error:  # of other damage that is met on the way
            sentences.append(str(error))
    else:
        return "stuck", sentences[-1]
    for name, content in contents.items():
        if content != whole:
            wrong = [table for table in whole if content[table] != whole[table]]
            return difference(content, whole), f"{name}: {wrong} after {sentences}"
    return ("told, healed" if sentences else "healed"), ""


def _again(place: Place, chance: random.Random) -> dict[str, Content]:
    """The same commands in any order, and what is then in the warehouse and in a new one."""
    new = place.home / "new.duckdb"
    commands: list[Callable[[], Any]] = [
        lambda: place.load(new),
        place.label,
        lambda: place.relabel(THETAS[1]),
    ]
    chance.shuffle(commands)
    for command in commands:
        command()
    place.load(new)
    if wrong := place.unreconciled():
        raise UserError(f"{wrong[0]}; lazsl status exits 1: label, and relabel")
    return {"warehouse": place.content(), "new": place.content(new)}


def difference(content: Content, whole: Content) -> str:
    """How a warehouse is wrong."""
    counts = [(len(content[table]), len(whole[table])) for table in whole]
    if any(rows < wanted for rows, wanted in counts):
        return "lost"
    if any(rows > wanted for rows, wanted in counts):
        return "doubled"
    return "silently wrong"


@dataclass
class Places:
    """A place on the disk and one in a bucket, each made when it is first wanted."""

    home: Path
    made: dict[str, tuple[Any, dict[bool, Content]]] = field(default_factory=dict)

    def of(self, kind: Round) -> tuple[Any, dict[bool, Content]]:
        """The place of a kind of round, and its content undisturbed."""
        name = "store" if kind in STORE else "disk"
        if name not in self.made:
            (self.home / name).mkdir()
            make: Any = make_store_place if kind in STORE else make_place
            self.made[name] = make(self.home / name)
        return self.made[name]


def one_round(places: Places, kind: Round, seed: str) -> list[tuple[str, str, str]]:
    """Kind, outcome and what is to be known of every fault of a round."""
    place, whole = places.of(kind)
    known = {process.pid for process in psutil.Process().children(True)}
    chance = random.Random(seed)

    def faulted() -> tuple[Faults, str, str]:
        faults = kind(place, chance)
        return faults, *outcome_of(place, whole[place.is_labelled], chance)

    name = kind.__name__.replace("_", " ")
    faults: Faults = [(name, "")]
    try:
        faults, outcome, reason = apart(faulted)
    except Hung as error:
        outcome, reason = "hung", str(error)
    except Broken as error:
        outcome, reason = "traceback", str(error)
    if left := left_behind(known):
        outcome, reason = "process left", str(left)
    whole_round = "; ".join(what for _, what in faults)
    return [(fault, outcome, f"{seed}: {whole_round}: {reason}") for fault, _ in faults]


def run(
    home: Path,
    seed: int,
    faults: int,
    rounds: Mapping[Round, int] | None = None,
    part: tuple[int, int] = (0, 1),
    say: Callable[[list[tuple[str, str, str]]], Any] = lambda results: None,
) -> Campaign:
    """A campaign of so many faults at least.

    Args:
        home: an empty folder.
        seed: the same one does the same faults.
        faults: how many.
        rounds: which, with their shares; default: all.
        part: of the rounds, this one of so many.
        say: told what became of every fault of a round.
    """
    shares = rounds or (DISK | STORE)
    campaign, places = Campaign(seed), Places(home)
    started = time.monotonic()
    adopt_orphans()
    number, parts = part
    try:
        while campaign.total * parts < faults:
            chance = random.Random(f"{seed} {number}")
            kind = chance.choices(list(shares), list(shares.values()))[0]
            results = one_round(places, kind, f"{seed} {number}")
            for result in results:
                campaign.add(*result)
            say(results)
            number += parts
    finally:
        stop_servers()
    campaign.seconds = time.monotonic() - started
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    campaign.processor_seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return campaign


def in_parts(home: Path, given: argparse.Namespace, log: Path) -> Campaign:
    """The same campaign in several processes, each of which writes down how its rounds ended."""
    campaign = Campaign(given.seed)
    children = []
    for part in range(given.parts):
        child = os.fork()
        if not child:
            status = 1
            try:
                _one_part(home, given, part, log)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    for part in range(given.parts):
        for line in log.with_suffix(f".{part}").read_text().splitlines():
            entry = json.loads(line)
            for result in entry.get("results", []):
                campaign.add(*result)
            campaign.seconds = max(campaign.seconds, entry.get("seconds", 0.0))
            campaign.processor_seconds += entry.get("processor_seconds", 0.0)
    if any(statuses):
        campaign.bad.append(f"a part of the campaign ended with {statuses}")
    return campaign


def _one_part(home: Path, given: argparse.Namespace, part: int, log: Path) -> None:
    folder = home / f"part-{part}"
    folder.mkdir()
    rounds = {
        kind: share
        for kind, share in (DISK | STORE).items()
        if not given.only or kind.__name__ in given.only
    }
    with log.with_suffix(f".{part}").open("w") as file:

        def write(results: list[tuple[str, str, str]]) -> None:
            print(json.dumps({"results": results}), file=file, flush=True)
            kind, outcome, what = results[0]
            known = "" if outcome in GOOD else f": {what}"
            print(f"{len(results)} {kind}: {outcome}{known}", file=sys.stderr, flush=True)

        campaign = run(folder, given.seed, given.faults, rounds, (part, given.parts), write)
        spent = {"seconds": campaign.seconds, "processor_seconds": campaign.processor_seconds}
        print(json.dumps(spent), file=file, flush=True)


def main() -> int:
    """Run a campaign and print its table; 1 when a fault did not end well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--parts", type=int, default=2, help="processes that share the work")
    parser.add_argument("--only", nargs="+", default=[], help="kinds of rounds, by their names")
    parser.add_argument("--page", type=Path, help="Markdown page to write")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.getLogger("lazsl").setLevel(logging.ERROR)
    # In memory, where a disk is not waited for: what a process is killed in is there all the same.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, ignore_cleanup_errors=True) as home:
        log = Path(home) / "campaign.log"
        campaign = in_parts(Path(home), given, log)
    print(page := _page(campaign))
    for line in campaign.bad:
        print(line, file=sys.stderr)
    if given.page:
        given.page.write_text(page, encoding="utf-8")
    return 1 if campaign.bad else 0


def _page(campaign: Campaign) -> str:
    minutes = f"{campaign.seconds / 60:.0f} minutes on {os.cpu_count()} cores ({_processor()})"
    of_two = f"{campaign.processor_seconds / 120:.0f} minutes of two cores"
    return f"""# Faults

`make faults` does {campaign.total:,} faults (seed {campaign.seed}) to a small labelled archive, or
while it is labelled; then the same commands are given again, in any order, and what they say is
followed. Each fault ends in one column: *healed* is the undisturbed content, row by row, in the
warehouse and in one made anew; *told, healed* the same after a sentence and what it asks for. Any
other ending fails the command. Faults come in rounds of one to seven, no two in one shard, so that
nothing that is made anew because of one hides another.

{campaign.table()}

Seed {campaign.seed}, commit {_commit()}: {minutes} that other work shared;
{campaign.processor_seconds:,.0f} s of processor time, which are {of_two}. The command:
`PYTHONPATH=tests/support python tests/faults/campaign.py --seed {campaign.seed} --faults 1000`.
"""


def _commit() -> str:
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    """What the machine calls its processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
