"""Colours as sRGB: what a picture's own profile makes of its values.

A model has learnt from pictures in sRGB. A profile that cannot be used costs no picture: it is
taken as if there were none, and noted. Without a profile RGB and grey are taken as sRGB, and CMYK
as ideal inks: (1 - ink) x (1 - black).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from lazsl.errors import in_one_line
from lazsl.visible_text import short

LARGEST = 2**24
"""Bytes of a profile, at most."""

CLOSE = 2
"""Levels that colours may differ from sRGB for a profile to count as sRGB: such pictures stay as
they are, to the bit."""

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


@dataclass(frozen=True)
class Profile:
    """What a profile does: nothing to values that are sRGB already, where `transform` is None."""

    name: str
    transform: ImageCms.ImageCmsTransform | None = None
    problem: str | None = None


def to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """The picture as sRGB, mode RGB.

    Args:
        image: 8 bits, mode RGB, L, CMYK or any other without transparency, which has no profile.
        profile: ICC profile that came with it.
        notes: what was done is added.
    """
    transform = _known(profile, image.mode, notes).transform if profile else None
    if transform is not None:
        return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def deep_to_srgb(levels: np.ndarray, profile: bytes) -> np.ndarray:
    """Levels of 16 bits, (height, width, 1, 3 or 4), as sRGB: uint8 (height, width, 3).

    Args:
        levels: uint16.
        profile: one that `converts` said yes to.
    """
    import imagecodecs

    space = {1: "gray", 3: "rgb", 4: "cmyk"}[levels.shape[2]]
    flat = levels[..., 0] if space == "gray" else levels
    converted: np.ndarray = imagecodecs.cms_transform(
        np.ascontiguousarray(flat),
        profile,
        _srgb(),
        colorspace=space,
        outcolorspace="rgb",
        outdtype="u1",
        intent=int(ImageCms.Intent.RELATIVE_COLORIMETRIC),
        flags=int(ImageCms.Flags.BLACKPOINTCOMPENSATION),
    )
    return converted


def converts(profile: bytes | None, channels: int, notes: list[str]) -> bool:
    """Whether values of so many channels must be converted, which is noted."""
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    return profile is not None and _known(profile, mode, notes).transform is not None


def _known(profile: bytes, mode: str, notes: list[str]) -> Profile:
    known = _profile(profile, mode)
    if known.problem is not None:
        notes.append(f"colour profile not used: {known.problem}")
    elif known.transform is not None:
        notes.append(f"colours converted from {known.name} to sRGB")
    return known


@lru_cache(maxsize=64)
def _profile(profile: bytes, mode: str) -> Profile:
    if len(profile) > LARGEST:
        return Profile("", problem=f"it has {len(profile)} bytes")
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = short(ImageCms.getProfileDescription(opened).strip()) or "an unnamed profile"
        space = opened.profile.xcolor_space.strip()
        if space != _SPACES.get(mode):
            return Profile(name, problem=f"{name} is for {space}, and the picture is {mode}")
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        probes = _probes(mode)
        if mode != "CMYK":
            plain = np.asarray(probes.convert("RGB")).astype(int)
            if np.abs(np.asarray(transform.apply(probes)) - plain).max() <= CLOSE:
                return Profile(name)
        return Profile(name, transform)
    except MemoryError:
        raise
    except Exception as error:  # a profile is a program of its own, and may be anything
        return Profile("", problem=f"it cannot be read ({in_one_line(error)})")


def _probes(mode: str) -> Image.Image:
    """Colours from all over the space."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 17).astype(np.uint8)
    grid: Any = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)
    return Image.fromarray(grid.reshape(17, -1, 3))


@lru_cache(maxsize=1)
def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
