"""What is drawn of an explanation, and what all parts of its picture share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image as Pixels

from lazsl.explain.evidence import Evidence, every_region
from lazsl.explain.explanation import Explanation
from lazsl.explain.localised import localised
from lazsl.explain.maps import place_maps
from lazsl.explain.picture.canvas import FAINT, Canvas, Style
from lazsl.explain.side_by_side import Pair, Spoken, decisive, pair
from lazsl.images.region_maps import fitting_grid

WIDTH, MARGIN, GAP = 12.0, 0.45, 0.28
INNER = WIDTH - 2 * MARGIN

HEAD, NOTE, SMALL = Style(10.5, True), Style(8, colour=FAINT), Style(8.5)

Box = tuple[int, int, int, int]
_INSIDE = 0.15  # of a region's side, from its border: what is shown whole
_SHARPEST = 1600  # pixels of the image's longer side that are kept to draw with
_CELLS = 96  # of a map's longer side


@dataclass(frozen=True)
class ClassMaps:
    """Where the attributes of a class were found.

    maps: (N, h, w), as `place_maps` makes them. pointing: (N,) bool, whether each is beyond chance.
    """

    maps: np.ndarray
    pointing: np.ndarray

    def peak(self, index: int) -> tuple[float, float] | None:
        """Across and down, 0..1, of an attribute's strongest place; None where it is chance."""
        if not self.pointing[index]:
            return None
        down, across = np.unravel_index(self.maps[index].argmax(), self.maps[index].shape)
        rows, columns = self.maps[index].shape
        return (float(across) + 0.5) / columns, (float(down) + 0.5) / rows


@dataclass(frozen=True)
class Scene:
    """An explanation with its image at drawing size.

    Attributes:
        explanation: what is explained.
        pixels: the image, upright; None where it cannot be had.
        pairs: the attributes of both classes.
    """

    explanation: Explanation
    pixels: Pixels.Image | None
    pairs: list[Pair]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image in source pixels."""
        return self.explanation.this.width, self.explanation.this.height

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.size[0] / self.size[1]

    @cached_property
    def reasons(self) -> list[Pair]:
        """The pairs that decided and have an attribute of the best class, strongest first."""
        return [p for p in decisive(self.pairs) if p.this is not None]

    @cached_property
    def decisive(self) -> list[Spoken]:
        """Attributes of the best class that decided, strongest first; they are numbered from 1."""
        return [p.this for p in self.reasons if p.this is not None]

    @cached_property
    def _maps(self) -> dict[str, ClassMaps]:
        grid = fitting_grid(self.size, _CELLS)
        both = (self.explanation.this, self.explanation.other)
        return {
            evidence.label: ClassMaps(place_maps(evidence, grid), localised(evidence))
            for evidence in both
            if evidence is not None
        }

    def maps(self, evidence: Evidence) -> ClassMaps:
        """Of one of the two classes."""
        return self._maps[evidence.label]

    def region(self, evidence: Evidence, spoken: Spoken) -> Box:
        """The region that shows an attribute best: of those around the place where it was found,
        the one most like it; where it was found nowhere, the one that contributes most."""
        peak = self.maps(evidence).peak(spoken.index)
        if peak is None:
            return spoken.box
        boxes, similarity = every_region(evidence)
        place = np.array(peak) * self.size
        sides = boxes[:, 2:] - boxes[:, :2]
        depth = np.minimum(place - boxes[:, :2], boxes[:, 2:] - place) / sides
        around = (depth >= _INSIDE).all(axis=1)
        if not around.any():
            return spoken.box
        best = np.where(around, similarity[:, spoken.index], -np.inf).argmax()
        left, top, right, bottom = boxes[best].tolist()
        return left, top, right, bottom

    def crop(self, box: Box) -> Pixels.Image | None:
        """What a region shows, from the image at drawing size."""
        if self.pixels is None:
            return None
        across, down = self.pixels.width / self.size[0], self.pixels.height / self.size[1]
        left, top = int(box[0] * across), int(box[1] * down)
        right, bottom = round(box[2] * across), round(box[3] * down)
        return self.pixels.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


@dataclass(frozen=True)
class Band:
    """A part of the page from side to side: its height, and how to draw it at a distance from the
    top, both in inches."""

    height: float
    draw: Callable[[Canvas, float], object]


def make_scene(explanation: Explanation, pixels: Pixels.Image | None) -> Scene:
    """What is to be drawn."""
    if pixels is not None:
        pixels = pixels.resize(fitting_grid(pixels.size, _SHARPEST), Pixels.Resampling.LANCZOS)
    return Scene(explanation, pixels, pair(explanation.this, explanation.other))
