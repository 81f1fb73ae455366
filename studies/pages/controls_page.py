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

SEEDS = (0, 1, 2)


def main() -> None:
    """Print the page."""
    stored = open_stored(sys.argv[1] if len(sys.argv) > 1 else "workspace")
    known = join_truth(stored, str(fieldguide.TRUTH_FILE))
    print(page(measure_controls(stored, known, SEEDS), stored.labelset), end="")


def page(controls: Controls, labels: LabelSet) -> str:
    """The page in Markdown."""
    examples = [("the label set", labels.prompts[0][0])]
    examples += [(one.title, one.make(labels, SEEDS[0]).prompts[0][0]) for one in CONTROLS]
    seeds = [
        (one.title, *(f"{accuracy:.1%}" for accuracy in one.by_seed["lazsl"]))
        for one in controls.rows[1:]
    ]
    return _PAGE.format(
        images=controls.images,
        chance=controls.chance,
        examples=table(("attributes", "first sentence"), examples),
        table=controls.table(),
        verdict=controls.verdict,
        seeds=table(("attributes", *(f"seed {seed}" for seed in SEEDS)), seeds),
    )


_PAGE = """# Do the words matter?

Evidence needs a control. In published work random words in place of attributes come close to real
ones (WaffleCLIP, arXiv 2306.07282): where they do, what is shown as a reason is none. So the same
images are labelled with label sets that keep the class names, the number of attributes and the
template, and say nothing of the classes. `lazsl evaluate --controls` does it for your archive and
says in words what it means. Measured on the sample archive by

```sh
make label
.venv/bin/python -m studies.pages.controls_page workspace > docs/research/evaluation/controls.md
```

{examples}

Top-1 on {images} images, the mean over seeds 0, 1 and 2; kept is what is left of LaZSL's accuracy
above chance ({chance:.1%}):

{table}

{verdict}

LaZSL by seed:

{seeds}

It had to come out so: the names of these species are invented, and the embedded model has never
read one. With a pretrained model and real names expect the opposite, since names alone say much; a
label set whose controls keep more than half of the accuracy above chance is told so, more than a
fifth: that it carries the label in part. Where the evidence sits with each of them is in
[localisation.md](localisation.md).
"""


if __name__ == "__main__":
    main()
