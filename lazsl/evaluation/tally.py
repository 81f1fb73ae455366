"""How often maps were right, by part, with intervals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from lazsl.evaluation.localisation import energy_inside, mean_interval, pointing_game


@dataclass(frozen=True)
class Truth:
    """What every pixel of one picture shows.

    Attributes:
        image: its number.
        parts: (height, width), values index `names`; 0 is what is no part of the thing.
        names: of the parts.
    """

    image: int
    parts: np.ndarray
    names: tuple[str, ...]
    _drawn: dict[tuple[str | None, tuple[int, int]], np.ndarray] = field(default_factory=dict)

    def mask(self, name: str | None) -> np.ndarray:
        """(height, width) bool, where the part is; None means the whole thing."""
        mask: np.ndarray = self.parts > 0 if name is None else self.parts == self.names.index(name)
        return mask

    def share(self, name: str) -> float:
        """Of the thing's pixels."""
        return float(self.mask(name).sum() / max(1, self.mask(None).sum()))

    def on_grid(self, name: str | None, grid: tuple[int, int]) -> np.ndarray:
        """(h, w): the fraction of every cell of a grid (w, h) that the part fills."""
        if (name, grid) not in self._drawn:
            mask = Image.fromarray(self.mask(name).astype(np.float32))
            resized = mask.resize(grid, Image.Resampling.BOX)
            self._drawn[name, grid] = np.asarray(resized, float)
        return self._drawn[name, grid]


@dataclass(frozen=True)
class Tally:
    """What one kind of map did, for every attribute whose part can be seen: which image and part,
    and its `pointing` at the part, at any part of the `thing`, and its `energy` inside the part."""

    images: list[int] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    pointing: list[float] = field(default_factory=list)
    thing: list[float] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)

    def add(self, maps: np.ndarray, parts: Sequence[str], truth: Truth) -> None:
        """Count the maps (N, h, w) of an image, whose parts should be these N."""
        grid = (maps.shape[2], maps.shape[1])
        seen = [j for j, part in enumerate(parts) if truth.mask(part).any()]
        if not seen:
            return
        at = np.stack([truth.on_grid(parts[j], grid) for j in seen])
        self.images.extend([truth.image] * len(seen))
        self.parts.extend(parts[j] for j in seen)
        self.pointing.extend(pointing_game(maps[seen], at).tolist())
        self.thing.extend(pointing_game(maps[seen], truth.on_grid(None, grid)[None]).tolist())
        self.energy.extend(energy_inside(maps[seen], at).tolist())

    def of(self, parts: Collection[str]) -> Tally:
        """What was counted of these parts."""
        kept = [place for place, part in enumerate(self.parts) if part in parts]
        return Tally(*([values[place] for place in kept] for values in vars(self).values()))

    def figures(self, what: str, part: str | None = None) -> tuple[float, float, float]:
        """Mean of a measure and the ends of its 95 % interval: of one part, or of all."""
        chosen = np.array([part in (None, name) for name in self.parts])
        values = np.array(getattr(self, what))[chosen]
        return mean_interval(values, np.array(self.images)[chosen])
