"""The files of a site: pages, assets and data files, each published whole.

Browsers let no page read files beside it from disk (`fetch` of `file://` is forbidden), but they
do let it run scripts from there. So a data file is a script of one call,
`lazsl.register(name, value)`, whose value is JSON.

What the archive and the label set say (names, keys, attributes) never becomes part of a file name,
of markup or of a program: it is data in JSON that is put on a page as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lazsl.errors import UserError
from lazsl.store.folder import Folder
from lazsl.store.keys import checked

HOME = Path(__file__).resolve().parent
MARKER = "data/site.json"
"""Says that a folder is a report, and of which run; written first."""

# What would change the order or the look of text around it: controls, and marks that override the
# direction of writing. (Marks that only help right-to-left text stay.)
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
# One escape of a JSON text (so that an escaped backslash is not taken for the start of another), or
# a character that JSON leaves as it is but markup does not.
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})|\\(.)|([<>&\x7f])")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def visible(text: str) -> str:
    """The text with control characters and direction overrides written out, such as ‹U+202E›."""
    return _UNSEEN.sub(lambda match: f"‹U+{ord(match[0]):04X}›", text)


def exact(texts: Sequence[str]) -> dict[int, str]:
    """By place, the texts that are not shown as they are (`visible`), percent-encoded."""
    return {at: quote(text, safe="") for at, text in enumerate(texts) if visible(text) != text}


def as_script(name: str, value: Any) -> bytes:
    """The data file of a JSON value: ASCII, no character that means markup, text `visible`."""
    text = json.dumps([name, value], separators=(",", ":"), allow_nan=False)
    return f"lazsl.register({_ESCAPED.sub(_harmless, text)[1:-1]});\n".encode("ascii")


def _harmless(escape: re.Match[str]) -> str:
    """What stands for an escape: `visible`, and never markup."""
    code, short, plain = escape.groups()
    if plain and plain in "<>&":
        return f"\\u{ord(plain):04x}"
    character = plain or (chr(int(code, 16)) if code else _SHORT.get(short, ""))
    if _UNSEEN.fullmatch(character):
        return json.dumps(visible(character))[1:-1]
    return escape[0]


class Site:
    """A folder (a path or any fsspec URL) that holds the report of one run.

    Raises:
        UserError: the folder holds something else, or the report of another run.
    """

    def __init__(self, url: str, run: str) -> None:
        self.folder = Folder(url)
        if self.folder.exists(MARKER):
            other = self._run()
            if other != run:
                raise UserError(
                    f"{url} holds the report of run {other}, not of {run}; "
                    "give another folder with --output"
                )
        elif self.folder.exists("index.html") or self.folder.exists("data"):
            raise UserError(
                f"{url} holds something that is no report; give an empty folder with --output"
            )
        self.folder.write_json(MARKER, {"run": run})

    def _run(self) -> str:
        """The run that the report is of."""
        try:
            return str(self.folder.read_json(MARKER)["run"])
        except (ValueError, TypeError, KeyError):
            raise UserError(
                f"{self.folder.path(MARKER)} is damaged; delete the report in {self.folder.url} "
                "and make it anew, or give another folder with --output"
            ) from None

    def data(self, name: str, value: Any) -> int:
        """Size in bytes of the data file that is published."""
        script = as_script(name, value)
        self.folder.write_bytes(f"data/{checked('a part of a report', name)}.js", script)
        return len(script)

    def page(self, name: str, **context: Any) -> int:
        """Size in bytes of the page that is published, from the template of the same name."""
        text = _templates().get_template(name).render(**context)
        self.folder.write_bytes(name, text.encode("utf-8", "replace"))
        return len(text)

    def assets(self) -> int:
        """Size in bytes of the style and the scripts, which are published."""
        total = 0
        for path in sorted((HOME / "assets").iterdir()):
            data = path.read_bytes()
            self.folder.write_bytes(f"assets/{path.name}", data)
            total += len(data)
        return total

    def previews(self, shard: str) -> dict[str, int]:
        """The previews of a shard's images that are there already: image_id -> size in bytes."""
        files = self.folder.details(f"previews/{checked('a shard', shard)}", ".webp")
        return {
            name.rsplit("/", 1)[1].removesuffix(".webp"): int(info.get("size") or 0)
            for name, info in files.items()
        }

    def write_preview(self, shard: str, image_id: str, data: bytes) -> None:
        """Publish one preview."""
        name = f"{checked('a shard', shard)}/{checked('an image', image_id)}"
        self.folder.write_bytes(f"previews/{name}.webp", data)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HOME / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = lambda text: _bdi(str(text))
    environment.filters["plain"] = lambda text: visible(str(text))
    environment.filters["number"] = lambda value: f"{value:,}".replace(",", "\u202f")
    environment.filters["percent"] = lambda value: f"{100 * value:.1f} %".replace(" ", "\u202f")
    environment.filters["bytes"] = in_bytes
    return environment


def _bdi(text: str) -> Markup:
    """The text in an element of its own direction, so that it disturbs none around it."""
    return Markup("<bdi>{}</bdi>").format(visible(text))


def in_bytes(size: float) -> str:
    """A size as a person reads it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
