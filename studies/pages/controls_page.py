"""What other words do on the sample archive, by preset: `python -m studies.pages.controls_page
FOLDER`.

Prints `controls.md` of docs/research/evaluation from the sample as `evidence_page` embeds it into
the folder; what is missing there is made.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from lazsl.evaluation.control_label_sets import CONTROLS
from lazsl.evaluation.controls import Controls, measure_controls
from lazsl.evaluation.sections.section import table
from lazsl.labelset.labels import LabelSet
from studies.pages.filled import filled
from studies.pages.ways import PRESETS, sample

SEEDS = (0, 1, 2)
SHOWN = ("paper", "parts")


def main() -> None:
    """Print the page."""
    logging.disable(logging.INFO)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "workspace/evidence")
    by_preset = {}
    for preset in SHOWN:
        _, stored, known = sample(folder, PRESETS[preset][0])
        by_preset[preset] = measure_controls(stored, known, SEEDS)
    print(page(by_preset, stored.labelset), end="")


def page(by_preset: dict[str, Controls], labels: LabelSet) -> str:
    """The page in Markdown."""
    examples = [("the label set", labels.prompts[0][0])]
    examples += [
        (control.title, control.make(labels, SEEDS[0]).prompts[0][0]) for control in CONTROLS
    ]
    seeds = [
        (preset, row.title, *(f"{value:.1%}" for value in row.by_seed[PRESETS[preset][1]]))
        for preset, controls in by_preset.items()
        for row in controls.rows[1:]
    ]
    first = next(iter(by_preset.values()))
    return filled(
        "controls.md",
        images=first.images,
        chance=first.chance,
        examples=table(("attributes", "first sentence"), examples),
        presets="\n\n".join(
            f"## `{preset}`\n\n{controls.table()}\n\n{controls.verdict}"
            for preset, controls in by_preset.items()
        ),
        seeds=table(
            ("preset", "attributes", *(f"seed {seed}" for seed in SEEDS)), seeds, text_columns=2
        ),
    )


if __name__ == "__main__":
    main()
