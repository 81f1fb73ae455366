"""Trust as a part of an evaluation: calibration, abstaining, and the file that `label` applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lazsl.errors import UserError
from lazsl.evaluation.answers import Answers
from lazsl.evaluation.calibration import lower_bound
from lazsl.evaluation.sections.section import plain, table
from lazsl.evaluation.stored import StoredRun, stored_presence
from lazsl.evaluation.sweeps import own_method
from lazsl.evaluation.trust import Trust, measure_trust
from lazsl.evaluation.trust_file import write_trust
from lazsl.scoring.tree import make_tree

TRUST_FILE = "trust.json"


FEWEST_OF_A_FOLDER = 20
"""Labels of a folder below which its precision is not shown."""

FOLDERS_SHOWN = 12


@dataclass(frozen=True)
class OfFolder:
    """Labels given to the images of a folder, at the threshold for all of them."""

    folder: str
    images: int
    labelled: int
    right: int

    @property
    def precision(self) -> float:
        """Part of the labels that is right."""
        return self.right / self.labelled


@dataclass(frozen=True)
class TrustSection:
    """How far the labels of a run can be trusted, or why that was not measured.

    Attributes:
        stored: the run.
        trust: what was found; None where it could not be measured.
        reason: why not; empty where it was.
        folders: what the threshold does to the images of each folder, the least right first: a
            promise for a mix holds for no part of it alone.
    """

    stored: StoredRun
    trust: Trust | None
    reason: str
    folders: tuple[OfFolder, ...] = ()

    name = "trust"

    def to_json(self) -> dict[str, Any]:
        """As `Trust.to_json`, or the reason."""
        if self.trust is None:
            return {"reason": self.reason}
        return {**self.trust.to_json(), "folders": [asdict(folder) for folder in self.folders]}

    def show(self, console: Console) -> None:
        """Confidence in a few lines, and what the threshold promises."""
        if self.trust is None:
            console.print(f"[dim]trust was not measured: {escape(self.reason)}[/]", highlight=False)
            return
        shown = Table("how far to trust a label", "", title_justify="left")
        shown.columns[1].justify = "right"
        for name, value in _facts(self.trust):
            shown.add_row(name, value)
        console.print(shown)
        console.print(escape(self.trust.sentence), highlight=False)
        if self.folders:
            shown = Table("folder", "labelled", "right", title=_BY_FOLDER, title_justify="left")
            for row in _folder_rows(self.folders):
                shown.add_row(*map(escape, row))
            console.print(shown)

    def to_markdown(self) -> str:
        """Figures, pictures, and how to apply them."""
        if self.trust is None:
            return f"## Trust\n\nNot measured: {plain(self.reason)}\n"
        parts = [
            "## Trust",
            "Confidence is the softmax of an image's best scores over a temperature that was "
            "fitted on these images; what is said of its calibration was measured on halves, each "
            "at the temperature of the other.",
            table(["", ""], _facts(self.trust)),
            plain(self.trust.sentence),
            "![how often labels of like confidence are right](reliability.png)",
            "![part wrong over part labelled](risk_coverage.png)",
            "![how sure labels were](confidence.png)",
        ]
        if self.folders:
            rows = [[plain(cell) for cell in row] for row in _folder_rows(self.folders)]
            parts += [f"{_BY_FOLDER}:", table(["folder", "labelled", "right"], rows)]
        if self.trust.threshold is not None:
            parts.append(
                f"`lazsl relabel {self.stored.key} --trust {TRUST_FILE}` gives images below this "
                "confidence no label; `lazsl label --trust` does so from the start."
            )
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """trust.json, and three PNG files."""
        from lazsl.evaluation.sections.trust_plots import plot_trust

        if self.trust is None:
            return []
        write_trust(folder / TRUST_FILE, self.trust, self.stored)
        return [folder / TRUST_FILE, *plot_trust(self.trust, folder)]


def trust_section(
    stored: StoredRun, answers: Answers, precision: float, seed: int = 0
) -> TrustSection:
    """Trust in the labels of a run, by its own scores.

    Args:
        stored: the run.
        answers: of the run's own method, among others.
        precision: the part of the given labels that is to be right, above 0 and below 1.
        seed: of the halves.

    Raises:
        UserError: the precision is none. Where there are too few images or classes, the section
            says so instead.
    """
    if not 0 < precision < 1:
        raise UserError(f"a precision of {precision} is not between 0 and 1")
    run_method = own_method(stored.job.scoring).name
    # What `label` sees of an image: the scores that are stored.
    top_scores = answers.scores[run_method][:, : stored.job.scoring.top_k]
    known = answers.truth >= 0
    opened = stored.job.open_set or not bool(known.all())
    presence = stored_presence(stored, answers.image_ids) if opened else None
    if presence is not None and (presence == 1).all():
        presence = None  # no attribute has a rival
    try:
        trust = measure_trust(
            top_scores,
            answers.right(run_method),
            known,
            precision,
            seed,
            presence=presence,
            opened=opened,
            tree=make_tree(stored.labelset.classes, stored.labelset.parents),
            best=answers.best[run_method][:, : top_scores.shape[1]],
            truth=answers.truth,
        )
    except UserError as error:
        return TrustSection(stored, None, str(error))
    return TrustSection(stored, trust, "", by_folder(trust, answers.keys))


def by_folder(trust: Trust, keys: Sequence[str]) -> tuple[OfFolder, ...]:
    """What the threshold does to the images of each folder that has labels enough, the least right
    first; nothing where there is no threshold or one folder.

    Args:
        trust: measured on the images.
        keys: (B,) of theirs, paths below the archive's root.
    """
    if trust.threshold is None:
        return ()
    given = trust.held_against >= trust.threshold
    counts: dict[str, list[int]] = {}
    for key, labelled, right in zip(keys, given, trust.right, strict=True):
        of = counts.setdefault(key.rpartition("/")[0], [0, 0, 0])
        of[0] += 1
        of[1] += int(labelled)
        of[2] += int(labelled and right)
    if len(counts) < 2:
        return ()
    of_folders = [OfFolder(folder, *of) for folder, of in counts.items()]
    enough = [folder for folder in of_folders if folder.labelled >= FEWEST_OF_A_FOLDER]
    return tuple(sorted(enough, key=lambda folder: (folder.precision, folder.folder)))


_NO_PRESENCE = "none: it takes one-sided plans, and attributes that have rivals"
_BY_FOLDER = "What is promised for all images holds for no folder alone"


def _folder_rows(folders: tuple[OfFolder, ...]) -> list[list[str]]:
    rows = [
        [
            folder.folder or "(none)",
            f"{folder.labelled:,} of {folder.images:,}",
            f"{folder.precision:.1%} (at least {_at_least(folder):.1%})",
        ]
        for folder in folders[:FOLDERS_SHOWN]
    ]
    if len(folders) > FOLDERS_SHOWN:
        rows.append([f"{len(folders) - FOLDERS_SHOWN:,} more", "", "better"])
    return rows


def _at_least(folder: OfFolder) -> float:
    return float(lower_bound(np.array([folder.right]), np.array([folder.labelled]))[0])


def _facts(trust: Trust) -> list[tuple[str, str]]:
    facts = [
        ("temperature", f"{trust.temperature:.4g}"),
        ("calibration error (ECE), fitted", f"{trust.ece_after:.3f}"),
        ("calibration error (ECE), as CLIP is trained", f"{trust.ece_before:.3f}"),
        ("area under risk and coverage (AURC)", f"{trust.aurc:.3f}"),
        (f"threshold for {trust.precision:.1%} right", _or_none(trust.threshold, ".4f")),
        ("labelled then", _or_none(trust.coverage_at_threshold, ".1%")),
        ("right then", _or_none(trust.precision_at_threshold, ".1%")),
        (
            "held out: labelled, right",
            f"{trust.held_out_coverage:.1%}, {_or_none(trust.held_out_precision, '.1%')}",
        ),
    ]
    if trust.floor is not None:
        facts.append(("floor under the best score", f"{trust.floor:.4f}"))
        if trust.abstain_by is None:
            facts.append(("presence of attributes", _NO_PRESENCE))
    if (tree := trust.backing_off) is not None:
        facts += [
            (
                f"with parents: threshold (chances summed over the {trust.classes} classes kept)",
                f"{tree.threshold:.4f}",
            ),
            ("with parents: labelled, right", f"{tree.coverage:.1%}, {tree.precision:.1%}"),
            (
                "with parents, held out: labelled, right",
                f"{tree.held_out_coverage:.1%}, {_or_none(tree.held_out_precision, '.1%')}",
            ),
        ]
        facts += [
            (
                "labels that are classes" if depth.level == 0 else f"parents, level {depth.level}",
                f"{depth.labelled:,}, {depth.right / depth.labelled:.1%} right",
            )
            for depth in tree.depths
            if depth.labelled
        ]
        if tree.severity is not None:
            facts.append(("steps from a wrong class to a shared parent", f"{tree.severity:.2f}"))
    if trust.auroc_open_set is not None:
        facts.append(("images of no known class", f"{trust.unknown} of {trust.images}"))
        facts.append(("AUROC known against unknown, confidence", f"{trust.auroc_open_set:.3f}"))
        facts += [
            (f"AUROC known against unknown, {name}", f"{area:.3f}")
            for name, area in trust.auroc_scores.items()
            if name != "confidence"
        ]
    return facts


def _or_none(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)
