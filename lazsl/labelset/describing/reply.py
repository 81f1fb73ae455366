"""What a language model wrote, taken apart with suspicion: text in, a few plain phrases out."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lazsl.labelset.describing.asking import Asking
from lazsl.labelset.text import folded, oddity
from lazsl.visible_text import short

LONGEST_REPLY = 20_000
"""Characters of a reply, at most: some hundred times what is asked for."""

LONGEST_ATTRIBUTE = 100
"""Characters of an attribute, at most."""

_THOUGHT = re.compile(r".*</think(?:ing)?>", re.DOTALL)
_STOPPED = {
    "length": "the reply was cut off before its end (finish_reason length)",
    "content_filter": "the endpoint's content filter withheld the reply",
}


class BadReply(Exception):
    """The reply is of no use; the message says why in one clause that is safe to show."""


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True)

    attributes: list[str]


def read_completion(completion: Any, asking: Asking) -> tuple[str, ...]:
    """The attributes in a chat completion.

    Raises:
        BadReply: it has no choice, was cut off, refused, or does not hold what was asked for.
    """
    choices = getattr(completion, "choices", None)
    if not isinstance(choices, list) or not choices:
        raise BadReply("the endpoint's answer has no choices in it")
    finish, message = (getattr(choices[0], name, None) for name in ("finish_reason", "message"))
    if isinstance(finish, str) and finish in _STOPPED:
        raise BadReply(_STOPPED[finish])
    refusal, content = (getattr(message, name, None) for name in ("refusal", "content"))
    if isinstance(refusal, str) and refusal:
        raise BadReply(f"the model refused: {short(refusal, 120)}")
    if not isinstance(content, str) or not content.strip():
        raise BadReply("the reply is empty")
    return read_reply(content, asking)


def read_reply(text: str, asking: Asking) -> tuple[str, ...]:
    """The attributes in a reply, at most as many as were asked for, none twice.

    The reply may stand in a Markdown fence or behind words, as models write that no schema binds.
    A list of up to twice the length is cut to its first, most telling, attributes.

    Raises:
        BadReply: it is too long, no JSON, of another form, has too few attributes or far too many,
            or one that is no plain phrase.
    """
    if len(text) > LONGEST_REPLY:
        raise BadReply(f"the reply is {len(text):,} characters long")
    answer = _THOUGHT.sub("", text)
    try:
        value, _ = json.JSONDecoder().raw_decode(answer, max(answer.find("{"), 0))
        texts = _Reply.model_validate(value).attributes
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the reply"
        raise BadReply(f"the reply has another form: {short(place)}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise BadReply(f"the reply is not the JSON asked for: {short(answer.strip())!r}") from None
    if len(texts) > 2 * asking.most:
        raise BadReply(f"the reply has {len(texts):,} attributes and {asking.most} were asked for")
    kept: dict[str, str] = {}
    for number, attribute in enumerate(texts, start=1):
        plain = attribute.strip().strip(".;,").strip()
        if reason := _objection(plain):
            raise BadReply(f"attribute {number} of the reply {reason}")
        kept.setdefault(folded(plain), plain)
    if len(kept) < asking.least:
        raise BadReply(
            f"the reply has {len(kept)} attributes and {asking.least} or more were asked for"
        )
    return tuple(kept.values())[: asking.most]


def _objection(attribute: str) -> str | None:
    if odd := oddity(attribute):
        return f"has {short(odd, 80)}"
    if len(attribute) > LONGEST_ATTRIBUTE:
        return f"is {len(attribute):,} characters long"
    if not any(character.isalpha() for character in attribute):
        return f"has no letter in it: {attribute!r}"
    return None
