"""Which pictures look otherwise than when an older lazsl embedded them: they are decoded to see."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from lazsl.archive.staged_images import Staged
from lazsl.images.budget import FILES
from lazsl.images.decoding import Picture, decoded
from lazsl.images.reasons import Reject
from lazsl.run.recoloured import OLDER


def changed_rows(before: pa.Table, staged: Staged, max_pixels: int, decoders: int) -> list[int]:
    """Rows of a shard's images that look otherwise now, or may: all but those that were embedded
    and that decoding has nothing to note of.

    Args:
        before: `schemas.IMAGES` of the shard, as `recoloured.with_notes` returns it.
        staged: the images.
        max_pixels: of `decoded`.
        decoders: threads.
    """
    columns: Any = (before[name].to_pylist() for name in ("image_id", "reason", "notes"))
    stored = {image: (reason, note) for image, reason, note in zip(*columns, strict=True)}
    ids = [str(image) for image in staged.images["image_id"].to_pylist()]

    def looks_the_same(row: int) -> bool:
        reason, note = stored.get(ids[row], ("not stored", None))
        if reason is not None or note != OLDER:
            return reason is None
        with FILES.take(staged.size(row)):
            data = staged.read(row)
            if isinstance(data, Reject):
                return False
            with decoded(data, max_pixels=max_pixels) as picture:
                return isinstance(picture, Picture) and picture.notes is None

    with ThreadPoolExecutor(decoders, thread_name_prefix="recolour") as threads:
        same = np.fromiter(threads.map(looks_the_same, range(len(ids))), bool, len(ids))
    return np.flatnonzero(~same).tolist()
