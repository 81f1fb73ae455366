"""What every benchmark does: options, turns, and figures that are held against targets.

    parser = options(__doc__)
    seconds = best_of_turns({"loop": loop, "ours": ours}, args.rounds)
    figure = Figure("speed", seconds["loop"] / seconds["ours"], at_least=400, over="the loop")
    return conclude(args, "scoring", [figure], "a sentence for a person", seconds=seconds)

A figure is a ratio of two things that were measured in the same run, so that another machine, or
what else this one does, falls on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured ratio.

    Attributes:
        name: what it is, in a few words.
        ratio: the value.
        over: the baseline, measured in the same run.
        at_least: the target, where more is better.
        at_most: the target, where less is better. Without either, the figure is for reading.
    """

    name: str
    ratio: float
    over: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.at_least is not None:
            return self.ratio >= self.at_least
        return None if self.at_most is None else self.ratio <= self.at_most

    def as_json(self) -> dict[str, Any]:
        """As it is printed and kept."""
        target = self.at_most if self.at_least is None else self.at_least
        sense = None if target is None else "at least" if self.at_least is not None else "at most"
        return {
            "name": self.name,
            "ratio": float(f"{self.ratio:.4g}"),
            "over": self.over,
            "sense": sense,
            "target": target,
            "met": self.met,
        }


def options(doc: str | None, rounds: int | None = None) -> argparse.ArgumentParser:
    """A parser with what all benchmarks know: `--json`, and `--rounds` where there are turns."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help="turns of each way")
    return parser


def best_of_turns(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Seconds of each way, the least of several turns, which they take in turn."""
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, work in ways.items():
            started = clock()
            work()
            least[name] = min(least[name], clock() - started)
    return least


def conclude(
    args: argparse.Namespace,
    benchmark: str,
    figures: Sequence[Figure],
    sentence: str,
    **details: Any,
) -> int:
    """Print what was found; the exit status, 1 where a target is missed."""
    if args.json:
        document = {"benchmark": benchmark, "figures": [figure.as_json() for figure in figures]}
        print(json.dumps(document | details, indent=1))
    else:
        print(sentence)
    missed = [figure for figure in figures if figure.met is False]
    for figure in missed:
        wanted = figure.as_json()
        print(
            f"{benchmark}: {figure.name} is {figure.ratio:.3g}, wanted {wanted['sense']} "
            f"{wanted['target']:g} times {figure.over}",
            file=sys.stderr,
        )
    return 1 if missed else 0


@contextmanager
def random_weights(name: str) -> Iterator[str]:
    """A model string of an open_clip architecture with random weights, which cost what trained
    ones do."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.safetensors"
        torch.manual_seed(0)
        model = open_clip.create_model(name)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file)
        del model
        yield f"{name}:{file}"


def file_bytes(folder: Path | str, suffix: str = "") -> int:
    """Bytes of all files below a folder whose names end so."""
    return sum(
        (Path(place) / name).stat().st_size
        for place, _, names in os.walk(folder)
        for name in names
        if name.endswith(suffix)
    )


@contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    """The folder that a person named, made if need be, which stays; or one that goes."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
