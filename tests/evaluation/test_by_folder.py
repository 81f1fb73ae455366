"""Claims about promises by folder: a threshold for a mix is shown for every part of it."""

from __future__ import annotations

import numpy as np

from lazsl.evaluation.sections.trust_section import by_folder
from lazsl.evaluation.trust import measure_trust


def test_a_folder_in_which_labels_are_worse_comes_first() -> None:
    chance = np.random.default_rng(2)
    images = 800
    bad = np.arange(images) % 4 == 0
    gap = chance.exponential(np.where(bad, 0.01, 0.05))
    top = np.stack([0.3 + gap, np.full(images, 0.3)], axis=1).astype(np.float32)
    right = chance.random(images) < np.where(bad, 0.7, 0.98)
    keys = [f"{'painting' if b else 'photo'}/{i}.jpg" for i, b in enumerate(bad)]
    trust = measure_trust(top, right, np.ones(images, bool), 0.9)
    assert trust.threshold is not None
    folders = by_folder(trust, keys)
    assert [folder.folder for folder in folders] == ["painting", "photo"]
    assert (
        folders[0].precision < 0.9 < folders[1].precision
    )  # though the mix keeps what it promises
    given = trust.confidence >= trust.threshold
    assert folders[0].labelled == (given & bad).sum()
    assert folders[0].right == (given & bad & right).sum()
    assert folders[0].images == bad.sum()


def test_one_folder_is_not_told_from_itself() -> None:
    top = np.tile(np.array([[0.4, 0.3]], np.float32), (100, 1))
    trust = measure_trust(top, np.ones(100, bool), np.ones(100, bool), 0.9)
    assert by_folder(trust, [f"{i}.jpg" for i in range(100)]) == ()
