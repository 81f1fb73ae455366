"""What every method is worth on the sample archive.

`python -m studies.pages.methods_page FOLDER PAGES` writes `methods.md` and its pictures into the
second folder, from the sample as `evidence_page` embeds it into the first, or else embeds it there.
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
from studies.pages.ways import PAPER, sample

SEED = 0
PRECISION = 0.9
PICTURES = "pictures"
FOLDER = "docs/research/evaluation"


def main() -> None:
    """Write the page and its pictures."""
    where, folder = sys.argv[1:3] if len(sys.argv) > 2 else ("workspace/evidence", FOLDER)
    run, _, _ = sample(Path(where), PAPER)
    evaluation = evaluate(
        run.job.workspace, run.key, str(fieldguide.TRUTH_FILE), precision=PRECISION,
        sweep=SETTINGS, seed=SEED,
    )  # fmt: skip
    pictures = Path(folder) / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for section in evaluation.sections:
        for path in section.write(pictures):
            if path.suffix != ".png":
                path.unlink()
    Folder(folder).write_bytes("methods.md", page(evaluation).encode())


def sample_run(where: str) -> str:
    """Key of a run of the sample archive with its own label set, the embedded model, no
    abstaining, and every crop.

    Raises:
        LookupError: the workspace has none.
    """
    folder = Folder(where)
    for run in paths.runs(folder):
        job = paths.read_run_record(folder, run)["job"]
        is_sample = (job["model"], job["labels"]) == ("fieldguide", str(fieldguide.LABELS_FILE))
        regions = job["regions"]
        crops = regions.get("doubt") is None and regions.get("source", "crops") == "crops"
        if is_sample and crops and job["scoring"].get("temperature") is None:
            return run
    raise LookupError(f"{where} has no run of the sample archive; make label makes one")


def page(evaluation: Evaluation) -> str:
    """The page in Markdown; pictures lie in PICTURES beside it."""
    scoring, regions = evaluation.stored.job.scoring, evaluation.stored.job.regions
    sections = "\n".join(section.to_markdown() for section in evaluation.sections)
    sections = re.sub(r"(!\[[^]]*\]\()(?=\w+\.png\))", rf"\1{PICTURES}/", sections)
    return (
        filled(
            "methods.md",
            images=evaluation.comparison.images,
            classes=len(evaluation.comparison.classes),
            crops=regions.count,
            smallest=regions.smallest,
            largest=regions.largest,
            theta=scoring.theta,
            epsilon=scoring.epsilon,
            gamma=scoring.gamma,
            seed=evaluation.seed,
            **_figures(evaluation),
        )
        + sections
    )


def _figures(evaluation: Evaluation) -> dict[str, str]:
    by_name = {result.method.name: result for result in evaluation.comparison.results}
    figures = {
        name.replace("-", "_"): f"{result.top1.value:.1%}" for name, result in by_name.items()
    }
    mean = by_name["crop-mean"].paired
    assert mean is not None  # only LaZSL itself has none
    return {**figures, "mean_p": f"{mean.p_value:.1g}"}


if __name__ == "__main__":
    main()
