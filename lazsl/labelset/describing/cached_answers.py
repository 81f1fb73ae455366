"""Answers that were paid for, kept on disk so that a second run costs nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lazsl.labelset.describing.asking import Asking
from lazsl.labelset.describing.reply import BadReply, read_reply
from lazsl.store.folder import Folder


@dataclass(frozen=True)
class Answer:
    """The attributes of a class, and what they are from: `source` is a line for a person."""

    attributes: tuple[str, ...]
    source: str


def default_folder() -> str:
    """Where answers are kept unless told otherwise."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(home) / "lazsl" / "described")


class Answers:
    """A folder, local or behind any fsspec URL, of one small JSON file per answer."""

    def __init__(self, url: str) -> None:
        self.folder = Folder(url)

    def get(self, key: str, asking: Asking) -> Answer | None:
        """A kept answer, read as critically as a fresh one; None where there is none that will do.

        Raises:
            UserError: the folder cannot be reached.
        """
        try:
            value: Any = self.folder.read_json(f"{key}.json")
        except (FileNotFoundError, ValueError):
            return None
        try:
            return Answer(read_reply(value["reply"], asking), str(value["source"]))
        except (BadReply, KeyError, TypeError):
            return None

    def put(self, key: str, answer: Answer, messages: Sequence[dict[str, str]]) -> None:
        """Keep an answer, with what was asked.

        Raises:
            UserError: it cannot be written.
        """
        reply = json.dumps({"attributes": answer.attributes}, ensure_ascii=False)
        value = {"reply": reply, "source": answer.source, "messages": list(messages)}
        self.folder.write_json(f"{key}.json", value)
