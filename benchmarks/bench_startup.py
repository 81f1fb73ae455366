"""How long a person waits before anything happens: imports, and the way to the first crop.

Seconds of a process of its own, the least of several turns, over those that `import torch` takes
alone: the command line's help, the status of a run, what `lazsl label` imports, and all that has to
be done until the embedded model has embedded a first crop. (A flow without a Prefect server starts
one for itself, which takes longer than all of this; a server that runs already saves that.)

    python benchmarks/bench_startup.py [--json] [--rounds N]
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

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


def start(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if "Traceback" in done.stderr:
        raise RuntimeError(done.stderr)


def main() -> int:
    args = options(__doc__, rounds=3).parse_args()
    seconds = best_of_turns(
        {name: partial(start, arguments) for name, arguments in WAYS.items()}, args.rounds
    )
    torch = seconds["import torch"]
    figures = [
        Figure(name, spent / torch, over="import torch", at_most=WANTED.get(name))
        for name, spent in seconds.items()
        if name != "import torch"
    ]
    summary = ", ".join(f"{name} {spent:.2f} s" for name, spent in seconds.items())
    return conclude(args, "startup", figures, f"start-up: {summary}", seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
