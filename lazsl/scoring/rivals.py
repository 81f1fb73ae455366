"""What else might be said of the same thing: for every attribute, the nearest ones that never
describe a class with it.

Attributes are told apart by their words, whatever class they stand in: "a blue tail" of one class
is no rival of "a blue tail" of another, nor is "A wren has a blue tail." of "A coot has a blue
tail." How near two of them are is the cosine of the means of their sentences, in which the names of
classes cancel out as far as several classes share them. Nothing is asked of the words but whether
they are the same, so that any language will do, and attributes that name no part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from lazsl.alignment.attributes import PackedAttributes, on_grid

MOST = 10
"""Rivals of an attribute, at most."""

_STEP_BYTES = 32 * 2**20


class Rivals:
    """The rivals of a label set's attributes, looked up when they are first asked for.

    Attributes:
        text: (N,) int64, number of each sentence's words among the U different ones.
        texts: the U different ones, as they are first written in the label set.
    """

    def __init__(
        self,
        classes: Sequence[str],
        attributes: Sequence[Sequence[str]],
        packed: PackedAttributes,
    ) -> None:
        device = packed.embeddings.device
        number: dict[str, int] = {}
        written: dict[str, str] = {}
        for text in (text for texts in attributes for text in texts):
            written.setdefault(text.casefold(), text)
        self.texts = tuple(written.values())
        by_class = [
            [number.setdefault(text, len(number)) for text in texts]
            for texts in without_names(classes, attributes)
        ]
        self.text = torch.tensor([i for siblings in by_class for i in siblings], device=device)
        self._siblings: list[set[int]] = [set() for _ in number]
        for siblings in by_class:
            for i in siblings:
                self._siblings[i].update(siblings)
        self._sentences = torch.bincount(self.text, minlength=len(number)).double()
        sums = torch.zeros((len(number), packed.embeddings.shape[1]), dtype=torch.float64)
        sums = sums.to(device).index_add_(0, self.text, packed.embeddings.double())
        # Exact products, so that which are nearest depends on no library.
        self._means = on_grid(torch.nn.functional.normalize(sums, dim=1))
        self._nearest = torch.full((len(number), MOST), -1, device=device)
        self._known = torch.zeros(len(number), dtype=torch.bool, device=device)

    def nearest(self, texts: Tensor) -> Tensor:
        """(*, MOST) int64, the rivals of each of some texts (*), nearest first; -1 where there are
        no more."""
        wanted = torch.unique(texts)
        missing = wanted[~self._known[wanted]]
        step = max(1, _STEP_BYTES // (8 * len(self._means)))
        for chunk in torch.split(missing, step):
            likeness = self._means[chunk] @ self._means.T
            for row, text in enumerate(chunk.tolist()):
                likeness[row, list(self._siblings[text])] = -torch.inf
            best = likeness.topk(min(MOST, len(self._means)), dim=1)
            rivals = best.indices.masked_fill(best.values == -torch.inf, -1)
            self._nearest[chunk, : rivals.shape[1]] = rivals
            self._known[chunk] = True
        return self._nearest[texts]

    def strengths(self, strengths: Tensor) -> Tensor:
        """(B, U) float32, the mean over the sentences of each text of strengths (B, N)."""
        sums = torch.zeros(
            (len(strengths), len(self._means)), dtype=torch.float64, device=strengths.device
        )
        return (sums.index_add_(1, self.text, strengths.double()) / self._sentences).float()


_NAME = "\0"


def without_names(classes: Sequence[str], attributes: Sequence[Sequence[str]]) -> list[list[str]]:
    """The attributes of every class in small letters, with a mark in place of the class's own name.

    What is then the same in every class named it and said nothing else, and stays as it was; so
    does an attribute that is the name.
    """
    plain = [[text.casefold() for text in texts] for texts in attributes]
    marked = [
        [_marked(text, label.casefold()) for text in texts]
        for label, texts in zip(classes, plain, strict=True)
    ]
    everywhere: set[str] = set(marked[0]).intersection(*marked[1:]) if len(marked) > 1 else set()
    return [
        [text if mark in everywhere else mark for text, mark in zip(texts, marks, strict=True)]
        for texts, marks in zip(plain, marked, strict=True)
    ]


def _marked(text: str, label: str) -> str:
    for name in {label, label.replace("_", " ")}:
        if name and name in text:
            marked = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _NAME, text)
            text = text if marked == _NAME else marked
    return text
