"""What a million images cost on named hardware, computed from stated rates; nothing ran there.

    images an hour = 3600 x peak x utilisation / ((regions + 1) x operations of a forward pass)

Operations are counted by torch's own counter on open_clip's own models (no weights needed). Peaks
are the vendors' for dense products in the precision named, without sparsity. Utilisation and prices
are assumptions, to be replaced by your own: what a busy vision transformer reaches, and round
figures of on-demand prices.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

REGIONS = 90
MODELS = ("ViT-B-32", "ViT-B-16", "ViT-L-14")


@dataclass(frozen=True)
class Hardware:
    """Something to rent.

    Attributes:
        name: as its vendor calls it.
        peak: dense multiply-adds as operations a second (two each), in `precision`.
        utilisation: share of the peak that a vision tower reaches: assumed.
        price: of an hour in US dollars: assumed.
        cores: of the machine around it, which decode: assumed.
    """

    name: str
    precision: str
    peak: float
    utilisation: float
    price: float
    cores: int


HARDWARE = (
    Hardware("NVIDIA T4", "float16", 65e12, 0.35, 0.55, 8),
    Hardware("NVIDIA L4", "bfloat16", 121e12, 0.40, 0.85, 16),
    Hardware("NVIDIA L40S", "bfloat16", 362e12, 0.40, 1.90, 16),
    Hardware("NVIDIA A100", "bfloat16", 312e12, 0.45, 3.00, 16),
    Hardware("NVIDIA H100 SXM", "bfloat16", 989e12, 0.40, 6.00, 26),
)


@dataclass(frozen=True)
class Model:
    """Operations of one forward pass of each tower, multiply and add counted as two."""

    name: str
    vision: float
    text: float
    width: int


def model(name: str) -> Model:
    """Counted on the model itself, without weights."""
    import open_clip
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    logging.disable(logging.WARNING)  # that it has no weights
    try:
        with torch.device("meta"):
            made = open_clip.create_model(name, device="meta").eval()
    finally:
        logging.disable(logging.NOTSET)
    side = made.visual.image_size
    height, width = side if isinstance(side, tuple) else (side, side)
    with torch.no_grad():
        with FlopCounterMode(display=False) as vision:
            made.encode_image(torch.empty(1, 3, height, width, device="meta"))
        with FlopCounterMode(display=False) as text:
            made.encode_text(torch.zeros(1, made.context_length, dtype=torch.long, device="meta"))
    return Model(name, vision.get_total_flops(), text.get_total_flops(), made.visual.output_dim)


def images_per_second(network: Model, where: Hardware, regions: int = REGIONS) -> float:
    """As the model alone allows: everything else keeps up."""
    return where.peak * where.utilisation / ((regions + 1) * network.vision)


def dollars_per_million(network: Model, where: Hardware, regions: int = REGIONS) -> float:
    """For a million images, at the assumed price."""
    return 1e6 / images_per_second(network, where, regions) / 3600 * where.price
