"""Where this runs, as JSON: `python -m benchmarks.device.surroundings DEVICE`. Names no host."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from typing import Any


def surroundings(device: str) -> dict[str, Any]:
    """The card or the processor, and the software."""
    import torch

    from benchmarks import history

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    about: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": history.commit(),
        "device": device,
        "card": None,
        "processor": history.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    if device.startswith("cuda"):
        card = torch.cuda.get_device_properties(device)
        about |= {"card": card.name, "memory_GiB": round(card.total_memory / 2**30, 1)}
    return about


if __name__ == "__main__":
    print(json.dumps(surroundings(sys.argv[1])))
