"""Claims about seals: any change of any byte is seen, and files without a seal are still read."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3 import FaultyS3

from lazsl.errors import DamagedError
from lazsl.store import schemas, seals
from lazsl.store.damage import read_or_make
from lazsl.store.folder import Folder

RECORD = {"run": "photos-1", "job": {"theta": 0.8, "labels": "bird \u00e9.json"}, "none": None}


def small_regions(rows: int = 40, dimension: int = 8, seed: int = 0) -> pa.Table:
    """A table of region embeddings: texts, numbers and vectors of unit length."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    flat = pa.array(vectors.astype(np.float16).ravel())
    columns = [
        pa.array([f"{row // 4:032x}" for row in range(rows)]),
        pa.array([row % 4 for row in range(rows)], pa.int16()),
        *(pa.array(range(rows), pa.int32()) for _ in range(4)),
        pa.FixedSizeListArray.from_arrays(flat, dimension),
    ]
    return pa.Table.from_arrays(columns, schema=schemas.regions(dimension))


REGIONS = "embeddings/e/r/0123.parquet"


def flipped(data: bytes, byte: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[byte] ^= 1 << bit
    return bytes(changed)


def test_a_flipped_bit_of_a_table_is_seen_wherever_it_is(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write_table(REGIONS, small_regions())
    data = folder.read_bytes(REGIONS)
    random_bits = random.Random(0)
    # The first four bytes say what kind of file it is, and nothing reads them for its content.
    for byte in random_bits.sample(range(4, len(data)), 600):
        folder.write_bytes(REGIONS, flipped(data, byte, random_bits.randrange(8)))
        with pytest.raises(DamagedError) as caught:
            folder.read_table(REGIONS)
        assert caught.value.name == REGIONS and "lazsl check" in str(caught.value)
    folder.write_bytes(REGIONS, data)
    assert folder.read_table(REGIONS).equals(small_regions())


def test_damage_to_columns_that_are_not_read_is_left_to_those_who_read_them(place: str) -> None:
    folder = Folder(place)
    table = small_regions(rows=4000, dimension=64)
    folder.write_table(REGIONS, table)
    data = folder.read_bytes(REGIONS)
    metadata = pq.read_metadata(pa.BufferReader(data))
    start, end = seals.column_spans(metadata)["embedding"][0]
    folder.write_bytes(REGIONS, flipped(data, (start + end) // 2))
    boxes = ["image_id", "left"]
    assert folder.read_table(REGIONS, boxes).equals(table.select(boxes))
    for columns in (None, ["embedding"], ["left", "embedding"]):
        with pytest.raises(DamagedError, match="its column embedding is not what was written"):
            folder.read_table(REGIONS, columns)


def test_any_bit_of_a_record_is_seen(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write_record("runs/r/run.json", RECORD)
    data = folder.read_bytes("runs/r/run.json")
    assert folder.read_record("runs/r/run.json") == RECORD
    for byte in range(len(data)):
        for bit in (0, 5):
            folder.write_bytes("runs/r/run.json", flipped(data, byte, bit))
            with pytest.raises(DamagedError):
                folder.read_record("runs/r/run.json")


@pytest.mark.parametrize(
    "text", [b"", b'{"run": "ph', b"null", b"[]", b"3", b"\x00\xff\xfe", b"{}"]
)
def test_what_is_no_record_is_called_damaged(text: bytes, tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write_bytes("runs/r/run.json", text)
    with pytest.raises(DamagedError, match=r"run\.json is damaged \(it "):
        folder.read_record("runs/r/run.json", ["run"])


def test_a_seal_is_the_same_for_the_same_content_and_covers_all_of_it() -> None:
    data, seal = seals.sealed_parquet(small_regions())
    again, other = seals.sealed_parquet(small_regions(seed=1))
    assert seals.sealed_parquet(small_regions()) == (data, seal) and (again, other) != (data, seal)
    assert seals.seal_of(seals.footer(data)) == seal


def test_tables_and_records_of_an_older_lazsl_are_read(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    pq.write_table(small_regions(), Path(folder.path("old.parquet")))
    folder.write_bytes(REGIONS, folder.read_bytes("old.parquet"))
    folder.write_json("runs/r/run.json", RECORD)
    assert folder.read_table(REGIONS).equals(small_regions())
    assert folder.read_table(REGIONS, ["left"]).column_names == ["left"]
    assert folder.read_record("runs/r/run.json") == RECORD


def test_a_table_of_an_older_lazsl_is_held_against_the_sum_in_its_marker(place: str) -> None:
    folder = Folder(place)
    buffer = pa.BufferOutputStream()
    pq.write_table(small_regions(), buffer)
    data = buffer.getvalue().to_pybytes()
    folder.write_bytes(REGIONS, data)
    summed = hashlib.sha256(data).hexdigest()
    assert folder.read_table(REGIONS, ["left"], summed).num_rows == 40
    folder.write_bytes(REGIONS, flipped(data, 100))
    with pytest.raises(DamagedError, match="SHA-256"):
        folder.read_table(REGIONS, ["left"], summed)


@pytest.mark.parametrize("value", [b"UUUU" * 20, b"\x00\x7c" * 40, b"\xff\xff" * 40])
def test_vectors_of_an_older_lazsl_that_cannot_be_are_seen(value: bytes, tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    buffer = pa.BufferOutputStream()
    pq.write_table(small_regions(200), buffer, compression="none", use_dictionary=False)
    data = bytearray(buffer.getvalue().to_pybytes())
    _, end = seals.column_spans(pq.read_metadata(pa.BufferReader(bytes(data))))["embedding"][0]
    data[end - 500 : end - 500 + len(value)] = value
    folder.write_bytes(REGIONS, bytes(data))
    with pytest.raises(DamagedError, match="vectors are not of unit length"):
        folder.read_table(REGIONS)


def test_a_table_that_is_another_one_than_its_marker_says_is_seen(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    seal = folder.write_table(REGIONS, small_regions())
    assert folder.read_table(REGIONS, written=seal).num_rows == 40
    folder.write_table(REGIONS, small_regions(seed=1))
    for columns in (None, ["left"]):
        with pytest.raises(DamagedError, match="another one than its marker says"):
            folder.read_table(REGIONS, columns, seal)


@pytest.mark.parametrize("sealed", [True, False])
def test_columns_that_are_called_otherwise_are_damage(sealed: bool, tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    renamed = small_regions().rename_columns(
        ["image_id", "region", "left", "top", "right", "bottom", "vector"]
    )
    if sealed:
        folder.write_table(REGIONS, renamed)
    else:
        pq.write_table(renamed, tmp_path / "t.parquet")
        folder.write_bytes(REGIONS, (tmp_path / "t.parquet").read_bytes())
    with pytest.raises(DamagedError, match="it lacks the column 'embedding'"):
        folder.read_table(REGIONS)
    assert folder.read_table(REGIONS, ["left"]).num_rows == 40


def test_a_column_of_another_type_is_damage(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    table = small_regions()
    folder.write_table(REGIONS, table.set_column(2, "left", table["left"].cast(pa.string())))
    with pytest.raises(DamagedError, match="its column 'left' holds string, not int32"):
        folder.read_table(REGIONS)


def test_bytes_that_were_garbled_on_their_way_are_asked_for_again(
    bucket: str, faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(f"{bucket}/w")
    folder.write_table(REGIONS, small_regions())
    folder.write_record("runs/r/run.json", RECORD)
    whole = folder.fs.cat_file
    garbled: list[str] = []

    def once_garbled(path: str, *arguments: object, **named: object) -> bytes:
        data: bytes = whole(path, *arguments, **named)
        if path in garbled:
            return data
        garbled.append(path)
        return flipped(data, len(data) // 2)

    monkeypatch.setattr(folder.fs, "cat_file", once_garbled)
    assert folder.read_table(REGIONS).equals(small_regions())
    assert folder.read_record("runs/r/run.json") == RECORD and len(garbled) == 2


def test_of_several_that_publish_under_one_name_one_wins(place: str) -> None:
    folder, other = Folder(place), Folder(place)
    assert folder.create_bytes("x/1", b"first") and not other.create_bytes("x/1", b"second")
    assert folder.read_bytes("x/1") == b"first" and folder.names("") == ["x/1"]


def test_what_is_set_aside_is_kept_and_no_longer_there(place: str) -> None:
    folder = Folder(place)
    folder.write_bytes("x/1", b"bad")
    assert folder.set_aside("x/1") == "damaged/x/1" == folder.set_aside("x/1")
    assert not folder.exists("x/1") and folder.read_bytes("damaged/x/1") == b"bad"
    folder.remove("x/1")
    # What is damaged twice is kept twice, so that it is seen to be missing once more.
    folder.write_bytes("x/1", b"worse")
    folder.set_aside("x/1")
    kept = [folder.read_bytes(name) for name in folder.names("damaged")]
    assert sorted(kept) == [b"bad", b"worse"]
    # An emptied folder stays on a disk.
    assert set(folder.folders("")) - {"x"} == {"damaged"} and folder.folders("none") == []


def test_a_record_is_json_that_anybody_reads(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write_record("a.json", RECORD)
    value = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert value.pop("lazsl-seal").startswith("xxh3:") and value == RECORD


def test_a_table_that_can_be_made_is_made_anew_where_it_is_damaged(tmp_path: Path) -> None:
    folder, table, made = Folder(str(tmp_path)), pa.table({"a": [1, 2]}), []

    def make() -> pa.Table:
        made.append(1)
        return table

    for damage in (None, b"UUUU", None):
        if damage is not None:
            folder.write_bytes("x.parquet", damage)
        assert read_or_make(folder, "x.parquet", make).equals(table)
    assert len(made) == 2 and folder.read_bytes("damaged/x.parquet") == b"UUUU"
