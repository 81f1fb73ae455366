"""One section in a process of its own: `python -m benchmarks.device.section NAME ...`.

Rows are written as they are measured, a line of JSON each, so that a section that is stopped has
told what it knew by then.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.device.common import SIZES, Place


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--device", required=True)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    given = parser.parse_args()
    until = time.monotonic() + given.seconds

    from benchmarks.device import fast, right

    sections = {**right.SECTIONS, **fast.SECTIONS}
    place = Place(given.device, SIZES[given.size], until)
    with given.rows.open("a", encoding="utf-8") as lines:
        for row in sections[given.name](place):
            lines.write(json.dumps(row) + "\n")
            lines.flush()
            if place.left() < 0:
                lines.write(json.dumps({"not_measured": "the rest: out of time"}) + "\n")
                return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
