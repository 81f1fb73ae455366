"""A sheet of all worlds, four plates of each: `python -m studies.plates.sheet FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageOps

from studies.plates.worlds import World, world_scene

WORLDS: tuple[World, ...] = (
    "photo", "print", "painting", "sketch", "clutter", "dusk",
    "several", "border", "closeup", "panorama",
)  # fmt: skip
SHOWN = ((0, 0), (9, 1), (22, 0), (50, 2))
"""Species and picture."""
CELL, SPACE = (300, 225), 3


def sheet() -> Image.Image:
    """Two worlds a row; a panorama is shown whole, any other plate is cut to the cell's shape."""
    wide, high = (side + 2 * SPACE for side in CELL)
    page = Image.new("RGB", (2 * len(SHOWN) * wide, len(WORLDS) // 2 * high), "white")
    for number, world in enumerate(WORLDS):
        for column, shown in enumerate(SHOWN):
            plate = world_scene(world, *shown)[1].image
            if world == "panorama":
                cell = ImageOps.pad(plate, CELL, Image.Resampling.LANCZOS, color="white")
            else:
                cell = ImageOps.fit(plate, CELL, Image.Resampling.LANCZOS)
            corner = ((number % 2 * len(SHOWN) + column) * wide, number // 2 * high)
            page.paste(cell, (corner[0] + SPACE, corner[1] + SPACE))
    return page


if __name__ == "__main__":
    sheet().save(Path(sys.argv[1]), quality=88)
