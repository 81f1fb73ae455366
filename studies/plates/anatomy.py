"""The parts of a bird in the order in which they are drawn, from the tail to the eye.

Coordinates: x towards the beak, y up, the body about one long; the hip is the origin's neighbour,
and the perch lies `PERCH` below it. Numbers in the map are `PARTS` of the label set, and above
them what no attribute names (`MANTLE_ID`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studies.fieldguide.traits import Traits
from studies.plates.head import beak, crest, eye, head
from studies.plates.pen import Pen
from studies.plates.trunk import belly, body, tail, wing

PERCH = -0.5

ORDER: tuple[tuple[str, Callable[[Pen, Traits, np.random.Generator], None]], ...] = (
    ("tail", tail),
    ("body", body),
    ("belly", belly),
    ("wing", wing),
    ("beak", beak),
    ("crest", crest),
    ("head", head),
    ("eye", eye),
)
"""From behind to the front, after the legs."""
