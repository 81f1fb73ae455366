"""How right methods and presets are in every world; `evidence_page` measures and writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lazsl.evaluation.sections.section import table
from studies.guide import RENDERINGS, WORLDS, World
from studies.pages.filled import filled
from studies.pages.ways import (
    DRAWS,
    FAST,
    FULL,
    PAPER,
    Measured,
    Table,
    cell,
    figure,
    paired,
)

SHOWN = (
    ("DCLIP", PAPER, "dclip"),
    ("mean over crops", PAPER, "crop-mean"),
    ("LaZSL as published", PAPER, "lazsl"),
    ("one-sided, the paper's crops", PAPER, "one-sided"),
    ("`parts-fast`", FAST, "one-sided"),
    ("`parts`", FULL, "one-sided"),
)
"""Rows: title, way, method."""

UNREAD = 0.5
"""Of the pictures in the right family, below which a world is called unread."""

POINTED = (
    ("LaZSL as published", PAPER),
    ("`parts-fast`", FAST),
    ("`parts`", FULL),
)


def page(measured: Table, fewer: dict[str, Any]) -> str:
    """`worlds.md`, from what every way does in every world, and from `stopped` and `pooled`."""

    def rows(in_cell: Callable[[Measured, str], str]) -> str:
        return table(
            ("way", *WORLDS),
            [
                (title, *(in_cell(measured[way.name][world], name) for world in WORLDS))
                for title, way, name in SHOWN
            ],
        )

    def right(world: World, way_name: str, name: str) -> np.ndarray:
        return measured[way_name][world].hits(name)

    published = {world: right(world, PAPER.name, "lazsl") for world in WORLDS}

    def ahead_of_published(way_name: str, name: str) -> list[World]:
        return [
            world
            for world in WORLDS
            if right(world, way_name, name).mean() > published[world].mean()
        ]

    def kept(world: World, way_name: str, name: str) -> str:
        photos = right("photo", way_name, name).mean()
        return f"{right(world, way_name, name).mean() / photos:.0%}"

    return filled(
        "worlds.md",
        **fewer,
        draws=" and ".join(map(str, DRAWS)),
        images=len(published["photo"]),
        renderings=len(RENDERINGS),
        worlds="\n".join(f"- `{world}`: {meaning}" for world, meaning in WORLDS.items()),
        accuracy=rows(lambda of_way, name: cell(of_way.hits(name), 0)),
        families=rows(lambda of_way, name: f"{np.mean(of_way.family[name]):.0%}"),
        ahead=table(
            ("world", "mean over crops", "p", "`parts-fast`", "p", "`parts`", "p"),
            [
                (
                    f"`{world}`",
                    *paired(published[world], right(world, PAPER.name, "crop-mean")),
                    *paired(published[world], right(world, FAST.name, "one-sided")),
                    *paired(published[world], right(world, FULL.name, "one-sided")),
                )
                for world in WORLDS
            ],
        ),
        pointing=table(
            ("way", *WORLDS),
            [
                (
                    title,
                    *(
                        figure(measured[way.name][world].pointing["place"], digits=0)
                        for world in WORLDS
                    ),
                )
                for title, way in POINTED
            ],
        ),
        behind=len(ahead_of_published(PAPER.name, "crop-mean")),
        count=len(WORLDS),
        fast_ahead=len(ahead_of_published(FAST.name, "one-sided")),
        full_ahead=len(ahead_of_published(FULL.name, "one-sided")),
        unread=" and ".join(
            f"`{world}`"
            for world in WORLDS
            if np.mean(measured[FULL.name][world].family["one-sided"]) < UNREAD
        ),
        kept=", ".join(
            f"`{world}` {kept(world, PAPER.name, 'lazsl')} (`parts`: "
            f"{kept(world, FULL.name, 'one-sided')})"
            for world in WORLDS
            if world != "photo"
        ),
    )
