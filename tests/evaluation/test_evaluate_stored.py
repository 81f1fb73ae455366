"""Claims about what an evaluation reads: the run's own embeddings, and truth joined by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch

from lazsl import fieldguide
from lazsl.archive.truth import read_truth
from lazsl.errors import UserError
from lazsl.evaluation.answers import ask_methods
from lazsl.evaluation.compared_sentences import Sentences, read_sentences, templates
from lazsl.evaluation.known_truth import join_truth
from lazsl.evaluation.methods import METHODS, method, methods_for
from lazsl.evaluation.stored import StoredRun, open_stored, read_images
from lazsl.labelset.labels import LabelSet
from lazsl.run import models
from lazsl.run.run import Run
from lazsl.store import paths
from lazsl.store.folder import Folder


@pytest.fixture(scope="module")
def stored(labelled: Run) -> StoredRun:
    return open_stored(labelled.job.workspace)


@pytest.fixture(scope="module")
def own_run(labelled: Run, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """The same run in a workspace that may be written to."""
    home = tmp_path_factory.mktemp("own") / "workspace"
    shutil.copytree(labelled.job.workspace, home, ignore=shutil.ignore_patterns("*.duckdb"))
    return open_stored(str(home), labelled.key[:8])


def truth_file(folder: Path, rows: dict[str, str]) -> str:
    lines = ["key,label", *(f"{key},{label}" for key, label in rows.items())]
    (folder / "truth.csv").write_text("\n".join(lines) + "\n")
    return str(folder / "truth.csv")


def sample_truth() -> dict[str, str]:
    lines = fieldguide.TRUTH_FILE.read_text().splitlines()[1:]
    return dict(line.split(",", 1) for line in lines)


# Embeddings


def test_the_run_is_read_as_it_was_written(labelled: Run, stored: StoredRun) -> None:
    assert (stored.key, stored.archive, stored.encoder) == (
        labelled.key,
        labelled.archive,
        labelled.encoder,
    )
    assert (stored.regions, stored.labels) == (labelled.regions, labelled.labels)
    assert stored.job.scoring == labelled.job.scoring
    assert stored.labelset == labelled.labelset


def test_images_come_with_their_own_embeddings_and_boxes(stored: StoredRun) -> None:
    seen: dict[str, tuple[torch.Tensor, np.ndarray]] = {}
    for batch in read_images(stored):
        assert batch.crops.dtype == torch.float32 and batch.crops.shape[1] == 24
        for row, key in enumerate(batch.keys):
            vectors = torch.cat([batch.whole[row : row + 1], batch.crops[row]])
            seen[batch.image_ids[row]] = vectors, batch.boxes[row]
            width, height = batch.sizes[row]
            assert (batch.boxes[row][:, 2:] <= (width, height)).all(), key
    expected = 0
    for shard in paths.embedded_shards(stored.folder, stored.encoder, stored.regions):
        rows = stored.folder.read_table(
            paths.region_embeddings(stored.encoder, stored.regions, shard)
        ).to_pylist()
        for image_id in dict.fromkeys(row["image_id"] for row in rows):
            rows_of_image = [row for row in rows if row["image_id"] == image_id]
            vectors, boxes = seen[image_id]
            assert np.array_equal(
                vectors.numpy(), np.array([r["embedding"] for r in rows_of_image])
            )
            sides = [[r[s] for s in ("left", "top", "right", "bottom")] for r in rows_of_image[1:]]
            assert np.array_equal(boxes, np.array(sides))
            expected += 1
    assert len(seen) == expected == 43


def test_a_memory_bound_cuts_the_images_in_parts_and_changes_nothing(stored: StoredRun) -> None:
    whole = list(read_images(stored))
    per_image = 4 * 4 * 25 * whole[0].whole.shape[1]
    parts = list(read_images(stored, memory_bytes=3 * per_image))
    assert max(len(part) for part in parts) == 3 and len(parts) > len(whole)
    assert [key for part in parts for key in part.keys] == [k for part in whole for k in part.keys]
    assert torch.equal(
        torch.cat([part.crops for part in parts]), torch.cat([part.crops for part in whole])
    )


def test_only_the_wanted_images_are_read(stored: StoredRun) -> None:
    known = join_truth(stored)
    by_name = dict(list(known.class_index.items())[3:20:4])
    read = [image_id for part in read_images(stored, by_name) for image_id in part.image_ids]
    assert read == list(by_name)


def test_a_run_is_found_by_its_beginning_and_a_wrong_name_is_told(stored: StoredRun) -> None:
    where = stored.job.workspace
    assert open_stored(where, stored.key[:10]).key == stored.key
    with pytest.raises(UserError, match=f"there are {stored.key}"):
        open_stored(where, "nothing")


# Truth


def test_truth_is_joined_by_key_and_class_name(stored: StoredRun) -> None:
    known = join_truth(stored, str(fieldguide.TRUTH_FILE))
    truth = sample_truth()
    keys = dict(
        zip(stored.listing["image_id"].to_pylist(), stored.listing["key"].to_pylist(), strict=True)
    )
    assert len(known) == 43
    for image_id, index in known.class_index.items():
        assert stored.embedded_labels.classes[index] == truth[keys[image_id]]
        assert known.labels[image_id] == truth[keys[image_id]]
    assert [text for text in known.notices if "not in the archive" in text]


def test_the_order_of_the_truth_changes_nothing(stored: StoredRun, tmp_path: Path) -> None:
    rows = dict(reversed(sample_truth().items()))
    assert join_truth(stored, truth_file(tmp_path, rows)).labels == join_truth(stored).labels


def test_truth_of_other_images_is_refused_with_the_nearest_keys(
    stored: StoredRun, tmp_path: Path
) -> None:
    rows = {f"birds/{key}": label for key, label in list(sample_truth().items())[:30]}
    with pytest.raises(UserError) as refused:
        join_truth(stored, truth_file(tmp_path, rows))
    assert "none of the 30 keys" in str(refused.value)
    assert "nearest: '1858/plate-001.jpg'" in str(refused.value)


def test_what_does_not_match_is_told_and_left_out(stored: StoredRun, tmp_path: Path) -> None:
    rows = dict(list(sample_truth().items())[:30])
    rows["1858/plate-001.jpeg"] = rows["1858/plate-001.jpg"]
    known = join_truth(stored, truth_file(tmp_path, rows))
    strange, without = known.notices
    assert "1 of the 31 keys" in strange and "nearest: '1858/plate-001.jpg'" in strange
    assert "13 of 43 embedded images have no truth" in without
    assert "only if those with truth were drawn at random" in without


def test_an_unknown_class_is_refused_or_kept_as_of_no_known_class(
    stored: StoredRun, tmp_path: Path
) -> None:
    rows = dict(list(sample_truth().items())[:30])
    rows["1858/plate-003.jpg"] = "Dodo"
    file = truth_file(tmp_path, rows)
    with pytest.raises(UserError, match="'Dodo'"):
        join_truth(stored, file)
    known = join_truth(stored, file, open_set=True)
    (image_id,) = [i for i, label in known.labels.items() if label == "Dodo"]
    assert known.class_index[image_id] == -1


def test_a_key_with_two_labels_is_refused(stored: StoredRun, tmp_path: Path) -> None:
    file = tmp_path / "truth.csv"
    first_class, other = stored.labelset.classes[:2]
    file.write_text(f"key,label\n1858/plate-001.jpg,{first_class}\n1858/plate-001.jpg,{other}\n")
    with pytest.raises(UserError, match="two labels for '1858/plate-001"):
        join_truth(stored, str(file))


def test_rejected_images_with_truth_are_counted(stored: StoredRun, tmp_path: Path) -> None:
    rows = dict(list(sample_truth().items())[:30])
    shards = paths.embedded_shards(stored.folder, stored.encoder, stored.regions)
    tables = [
        stored.folder.read_table(paths.images(stored.encoder, stored.regions, shard))
        for shard in shards
    ]
    rejected = [
        row["key"] for table in tables for row in table.to_pylist() if row["reason"] is not None
    ]
    rows |= {key: stored.labelset.classes[0] for key in rejected}
    known = join_truth(stored, truth_file(tmp_path, rows))
    assert f"{len(rejected)} images with truth were rejected" in " ".join(known.notices)


# Truth from folders


LABELS = LabelSet(
    "birds",
    ("Winter Wren", "Black-footed Albatross", "鳥", "Auk", "AUK "),
    ((), (), (), (), ()),
    synonyms={"Winter Wren": ("Troglodytes hiemalis",)},
)


def folders(*keys: str, open_set: bool = False) -> dict[str, str]:
    table = read_truth("folders", LABELS, open_set, keys)
    return dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("Winter Wren/1.jpg", "Winter Wren"),
        ("winter_wren/1.jpg", "Winter Wren"),
        ("train/Winter-Wren/1.jpg", "Winter Wren"),
        ("Winter Wren/summer/1.jpg", "Winter Wren"),
        ("black footed albatross/1.jpg", "Black-footed Albatross"),
        ("troglodytes_hiemalis/1.jpg", "Winter Wren"),
        ("鳥/1.jpg", "鳥"),
        ("Auk/Winter Wren/1.jpg", "Winter Wren"),
        ("Auk/1.jpg", "Auk"),
        ("AUK /1.jpg", "AUK "),
    ],
)
def test_the_innermost_folder_that_is_named_after_a_class_is_the_truth(
    key: str, label: str
) -> None:
    assert folders(key) == {key: label}


def test_a_folder_that_could_mean_two_classes_means_none() -> None:
    with pytest.raises(UserError, match="'auk'"):
        folders("auk/1.jpg")


def test_a_folder_of_no_class_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UserError) as refused:
        folders("Auk/1.jpg", "Winter Wern/2.jpg", "Winter Wern/3.jpg")
    assert "2 images, such as 'Winter Wern/2.jpg'" in str(refused.value)
    assert "nearest: 'Winter Wren'" in str(refused.value)
    opened = folders("Auk/1.jpg", "Dodo/2.jpg", open_set=True)
    assert opened == {"Auk/1.jpg": "Auk", "Dodo/2.jpg": "Dodo"}


def test_images_beside_the_folders_have_no_truth() -> None:
    assert folders("Auk/1.jpg", "2.jpg") == {"Auk/1.jpg": "Auk"}
    with pytest.raises(UserError, match="no image lies in a folder"):
        folders("1.jpg", "2.jpg")


def test_folders_need_a_listing() -> None:
    with pytest.raises(UserError, match="listing"):
        read_truth("folders", LABELS)


# Answers


def test_the_answers_are_what_the_run_itself_stored(stored: StoredRun) -> None:
    known = join_truth(stored)
    labels = stored.embedded_labels
    sentences = Sentences(labels.classes, labels.names, labels.packed, None, None, {})
    chosen = [method(name) for name in ("lazsl", "clip", "dclip", "crop-mean")]
    images = read_images(stored, known.class_index, memory_bytes=2**20)
    answers = ask_methods(images, known, chosen, sentences, stored.job.scoring)
    place = {image_id: row for row, image_id in enumerate(answers.image_ids)}
    seen = 0
    for shard in paths.done_shards(stored.folder, stored.key):
        scores = stored.folder.read_table(paths.run_table(stored.key, "scores", shard))
        for row in scores.to_pylist():
            at, rank = place[row["image_id"]], row["rank"] - 1
            assert answers.scores["lazsl"][at, rank] == np.float32(row["score"])
            assert answers.classes[answers.best["lazsl"][at, rank]] == row["class"]
            seen += 1
        predictions = stored.folder.read_table(paths.run_table(stored.key, "predictions", shard))
        for row in predictions.to_pylist():
            for name in ("clip", "dclip", "crop-mean"):
                best = answers.best[name][place[row["image_id"]], 0]
                assert answers.classes[best] == row[f"{name.replace('-', '_')}_label"]
    assert seen == 43 * 5


# Sentences


def test_the_ensemble_is_the_mean_of_eighty_sentences_and_is_embedded_once(
    own_run: StoredRun, labelled: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences: list[str] = []
    first = read_sentences(own_run, say=sentences.append)
    assert len(templates()) == 80 and "4,800 sentences" in sentences[0]
    encoder = models.load_model(labelled, "both")
    label = own_run.embedded_labels.classes[7]
    rows = encoder.encode_sentences([t.replace("{class}", label) for t in templates()]).numpy()
    mean = rows.astype(np.float64).mean(0)
    assert first.ensemble is not None
    assert first.ensemble[7].numpy() == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)

    def no_model(*_: object) -> None:
        raise AssertionError("the model was loaded again")

    monkeypatch.setattr("lazsl.evaluation.compared_sentences.load_encoder", no_model)
    again = read_sentences(own_run, say=sentences.append)
    assert again.ensemble is not None and torch.equal(first.ensemble, again.ensemble)
    assert len(sentences) == 1


def test_cupl_is_read_by_class_name_and_left_out_with_a_reason(
    own_run: StoredRun, labelled: Run, tmp_path: Path
) -> None:
    without = read_sentences(own_run)
    assert without.cupl is None and "--cupl FILE" in without.left_out["cupl"]
    assert "cupl" not in [method.name for method in methods_for(without)]
    classes = own_run.embedded_labels.classes
    file = tmp_path / "cupl.json"
    texts = {c: [f"A {c} has a red head.", f"You know a {c} by it."] for c in reversed(classes)}
    file.write_text(json.dumps({**texts, "Dodo": ["A Dodo is gone."]}))
    given = read_sentences(own_run, str(file))
    assert "cupl" not in given.left_out and given.cupl is not None
    rows = models.load_model(labelled, "both").encode_sentences(texts[classes[4]]).numpy()
    mean = rows.astype(np.float64).mean(0)
    assert given.cupl[4].numpy() == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    file.write_text(json.dumps({c: texts[c] for c in classes[1:]}))
    with pytest.raises(UserError, match=f"lacks 1 of the run's 60 classes.*{classes[0]!r}"):
        read_sentences(own_run, str(file))


def test_a_label_set_of_whole_sentences_is_cupl_itself_and_not_dclip(own_run: StoredRun) -> None:
    table = own_run.embedded
    at = table.schema.get_field_index("prompt")
    prompts = pc.coalesce(table["attribute"], table["prompt"])
    whole = table.set_column(at, table.schema.field(at), prompts)
    sentences = read_sentences(replace(own_run, embedded=whole))
    assert sentences.cupl is not None and "whole sentences" in sentences.left_out["dclip"]
    names = [method.name for method in methods_for(sentences)]
    assert names == [method.name for method in METHODS if method.name != "dclip"]


def test_without_its_model_the_ensemble_is_left_out_with_the_reason(
    labelled: Run, tmp_path: Path
) -> None:
    home = tmp_path / "workspace"
    shutil.copytree(labelled.job.workspace, home, ignore=shutil.ignore_patterns("*.duckdb"))
    folder = Folder(str(home))
    record = folder.read_record(paths.run_record(labelled.key))
    record["job"]["model"] = f"local-dir:{tmp_path}/gone"
    folder.write_record(paths.run_record(labelled.key), record)
    sentences = read_sentences(open_stored(str(home)))
    assert sentences.ensemble is None and "gone" in sentences.left_out["clip-ensemble"]
