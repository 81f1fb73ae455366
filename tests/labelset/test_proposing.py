"""Claims about proposed trees: classes that share attributes share a parent."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.fieldguide import LABELS_FILE
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.proposing import propose_parents
from lazsl.labelset.reading import load_labelset
from studies.fieldguide.sample import sample_species


def test_the_families_of_the_field_guide_are_found_from_what_its_birds_share() -> None:
    labels = load_labelset(str(LABELS_FILE))
    parents = propose_parents(labels).parents
    pairs = [(a, b) for a in labels.classes for b in labels.classes if a < b]
    together = {pair for pair in pairs if parents.get(pair[0]) == parents.get(pair[1]) is not None}
    family_of = {species.name: species.family for species in sample_species()}
    family = {pair for pair in pairs if family_of[pair[0]] == family_of[pair[1]]}
    assert family <= together  # no family is torn apart
    assert len(together - family) <= 0.2 * len(family)


def test_proposed_parents_are_written_for_a_person_to_accept(tmp_path: Path) -> None:
    target = tmp_path / "tree.yaml"
    result = CliRunner().invoke(
        app, ["labels", "tree", str(LABELS_FILE), "-o", str(target)], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    before, after = load_labelset(str(LABELS_FILE)), load_labelset(str(target))
    assert after.parents and after.key.rsplit("-")[-1] == before.key.rsplit("-")[-1]
    assert f"in {len(set(after.parents.values()))} groups" in result.output


def test_what_cannot_be_proposed_is_refused() -> None:
    alone = LabelSet("x", ("a", "b", "c"), (("1",), ("2",), ("3",)))
    with pytest.raises(UserError, match="no two classes share an attribute"):
        propose_parents(alone)
    with pytest.raises(UserError, match="has parents already"):
        propose_parents(LabelSet("x", ("a",), ((),), parents={"a": "b"}))
