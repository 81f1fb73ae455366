"""How long a person waits before anything happens: imports, and the way to the first crop.

Seconds of a process of its own, the least of several turns, over those that `import torch` takes
alone: the command line's help, the status of a run, what `lazsl label` imports, and all that has to
be done until the embedded model has embedded a first crop. (A flow without a Prefect server starts
one for itself, which takes longer than all of this; a server that runs already saves that.)

Then what ten mistakes cost until they are refused, in seconds of the processor: a refusal that
needs no model should take under half a second beyond Python's own start.

    python benchmarks/bench_startup.py [--json] [--rounds N]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from figures import Figure, best_of_turns, conclude, options

QUICK = ("--rounds", "1")

FIRST_CROP = """
import lazsl_flows.label
from lazsl import fieldguide
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import load_encoder
from lazsl.images.decoding import decode
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.settings import RegionSettings
import torch
encoder = load_encoder(find_model("fieldguide", "float32"), "cpu", "vision")
data = next(fieldguide.IMAGES_DIR.glob("18*/*.jpg")).read_bytes()
picture = decode(data, max_pixels=10**8)
boxes = draw_boxes(*picture.size, "0", RegionSettings(count=1))
encoder.encode_crops(torch.from_numpy(cut_crops(picture.image, boxes, encoder.framing)))
"""

WAYS = {
    "python": ("-c", "pass"),
    "import torch": ("-c", "import torch"),
    "import open_clip": ("-c", "import open_clip"),
    "import prefect": ("-c", "import prefect"),
    "lazsl --help": ("-m", "lazsl.cli", "--help"),
    "lazsl status": ("-m", "lazsl.cli", "status", "--workspace", "no-such-workspace"),
    "what lazsl label imports": ("-c", "import lazsl_flows.label"),
    "first crop": ("-c", FIRST_CROP),
}
WANTED = {"lazsl --help": 0.5, "lazsl status": 0.75}

SAMPLE = Path(__file__).resolve().parent.parent / "lazsl" / "fieldguide" / "sample"
LABELS = ("--labels", str(SAMPLE / "labels.json"))
REFUSALS = {
    "a label set that is not there": ("label", str(SAMPLE), "--labels", "nope.yaml"),
    "an archive that is not there": ("label", "nope", *LABELS),
    "a setting that is not possible": ("label", "x", *LABELS, "--set", "regions.count=0"),
    "a setting that there is not": ("settings", "nope"),
    "an image where there is no warehouse": ("explain", "nosuch.jpg"),
    "a query where there is no warehouse": ("sql", "from runs"),
    "a sentence where there is no run": ("find", "a red crest"),
    "a run that there is not": ("relabel", "nope"),
    "judgements that are not there": ("audit", "import", "nope.csv"),
    "an estimate without a sample": ("audit", "estimate"),
}
REFUSED = 0.5
"""Seconds of the processor that a refusal may take, beyond Python's start."""


def start(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if "Traceback" in done.stderr:
        raise RuntimeError(done.stderr)


def refuse(folder: str, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lazsl.cli", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 2 or done.stderr.count("\n") != 1:
        raise RuntimeError(f"{arguments} was not refused in one sentence: {done.stderr}")


def of_children() -> float:
    """Seconds of the processor that ended processes of this one took."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> int:
    args = options(__doc__, rounds=3).parse_args()
    seconds = best_of_turns(
        {name: partial(start, arguments) for name, arguments in WAYS.items()}, args.rounds
    )
    ways: dict[str, partial[None]] = {"python": partial(start, WAYS["python"])}
    with tempfile.TemporaryDirectory() as folder:
        ways |= {name: partial(refuse, folder, words) for name, words in REFUSALS.items()}
        refused = best_of_turns(ways, args.rounds, of_children)
    slowest = max(refused.values()) - refused["python"]
    torch = seconds["import torch"]
    figures = [
        Figure(name, spent / torch, over="import torch", at_most=WANTED.get(name))
        for name, spent in seconds.items()
        if name != "import torch"
    ]
    figures.append(
        Figure("slowest of ten refusals", slowest / REFUSED, "the half second", at_most=1)
    )
    refusals = ", ".join(f"{name} {spent:.2f} s" for name, spent in refused.items())
    summary = ", ".join(f"{name} {spent:.2f} s" for name, spent in seconds.items())
    sentence = f"start-up: {summary}\nprocessor until refused: {refusals}"
    return conclude(args, "startup", figures, sentence, seconds=seconds, refused=refused)


if __name__ == "__main__":
    sys.exit(main())
