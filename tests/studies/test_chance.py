"""Chance of pointing at a part: what is counted as true of a bird, and what maps do dealt anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lazsl.evaluation.tally import Tally, Truth
from studies.fieldguide.sample import sample_species
from studies.fieldguide.traits import PARTS
from studies.pages.chance import FALSE, HALF, TRUE, Chance, count_maps, degree


def test_an_attribute_is_true_of_a_bird_half_true_or_false() -> None:
    traits = replace(
        sample_species()[0].traits, leg_colour="red", belly="spotted", belly_colour="blue"
    )
    degrees = {
        "red legs": TRUE,
        "yellow legs": FALSE,
        "a spotted blue belly": TRUE,
        "a spotted green belly": HALF,
        "a plain blue belly": HALF,
        "a streaked green belly": FALSE,
    }
    assert {text: degree(traits, text) for text in degrees} == degrees


def test_maps_dealt_anew_are_held_against_the_parts_of_the_others() -> None:
    parts = np.zeros((4, 4), np.uint8)
    parts[0, 0], parts[3, 3] = PARTS.index("beak"), PARTS.index("legs")
    truth = Truth(0, parts, PARTS)
    maps = np.zeros((3, 4, 4))
    maps[0, 0, 0] = maps[1, 0, 0] = maps[2, 3, 3] = 1
    chance = Chance({TRUE: Tally()}, {TRUE: Tally()})
    # The first points at its beak; of the others, one points there, too.
    count_maps(chance, TRUE, maps, [0], ["beak", "legs", "legs"], truth)
    assert chance.maps[TRUE].pointing == [1.0]
    assert chance.dealt[TRUE].pointing == [1.0, 0.0]
