"""An explanation that displays itself: in a notebook as a picture and a table, else as text."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from PIL import Image

from lazsl.api.pages import render
from lazsl.explain.explanation import Explanation
from lazsl.explain.picture.draw import draw
from lazsl.explain.pixels import read_pixels
from lazsl.explain.side_by_side import Pair, pair, spoken
from lazsl.explain.words import because, facts, headline, percent, signed
from lazsl.store.folder import Folder
from lazsl.visible_text import visible


@dataclass(frozen=True)
class ExplainedImage:
    """Why an image was called what it was called.

    Attributes:
        explanation: the evidence of the best class and of the one it is held against.
    """

    explanation: Explanation

    @property
    def label(self) -> str:
        """The best class, also where the run abstained."""
        return self.explanation.verdict.label

    @property
    def attributes(self) -> pa.Table:
        """What every attribute says, strongest first, of the label and then of the other class.

        Columns: `class`, `attribute`, `contribution` (these add up to the class's score), `share`
        (of all that speaks for or against the class), and `left`, `top`, `right`, `bottom` of the
        region that contributes most, in pixels.
        """
        rows = [
            {
                "class": evidence.label,
                "attribute": attribute.text,
                "contribution": attribute.contribution,
                "share": attribute.share,
                **dict(zip(_SIDES, attribute.box, strict=True)),
            }
            for evidence in (self.explanation.this, self.explanation.other)
            if evidence is not None
            for attribute in spoken(evidence)
        ]
        return pa.Table.from_pylist(rows, schema=pa.schema(_TYPES))

    @cached_property
    def png(self) -> bytes:
        """The picture; drawn without the image where that cannot be read any more."""
        pixels = read_pixels(self.explanation.image, self.explanation.run.job.max_pixels)
        return draw(self.explanation, None if isinstance(pixels, str) else pixels)

    def save(self, path: str | Path) -> None:
        """Write the picture, a PNG."""
        path = Path(path)
        Folder(str(path.parent)).write_bytes(path.name, self.png)

    @cached_property
    def _pairs(self) -> list[Pair]:
        return pair(self.explanation.this, self.explanation.other)

    def __repr__(self) -> str:
        lines = [
            headline(self.explanation),
            " · ".join(facts(self.explanation)),
            because(self.explanation, self._pairs),
        ]
        return "\n".join(lines)

    def _jpeg(self) -> bytes:
        """The picture, small enough for many of them in one notebook."""
        with io.BytesIO() as file, Image.open(io.BytesIO(self.png)) as picture:
            picture.convert("RGB").save(file, "JPEG", quality=85)
            return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png

    def _repr_html_(self) -> str:
        return render(
            "explanation.html",
            explanation=self.explanation,
            headline=headline(self.explanation),
            facts=facts(self.explanation),
            because=because(self.explanation, self._pairs),
            pairs=self._pairs,
            picture=base64.b64encode(self._jpeg()).decode(),
            signed=signed,
            percent=percent,
            visible=visible,
        )


_SIDES = ("left", "top", "right", "bottom")
_TYPES: dict[str, pa.DataType] = {
    "class": pa.string(),
    "attribute": pa.string(),
    "contribution": pa.float64(),
    "share": pa.float64(),
    **{side: pa.int64() for side in _SIDES},
}
