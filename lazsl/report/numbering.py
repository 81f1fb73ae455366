"""Class names by number: data files say 17 where a page says "kingfisher"."""

from __future__ import annotations

from typing import Any

from lazsl.report.site import exact
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection


class Names:
    """Numbers of class names: those of the label set in its order, then others as they come.

    Attributes:
        attributes: per class of the label set, its attributes as given.
    """

    def __init__(self, connection: Connection, run: str) -> None:
        rows = sqlfiles.run(connection, "report/label_set.sql", run=run).fetchall()
        self._numbers = {label: number for number, (_, label, _) in enumerate(rows)}
        self.attributes: list[list[str]] = [list(texts) for _, _, texts in rows]

    def number(self, name: str | None) -> int:
        """The number of a name; -1 for none. Truth may name what the label set does not have."""
        return -1 if name is None else self._numbers.setdefault(name, len(self._numbers))

    def to_json(self) -> dict[str, Any]:
        """What the pages know: every name, and the attributes of the label set's classes."""
        names = list(self._numbers)
        return {"names": names, "exact": exact(names), "attributes": self.attributes}
