"""Claims about truth files: what is read, and what is refused in one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from sample import small_job

from lazsl import fieldguide
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.truth import read_truth
from lazsl.errors import UserError
from lazsl.labelset.native_form import parse_labelset
from lazsl.labelset.reading import load_labelset
from lazsl.run.into_warehouse import check_folders, load_run
from lazsl.run.run import open_run, record_run
from lazsl.store.folder import Folder
from lazsl.warehouse.opening import open_warehouse

LABELS = parse_labelset({"Wren": [], "Grünspecht": [], "Winter Wren": [], "NULL": []}, "birds")


def stored(folder: Path, content: str | bytes) -> str:
    """The path of a truth file with this content."""
    file = folder / "truth.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def refusal(url: str) -> str:
    """The sentence that a truth file is refused with."""
    with pytest.raises(UserError) as caught:
        read_truth(url, LABELS)
    message = str(caught.value)
    assert url in message and "\n" not in message
    return message


def test_keys_and_labels_are_read_as_text(tmp_path: Path) -> None:
    table = read_truth(stored(tmp_path, "key,label\n007,Wren\nb/c d.jpg,Grünspecht\n"), LABELS)
    assert table.schema == pa.schema([("key", pa.string()), ("label", pa.string())])
    assert table.to_pylist() == [
        {"key": "007", "label": "Wren"},
        {"key": "b/c d.jpg", "label": "Grünspecht"},
    ]


def test_columns_may_come_in_any_order_among_others(tmp_path: Path) -> None:
    text = 'label,photographer,key\nWren,"Meier, E.",1.jpg\n'
    table = read_truth(stored(tmp_path, text), LABELS)
    assert table.to_pydict() == {"key": ["1.jpg"], "label": ["Wren"]}


def test_a_class_may_be_called_null_and_hold_spaces(tmp_path: Path) -> None:
    table = read_truth(stored(tmp_path, "key,label\n1.jpg,NULL\n2.jpg,Winter Wren\n"), LABELS)
    assert table["label"].to_pylist() == ["NULL", "Winter Wren"]


def test_keys_that_are_numbers_stay_text(tmp_path: Path) -> None:
    table = read_truth(stored(tmp_path, "key,label\n007,Wren\n010,Wren\n"), LABELS)
    assert table["key"].to_pylist() == ["007", "010"]


@pytest.mark.parametrize("form", ["\ufeffkey,label\n1.jpg,Wren\n", "key,label\r\n1.jpg,Wren\r\n"])
def test_files_of_spreadsheet_programs_are_read(form: str, tmp_path: Path) -> None:
    table = read_truth(stored(tmp_path, form), LABELS)
    assert table.to_pydict() == {"key": ["1.jpg"], "label": ["Wren"]}


def test_a_header_alone_says_that_nothing_is_known(tmp_path: Path) -> None:
    table = read_truth(stored(tmp_path, "key,label\n"), LABELS)
    assert table.num_rows == 0 and table.column_names == ["key", "label"]


def test_truth_is_read_from_any_store(place: str) -> None:
    Folder(place).write_bytes("truth.csv", b"key,label\n1.jpg,Wren\n")
    assert read_truth(f"{place}/truth.csv", LABELS).num_rows == 1
    assert "cannot be read" in refusal(f"{place}/other.csv")


def test_an_unknown_class_is_named_with_its_nearest_names(tmp_path: Path) -> None:
    text = "key,label\n1.jpg,Wern\n2.jpg,Wren\n3.jpg,Auk\n4.jpg,Wern\n"
    message = refusal(stored(tmp_path, text))
    assert "2 classes" in message and "'birds'" in message
    assert "'Wern', 'Auk'" in message and "nearest: 'Wren'" in message


def test_a_row_without_a_label_is_an_unknown_class(tmp_path: Path) -> None:
    assert "''" in refusal(stored(tmp_path, "key,label\n1.jpg,\n"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("image,class\n1.jpg,Wren\n", "has image, class"),
        ("key;label\n1.jpg;Wren\n", "has key;label"),
        ("1.jpg,Wren\n", "has 1.jpg, Wren"),
        ("key,label,label\n1.jpg,Wren,Wren\n", "once each"),
        ("key,key,label\n1.jpg,1.jpg,Wren\n", "once each"),
        ("", "not a CSV file"),
        ("\n\n", "not a CSV file"),
        ("key,label\n1.jpg,Wren\n2.jpg\n", "2.jpg"),
        ('key,label\n1.jpg,Wren\n"2\n.jpg"\n', "not a CSV file"),
        ("key,label\n1.jpg,Grünspecht\n".encode("latin-1"), "UTF8"),
    ],
)
def test_what_is_no_table_of_keys_and_labels_is_refused(
    content: str | bytes, sentence: str, tmp_path: Path
) -> None:
    assert sentence in refusal(stored(tmp_path, content))


def test_a_missing_file_or_store_is_told_in_one_sentence(
    tmp_path: Path, s3_endpoint: Callable[[str], None]
) -> None:
    assert "cannot be read" in refusal(str(tmp_path / "none.csv"))
    assert "cannot be read" in refusal(str(tmp_path))
    s3_endpoint("http://127.0.0.1:1")
    assert "127.0.0.1:1" in refusal("s3://bucket/truth.csv")


def test_a_job_takes_the_truth_from_folders_and_says_early_when_they_name_no_class(
    tmp_path: Path,
) -> None:
    """The folders are those of the listing, so planning is where they are first known."""
    picture = next(fieldguide.IMAGES_DIR.rglob("*.jpg"))
    names = load_labelset(str(fieldguide.LABELS_FILE)).classes[:2]
    for folder in names:
        (tmp_path / "archive" / folder).mkdir(parents=True)
        shutil.copyfile(picture, tmp_path / "archive" / folder / "one.jpg")
    job = small_job(tmp_path / "archive", tmp_path / "workspace", truth="folders")
    run = open_run(job)
    plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size, None)
    check_folders(run.workspace, job, run.labelset, run.archive)
    record_run(run)
    load_run(run.workspace, job, run.key, run.archive)
    with closing(open_warehouse(job.warehouse_path)) as connection:
        rows = connection.execute("select key, label from truth").fetchall()
    assert dict(rows) == {f"{name}/one.jpg": name for name in names}

    (tmp_path / "archive" / names[0]).rename(tmp_path / "archive" / "nonsense")
    plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size, None)
    with pytest.raises(UserError, match="nonsense"):
        check_folders(run.workspace, job, run.labelset, run.archive)
