"""Some images of an archive, named by their keys: a split of a data set, a sample, a shortlist."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from lazsl.errors import UserError, in_one_line
from lazsl.nearest_names import nearest_key
from lazsl.store.keys import digest
from lazsl.store.named_files import read_given
from lazsl.visible_text import unguarded


@dataclass(frozen=True)
class Selection:
    """The keys of the images that are meant; `source` is how sentences name where they are from."""

    source: str
    keys: frozenset[str]

    @property
    def digest(self) -> str:
        """Of the keys alone, not of where they are written down or in which order."""
        return digest("only", sorted(self.keys), length=32)

    def check(self, images: Collection[str], archive: str) -> None:
        """Raise if a key is not among `images`, the keys of an archive's images.

        Raises:
            UserError: the archive lacks one; the sentence gives the nearest keys it has.
        """
        missing = sorted(self.keys.difference(images))
        if missing:
            raise UserError(
                f"{len(missing)} of the {len(self.keys)} keys of {self.source} are no images of "
                f"archive {archive}, such as {missing[0]!r}"
                f"{nearest_key(missing[0], images)}; keys are paths below the archive's root"
            )


def select(url: str | None) -> Selection | None:
    """What `read_selection` reads; None, which is every image, where there is no file."""
    return None if url is None else read_selection(url)


def read_selection(url: str) -> Selection:
    """The keys in a file: a CSV or Parquet file with a column `key`, or else a text of one a line.

    A truth file is such a file too. A key may be there several times and counts once.

    Raises:
        UserError: the file is missing, has another form, or names no key.
    """
    source = repr(url)
    data = read_given(url, f"the keys of {source}", _WANTED)
    try:
        keys = _keys(url.lower(), data)
    except (KeyError, pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise UserError(
            f"the keys of {source} cannot be read: {in_one_line(error)}; {_WANTED}"
        ) from None
    if not keys:
        raise UserError(f"{source} names no key; {_WANTED}")
    return Selection(source, keys)


_WANTED = "give a CSV or Parquet file with a column key, or a text with one key a line"


def _keys(name: str, data: bytes) -> frozenset[str]:
    if name.endswith(".parquet"):
        column = pq.read_table(pa.BufferReader(data), columns=["key"])["key"].cast(pa.string())
    elif name.endswith(".csv"):
        options = pacsv.ConvertOptions(
            column_types={"key": pa.string()}, include_columns=["key"], strings_can_be_null=False
        )
        parsing = pacsv.ParseOptions(newlines_in_values=True)
        table = pacsv.read_csv(io.BytesIO(data), parse_options=parsing, convert_options=options)
        column = table["key"]
        return frozenset(unguarded(str(key)) for key in column.to_pylist() if key)
    else:
        # Only line ends end a line: a key may hold U+2028 and others that `splitlines` splits at.
        lines = io.StringIO(data.decode("utf-8-sig"), newline=None)
        return frozenset(filter(None, (line.rstrip("\n") for line in lines)))
    return frozenset(str(key) for key in column.to_pylist() if key)
