"""How many birds are in a picture, and where: what makes a world of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studies.fieldguide.traits import Traits
from studies.plates.bird import Pose
from studies.plates.scene import SPAN, Cast, Framing, one_bird

_MIDDLE = 0.42
"""Of a bird, above its feet, in body lengths."""


def several(traits: Traits, framing: Framing, rng: np.random.Generator) -> Cast:
    """Two or three birds of the species on one perch."""
    cast = one_bird(traits, framing, rng)
    width, height = max(cast.size), min(cast.size)
    count = int(rng.integers(2, 4))
    tall = 1.0 if traits.crest is None else 1.34
    scale = min(
        cast.poses[0].scale, 0.98 * width / (1.35 * count + 0.8), 0.9 * height / (tall + 0.2)
    )
    slope = rng.normal(0, 0.04)
    step = width / count
    poses = []
    y = rng.uniform(min(tall * scale + 8, 0.8 * height), height - 0.25 * scale)
    for k in range(count):
        length = scale * rng.uniform(0.88, 1.0)
        x = (k + 0.5) * step + rng.uniform(-0.08, 0.08) * step
        left = bool(rng.integers(2))
        x = float(
            np.clip(x, (0.95 if left else 1.05) * length, width - (1.05 if left else 0.95) * length)
        )
        foot = (x, y + slope * (x - width / 2))
        poses.append(Pose(foot, length, slope, rng.uniform(-0.1, 0.18), left))
    return Cast((width, height), tuple(poses))


def at_the_border(traits: Traits, framing: Framing, rng: np.random.Generator) -> Cast:
    """One bird of which the picture's border cuts off a quarter to nearly a half."""
    cast = one_bird(traits, framing, rng)
    (width, height), pose = cast.size, cast.poses[0]
    out = rng.uniform(0.25, 0.42) * 1.9 * pose.scale
    x, y = pose.foot
    if rng.random() < 0.75:
        near, far = (1.0, 0.9) if pose.left else (0.9, 1.0)
        # The head stays inside more often than not, as photographers see to it.
        head_in = rng.random() < 0.7
        right = pose.left == head_in
        x = width - near * pose.scale + out if right else far * pose.scale - out
    else:
        y = height + rng.uniform(0.05, 0.3) * pose.scale
    return replace(cast, poses=(replace(pose, foot=(x, y)),))


def close_up(traits: Traits, framing: Framing, rng: np.random.Generator) -> Cast:
    """One bird that is larger than the picture; head or body is in its middle."""
    width, height = (int(rng.choice(framing.sides)) for _ in range(2))
    scale = rng.uniform(1.05, 1.6) * min(width, height) / SPAN
    left = bool(rng.integers(2))
    ahead = rng.uniform(0.0, 0.36) * (-1 if left else 1)
    x = 0.5 * width - ahead * scale + rng.normal(0, 0.03) * width
    y = 0.5 * height + (_MIDDLE + 0.8 * abs(ahead)) * scale + rng.normal(0, 0.03) * height
    pose = Pose((x, y), scale, rng.normal(0, 0.06), rng.uniform(-0.1, 0.2), left)
    return Cast((width, height), (pose,))


def panorama(traits: Traits, framing: Framing, rng: np.random.Generator) -> Cast:
    """One bird somewhere in a picture that is three to four times as wide as high."""
    height = int(rng.choice((288, 320, 352)))
    width = int(height * rng.uniform(3.0, 4.0))
    scale = rng.uniform(0.45, 0.72) * height / SPAN
    tall = 1.0 if traits.crest is None else 1.34
    left = bool(rng.integers(2))
    x = rng.uniform(1.05 * scale, width - 1.05 * scale)
    y = rng.uniform(min(tall * scale + 4, 0.8 * height), height - 0.16 * scale)
    pose = Pose((x, y), scale, rng.normal(0, 0.05), rng.uniform(-0.12, 0.2), left)
    return Cast((width, height), (pose,))
