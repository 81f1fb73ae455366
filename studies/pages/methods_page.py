"""What every method is worth on the sample archive.

`python -m studies.pages.methods_page WORKSPACE FOLDER` writes `methods.md` and its pictures into a
folder, from the embeddings of a labelled sample (`make label`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from lazsl import fieldguide
from lazsl.evaluation.evaluate import Evaluation, evaluate
from lazsl.evaluation.sweeps import SETTINGS
from lazsl.store import paths
from lazsl.store.folder import Folder
from studies.pages.filled import filled

SEED = 0
PRECISION = 0.9
PICTURES = "pictures"
FOLDER = "docs/research/evaluation"


def main() -> None:
    """Write the page and its pictures."""
    where, folder = sys.argv[1:3] if len(sys.argv) > 2 else ("workspace", FOLDER)
    found = evaluate(
        where, sample_run(where), str(fieldguide.TRUTH_FILE), precision=PRECISION, sweep=SETTINGS,
        seed=SEED,
    )  # fmt: skip
    pictures = Path(folder) / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for section in found.sections:
        for path in section.write(pictures):
            if path.suffix != ".png":
                path.unlink()
    Folder(folder).write_bytes("methods.md", page(found).encode())


def sample_run(where: str) -> str:
    """Key of a run of the sample archive with its own label set, the embedded model, no
    abstaining, and every crop.

    Raises:
        LookupError: the workspace has none.
    """
    folder = Folder(where)
    for run in paths.runs(folder):
        job = paths.read_run_record(folder, run)["job"]
        own = (job["model"], job["labels"]) == ("fieldguide", str(fieldguide.LABELS_FILE))
        regions = job["regions"]
        crops = regions.get("doubt") is None and regions.get("source", "crops") == "crops"
        if own and crops and job["scoring"].get("temperature") is None:
            return run
    raise LookupError(f"{where} has no run of the sample archive; make label makes one")


def page(found: Evaluation) -> str:
    """The page in Markdown; pictures lie in PICTURES beside it."""
    scoring, regions = found.stored.job.scoring, found.stored.job.regions
    sections = "\n".join(section.to_markdown() for section in found.sections)
    sections = re.sub(r"(!\[[^]]*\]\()(?=\w+\.png\))", rf"\1{PICTURES}/", sections)
    return (
        filled(
            "methods.md",
            images=found.comparison.images,
            classes=len(found.comparison.classes),
            crops=regions.count,
            smallest=regions.smallest,
            largest=regions.largest,
            theta=scoring.theta,
            epsilon=scoring.epsilon,
            gamma=scoring.gamma,
            seed=found.seed,
            **_figures(found),
        )
        + sections
    )


def _figures(found: Evaluation) -> dict[str, str]:
    by_name = {one.method.name: one for one in found.comparison.results}
    told = {name.replace("-", "_"): f"{one.top1.value:.1%}" for name, one in by_name.items()}
    mean = by_name["crop-mean"].paired
    assert mean is not None  # only LaZSL itself has none
    return {**told, "mean_p": f"{mean.p_value:.1g}"}


if __name__ == "__main__":
    main()
