"""What other words do on the sample archive: `python -m studies.pages.controls_page WORKSPACE`.

Prints `controls.md` of docs/research/evaluation from the embeddings of a labelled sample (`make
label`).
"""

from __future__ import annotations

import sys

from lazsl import fieldguide
from lazsl.evaluation.controls import CONTROLS, Controls, measure_controls
from lazsl.evaluation.sections.section import table
from lazsl.evaluation.stored import join_truth, open_stored
from lazsl.labelset.labels import LabelSet
from studies.pages.filled import filled

SEEDS = (0, 1, 2)


def main() -> None:
    """Print the page."""
    stored = open_stored(sys.argv[1] if len(sys.argv) > 1 else "workspace")
    known = join_truth(stored, str(fieldguide.TRUTH_FILE))
    print(page(measure_controls(stored, known, SEEDS), stored.labelset), end="")


def page(controls: Controls, labels: LabelSet) -> str:
    """The page in Markdown."""
    examples = [("the label set", labels.prompts[0][0])]
    examples += [
        (control.title, control.make(labels, SEEDS[0]).prompts[0][0]) for control in CONTROLS
    ]
    seeds = [
        (row.title, *(f"{accuracy:.1%}" for accuracy in row.by_seed["lazsl"]))
        for row in controls.rows[1:]
    ]
    return filled(
        "controls.md",
        images=controls.images,
        chance=controls.chance,
        examples=table(("attributes", "first sentence"), examples),
        table=controls.table(),
        verdict=controls.verdict,
        seeds=table(("attributes", *(f"seed {seed}" for seed in SEEDS)), seeds),
    )


if __name__ == "__main__":
    main()
