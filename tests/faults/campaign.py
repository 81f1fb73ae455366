"""`make faults`: a thousand seeded faults, and what became of each.

A fault is done to a small labelled place (or while it is labelled), then the same commands run
again: label, load into a new warehouse, relabel, load. What is told is followed where it says what
to delete. The end must be the undisturbed place's content, whatever happened.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from kinds import LABELLED, STORE, UNLABELLED, Hung
from place import Content, Place, fresh, make_place, make_store_place

from lazsl.errors import UserError

_TRIES = 5
"""How often a command is given anew, following what it said."""
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

    def add(self, kind: str, outcome: str, what: str) -> None:
        self.counts.setdefault(kind, Counter())[outcome] += 1
        if outcome not in GOOD:
            self.bad.append(f"{outcome}: {kind}: {what}")

    @property
    def total(self) -> int:
        return sum(sum(count.values()) for count in self.counts.values())

    def table(self) -> str:
        """A Markdown table, a row per kind."""
        lines = [
            f"| fault | faults | {' | '.join(OUTCOMES)} |",
            "| --- |" + " ---: |" * (len(OUTCOMES) + 1),
        ]
        everything: Counter[str] = Counter()
        for kind, count in self.counts.items():
            everything += count
            cells = " | ".join(str(count[outcome]) for outcome in OUTCOMES)
            lines.append(f"| {kind} | {sum(count.values())} | {cells} |")
        cells = " | ".join(str(everything[outcome]) for outcome in OUTCOMES)
        lines.append(f"| all | {self.total} | {cells} |")
        return "\n".join(lines)


def again(place: Place) -> None:
    """The same commands, into a new warehouse and into the one there is."""
    place.label(warehouse=str(place.home / "new.duckdb"))
    place.relabel(warehouse=str(place.home / "new.duckdb"))
    place.label()
    place.relabel()


def outcome_of(place: Place, whole: Content) -> tuple[str, str]:
    """What became of a place after a fault, and the last thing that was said."""
    said: list[str] = []
    for _ in range(_TRIES):
        try:
            again(place)
        except UserError as error:
            said.append(str(error))
            follow(str(error), place)
            continue
        except Exception:
            return "traceback", traceback.format_exc(limit=-4)
        break
    else:
        return "stuck", said[-1]
    for name in ("new.duckdb", "warehouse.duckdb"):
        found = place.content(warehouse=str(place.home / name))
        if found != whole:
            return difference(found, whole, bool(said)), f"{name} after {said}"
    return ("told, healed" if said else "healed"), ""


def difference(found: Content, whole: Content, told: bool) -> str:
    """How a warehouse is wrong."""
    counts = [(len(found[table]), len(whole[table])) for table in whole]
    if any(there < wanted for there, wanted in counts):
        return "lost"
    if any(there > wanted for there, wanted in counts):
        return "doubled"
    return "silently wrong"


def follow(sentence: str, place: Place) -> None:
    """Do what a sentence asks for, where it asks for a file to be deleted."""
    if not re.search(r"\bdelet|\bremove|\bmove", sentence):
        return
    for name in re.findall(rf"{re.escape(str(place.home))}/[^\s,;:()']+", sentence):
        path = Path(name)
        if path.is_file() and path.is_relative_to(place.home):
            path.unlink()


def run(
    home: Path,
    seed: int,
    faults: int,
    kinds: dict[Callable[[Place, random.Random], str], int] | None = None,
    say: Callable[[str], Any] = lambda text: None,
) -> Campaign:
    """A campaign of so many faults.

    Args:
        home: an empty folder.
        seed: the same one does the same faults.
        faults: how many.
        kinds: which, with their shares; default: all.
        say: told of everything that did not end well.
    """
    shares = kinds or (LABELLED | UNLABELLED | STORE)
    places: dict[bool, tuple[Place, Content]] = {}
    campaign = Campaign(seed)
    started = time.monotonic()
    weights = list(shares.values())
    for number in range(faults):
        chance = random.Random(f"{seed} {number}")
        fault = chance.choices(list(shares), weights)[0]
        kind = fault.__name__.replace("_", " ")
        in_store = fault in STORE
        if in_store not in places:
            places[in_store] = _prepared(home / ("store" if in_store else "disk"), in_store)
        place, whole = places[in_store]
        fresh(place, labelled=fault in LABELLED)
        what = ""
        try:
            what = fault(place, chance)
            outcome, reason = outcome_of(place, whole)
        except Hung as error:
            outcome, reason = "hung", str(error)
        except Exception:
            outcome, reason = "traceback", traceback.format_exc(limit=-4)
        left = psutil.Process().children(recursive=True)
        for child in left:
            child.kill()
        if left:
            outcome, reason = "process left", str(left)
        campaign.add(kind, outcome, f"#{number} {what}: {reason}")
        if outcome not in GOOD:
            say(campaign.bad[-1])
    campaign.seconds = time.monotonic() - started
    return campaign


def _prepared(home: Path, in_store: bool) -> tuple[Place, Content]:
    """A place, and what its warehouse holds undisturbed."""
    if not in_store:
        place = make_place(home)
        return place, place.content()
    store = make_store_place(home)
    store.label()
    store.relabel()
    return store, store.content()


def main() -> int:
    """Run a campaign and print its table; 1 when a fault did not end well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--page", type=Path, help="Markdown page to write")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as home:
        campaign = run(
            Path(home), given.seed, given.faults, say=lambda text: print(text, file=sys.stderr)
        )
    page = (
        f"# Faults\n\n`make faults` does {campaign.total:,} faults (seed {campaign.seed}) to a "
        "small labelled archive, or while it is labelled, and gives the same commands again. Each "
        "fault ends in one column: *healed* is the undisturbed content without a word, *told, "
        "healed* the same after a sentence and what it asks for. Any other fails the command.\n\n"
        f"{campaign.table()}\n"
    )
    print(page)
    print(f"{campaign.seconds:.0f} s", file=sys.stderr)
    if given.page:
        given.page.write_text(page, encoding="utf-8")
    return 1 if campaign.bad else 0


if __name__ == "__main__":
    sys.exit(main())
