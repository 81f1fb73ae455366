"""How many birds are in a picture, and where: worlds that differ in that alone."""

from __future__ import annotations

import numpy as np

from studies.fieldguide.drawing import SIDES, SPAN, Framing, Place, Pose, Size, one_bird


def _wide(rng: np.random.Generator) -> Size:
    height = int(rng.choice(SIDES[:3]))
    return int(height * rng.uniform(3.0, 4.0)), height


def _some(canvas: Size, framing: Framing, rng: np.random.Generator) -> list[Pose]:
    """Two or three, side by side."""
    count = int(rng.integers(2, 4))
    step = canvas[0] / count
    span = min(rng.uniform(framing.smallest, framing.largest) * min(canvas), 0.85 * step)
    poses = []
    for number in range(count):
        x = (number + 0.5 + rng.uniform(-0.05, 0.05)) * step
        y = rng.uniform(0.62 * span, canvas[1] - 0.62 * span)
        angle, flipped = rng.uniform(-0.3, 0.3), bool(rng.integers(2))
        poses.append(Pose((x, y), span * rng.uniform(0.88, 1.0) / SPAN, angle, flipped))
    return poses


def _cut_off(canvas: Size, framing: Framing, rng: np.random.Generator) -> list[Pose]:
    """One, whose span a side of the picture cuts by a quarter to nearly a half."""
    (pose,) = one_bird(canvas, framing, rng)
    inside = rng.uniform(0.08, 0.25) * pose.scale * SPAN
    axis, far = int(rng.random() < 0.25), bool(rng.integers(2))
    centre = list(pose.centre)
    centre[axis] = canvas[axis] - inside if far else inside
    return [Pose((centre[0], centre[1]), pose.scale, pose.angle, pose.flipped)]


def _large(canvas: Size, framing: Framing, rng: np.random.Generator) -> list[Pose]:
    """One that is larger than the picture, its head or its body in the middle."""
    scale = rng.uniform(1.05, 1.6) * min(canvas) / SPAN
    flipped, ahead = bool(rng.integers(2)), rng.uniform(0.0, 0.36) * scale
    x = canvas[0] / 2 + (ahead if flipped else -ahead) + rng.normal(0, 0.03) * canvas[0]
    y = canvas[1] / 2 + 0.5 * ahead + rng.normal(0, 0.03) * canvas[1]
    return [Pose((x, y), scale, rng.uniform(-0.2, 0.2), flipped)]


SEVERAL = Place(poses=_some)
BORDER = Place(poses=_cut_off)
CLOSE_UP = Place(poses=_large)
PANORAMA = Place(size=_wide)
