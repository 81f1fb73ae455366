"""What `lazsl labels check` says of public label files: `python -m studies.pages.label_files_page
FOLDER`.

Prints `label_files.md` of docs/research/evaluation from every JSON file below the folder that is a
label set: DCLIP's descriptors, CuPL's prompts and CLIP_benchmark's names, none of which is shipped.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from lazsl.errors import UserError
from lazsl.labelset.checks import check
from lazsl.labelset.reading import read_labels
from studies.pages.filled import filled

BEFORE = {
    "cupl_cifar10.json": (585, 325),
    "cupl_pets.json": (1604, 910),
    "descriptors_cub.json": (13, 12),
    "descriptors_dtd.json": (37, 34),
    "descriptors_eurosat.json": (1, 1),
    "descriptors_food101.json": (122, 107),
    "descriptors_imagenet.json": (494, 425),
    "descriptors_pets.json": (1, 1),
    "descriptors_places365.json": (163, 134),
    "en_classnames.json": (10, 6),
    "en_zeroshot_classification_templates.json": (207, 201),
    "jp_classnames.json": (9, 0),
}
"""By file, all findings and those about grammar at the commit before whole sentences were told from
phrases (the files were read as attributes, whatever they are)."""


def main() -> None:
    """Print the page."""
    files = sorted(Path(sys.argv[1]).rglob("*.json"), key=lambda file: file.name)
    rows = [row for file in files if (row := _row(file)) is not None]
    print(filled("label_files.md", rows="\n".join(rows)), end="")


def _row(file: Path) -> str | None:
    """A file's line; None where it was not measured before."""
    if file.name not in BEFORE:
        return None
    every, grammar = BEFORE[file.name]
    cells = [f"`{file.name}`", f"{every:,}", f"{grammar:,}"]
    try:
        read = read_labels(str(file))
    except UserError as error:
        reason = str(error).partition("' ")[2].partition(";")[0].partition(" (")[0]
        return f"| {' | '.join(cells)} | refused: {reason} | | | |"
    began = time.process_time()
    findings = check(read)
    seconds = time.process_time() - began
    kinds = Counter(finding.kind for finding in findings)
    mended = sum(finding.mended is not None for finding in findings)
    rest = [f"{count} {kind}" for kind, count in kinds.most_common() if kind != "grammar"]
    cells += [f"{kinds.total():,}", f"{kinds['grammar']:,}", f"{mended:,}", ", ".join(rest)]
    print(f"{file.name}: {seconds:.2f} s", file=sys.stderr)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
