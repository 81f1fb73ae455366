"""Faults of what is stored. Each is done to one artifact, by chance, and says what it did."""

from __future__ import annotations

import random
from collections.abc import Callable

from place import Place, kind_of

_JSON = (b"", b"{", b"{}", b"null", b"[]", b"\x00\xff\xfe", b'{"run": 3}', b"0")
_SHARED = ("attributes", "manifests", "run.json", "truth", "samples", "reviews")
"""Kinds of which an artifact speaks of several shards, or of none."""

Damage = Callable[[Place, str, random.Random], str]


def flipped_bit(place: Place, name: str, chance: random.Random) -> str:
    """One bit of an artifact is another."""
    data = bytearray(place.folder.read_bytes(name))
    at = chance.randrange(8 * len(data))
    data[at // 8] ^= 1 << at % 8
    place.folder.write_bytes(name, bytes(data))
    return f"bit {at}"


def overwritten_block(place: Place, name: str, chance: random.Random) -> str:
    """A block of an artifact holds something else, as after a crash of a file system."""
    data = bytearray(place.folder.read_bytes(name))
    length = min(len(data), chance.choice([16, 512, 4096]))
    at = chance.randrange(len(data) - length + 1)
    data[at : at + length] = chance.choice([b"\0", b"U", b"\xff"]) * length
    place.folder.write_bytes(name, bytes(data))
    return f"{length} bytes at {at}"


def cut_file(place: Place, name: str, chance: random.Random) -> str:
    """An artifact ends early."""
    data = place.folder.read_bytes(name)
    length = chance.randrange(len(data))
    place.folder.write_bytes(name, data[:length])
    return f"cut to {length} bytes"


def lost_file(place: Place, name: str, chance: random.Random) -> str:
    """An artifact is gone."""
    place.folder.remove(name)
    return "gone"


def another_file(place: Place, name: str, chance: random.Random) -> str:
    """An artifact is replaced by another of its folder, whole by itself."""
    beside = name.rsplit("/", 1)[0]
    ending = ".images.parquet" if name.endswith(".images.parquet") else name[name.rindex(".") :]
    others = [
        other
        for other in place.folder.names(beside, ending)
        if other != name and kind_of(other) == kind_of(name)
    ]
    if not others:
        return flipped_bit(place, name, chance)
    other = chance.choice(others)
    place.folder.write_bytes(name, place.folder.read_bytes(other))
    return f"holds {other}"


def damaged_json(place: Place, name: str, chance: random.Random) -> str:
    """A record is no record."""
    data = chance.choice(_JSON)
    place.folder.write_bytes(name, data)
    return f"is {data!r}"


DAMAGES: dict[Damage, int] = {
    flipped_bit: 60,
    overwritten_block: 14,
    cut_file: 10,
    lost_file: 6,
    another_file: 10,
}
"""Faults of one artifact, with how many of a hundred they are."""


def damage_some(place: Place, chance: random.Random) -> list[tuple[str, str]]:
    """Damage an artifact of each of some shards, and perhaps one that shards share: the kind of
    every fault, and what it did.

    No two in one shard: what is made anew because of one would hide the other.
    """
    by_shard: dict[str, dict[str, list[str]]] = {}
    shared: dict[str, list[str]] = {}
    for kind, names in place.artifacts().items():
        for name in names:
            if kind in _SHARED:
                shared.setdefault(kind, []).append(name)
            else:
                shard = name.rsplit("/", 1)[1].partition(".")[0]
                by_shard.setdefault(shard, {}).setdefault(kind, []).append(name)
    shards = sorted(by_shard)
    count = chance.choice([0, 1, len(shards), len(shards)])
    places = [by_shard[shard] for shard in chance.sample(shards, count)]
    if count == 0 or chance.random() < 0.5:
        places.append(shared)
    done = []
    for kinds in places:
        kind = chance.choice(sorted(kinds))
        name = chance.choice(kinds[kind])
        fault = chance.choices(list(DAMAGES), list(DAMAGES.values()))[0]
        # A shard of which nothing says that it is done is one that was not begun, and nobody knows
        # of a sample or of judgements that are gone.
        if fault is lost_file and kind in ("samples", "reviews", "truth"):
            fault = cut_file
        if name.endswith(".json") and chance.random() < 0.4:
            fault = damaged_json
        detail = fault(place, name, chance)
        done.append((fault.__name__.replace("_", " "), f"{name}: {detail}"))
    return done


def damaged_warehouse(place: Place, chance: random.Random) -> list[tuple[str, str]]:
    """The published warehouse is damaged, cut or gone; or lies beside what a load left, damaged."""
    path = place.warehouse
    data = bytearray(path.read_bytes())
    fault = chance.choice(["cut", "page", "bit", "gone", "left"])
    path.chmod(0o644)
    if fault == "left":
        part = path.with_name("warehouse.loading.duckdb")
        part.write_bytes(
            data[: chance.randrange(len(data))] if chance.random() < 0.5 else b"U" * 99
        )
    elif fault == "gone":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(data[: chance.randrange(len(data))])
    elif fault == "bit":
        at = chance.randrange(8 * len(data))
        data[at // 8] ^= 1 << at % 8
        path.write_bytes(data)
    else:
        at = chance.randrange(0, len(data), 4096)
        data[at : at + 4096] = b"U" * 4096
        path.write_bytes(data)
    return [("damaged warehouse", f"warehouse: {fault}")]
