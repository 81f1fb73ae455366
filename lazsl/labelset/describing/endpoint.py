"""An endpoint that speaks OpenAI's protocol, asked through the official client."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

from lazsl.errors import UserError, in_one_line
from lazsl.labelset.describing.asking import SCHEMA, Asking
from lazsl.labelset.describing.cached_answers import Answer
from lazsl.labelset.describing.reply import BadReply, read_completion
from lazsl.labelset.describing.size import bound
from lazsl.store.urls import masked
from lazsl.visible_text import short

OPENAI = "https://api.openai.com/v1"

ATTEMPTS = 3
"""Times that a class is asked about until a reply is of use."""

_FORMS: tuple[dict[str, Any], ...] = (
    {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
    {"response_format": {"type": "json_object"}},
    {},
)
"""Ways to ask for JSON, the strictest first; every server knows the last."""


@dataclass(frozen=True)
class Endpoint:
    """Where to ask. The key is never shown: neither by `repr`, nor in a message."""

    url: str
    key: str = field(repr=False)

    @property
    def shown(self) -> str:
        """The URL without credentials."""
        return masked(self.url)


class Failed(Exception):
    """A class could not be described; the message says why in one clause that is safe to show."""


class Hopeless(Failed):
    """No other class will fare better."""


def find_endpoint(needed: bool = True) -> Endpoint:
    """The endpoint that OPENAI_BASE_URL and OPENAI_API_KEY name; a server of one's own needs no
    key. Where neither is set and it is not `needed`, OpenAI's.

    Raises:
        UserError: neither is set, or OPENAI_BASE_URL is no URL.
    """
    url = os.environ.get("OPENAI_BASE_URL", "").strip()
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if needed and not url and not key:
        raise UserError(
            "there is no endpoint to ask: set OPENAI_API_KEY for OpenAI's, or OPENAI_BASE_URL (and "
            "OPENAI_API_KEY where it needs one) for any other that speaks its protocol"
        )
    if url and not _is_url(url):
        raise UserError(
            f"OPENAI_BASE_URL is {url!r}, which is no URL of a server; it should look like "
            "http://localhost:8000/v1"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(
            "OPENAI_API_KEY holds white space or characters that no key has; set it anew"
        )
    return Endpoint(url.rstrip("/") or OPENAI, key)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host = parts.hostname and (parts.port is None or parts.port)
    except ValueError:  # a port or an address that is none
        return False
    return parts.scheme in ("http", "https") and bool(host) and not re.search(r"\s", text)


class Asker:
    """One client for many questions; remembers which way to ask for JSON the server knows.

    `prompt_tokens` and `answer_tokens` are what the endpoint said that all of them took, replies
    of no use included.

    Retries (connections, timeouts, 408, 409, 429, 5xx) are the official client's: exponential
    backoff from 0.5 s to 8 s with jitter, or what Retry-After says, up to two minutes.
    """

    def __init__(self, endpoint: Endpoint, asking: Asking, timeout: float, retries: int) -> None:
        try:
            import openai
        except ImportError:
            raise UserError(
                'describing needs the openai client: pip install "lazsl[describe]"'
            ) from None
        self._openai = openai
        self._endpoint = endpoint
        self._asking = asking
        self._form = 0
        self.prompt_tokens = self.answer_tokens = 0
        # A server that sends a byte now and then never times out by itself.
        self._longest = (retries + 1) * (timeout + 120)
        self._client = openai.AsyncOpenAI(
            # The client insists on a key, and a server of one's own may need none.
            api_key=endpoint.key or "none",
            base_url=endpoint.url,
            timeout=timeout,
            max_retries=retries,
            # The question and the key go to the endpoint that was named, and nowhere else.
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                headers={"Accept-Encoding": "identity"},
                event_hooks={"response": [bound]},
            ),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, messages: Sequence[Mapping[str, str]]) -> Answer:
        """The answer to one question, asked up to ATTEMPTS times until a reply is of use.

        Raises:
            Failed: no reply was of use, or the endpoint did not answer.
            Hopeless: the endpoint will not answer any question like this.
        """
        for attempt in range(1, ATTEMPTS + 1):
            completion = await self._complete(messages)
            usage = getattr(completion, "usage", None)
            self.prompt_tokens += _count(usage, "prompt_tokens")
            self.answer_tokens += _count(usage, "completion_tokens")
            try:
                attributes = read_completion(completion, self._asking)
            except BadReply as bad:
                if attempt == ATTEMPTS:
                    raise Failed(f"{bad} ({ATTEMPTS} times asked)") from None
                continue
            return Answer(attributes, self._source())
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _complete(self, messages: Sequence[Mapping[str, str]]) -> Any:
        """A completion, in the strictest form of JSON that the server takes."""
        openai, start = self._openai, self._form
        for form in range(start, len(_FORMS)):
            try:
                async with asyncio.timeout(self._longest):
                    completion = await self._client.chat.completions.create(
                        model=self._asking.model,
                        messages=cast(Any, messages),
                        extra_body=dict(self._asking.request) or None,
                        **_FORMS[form],
                    )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if form + 1 == len(_FORMS):
                    raise Failed(self._message(error)) from None
                continue
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise Hopeless(f"{self._message(error)}; check OPENAI_API_KEY") from None
            except openai.NotFoundError as error:
                reason = f"{self._message(error)}; check the model's name and OPENAI_BASE_URL"
                raise Hopeless(reason) from None
            except (openai.APITimeoutError, TimeoutError):
                raise Failed("the endpoint did not answer in time; see --timeout") from None
            except openai.OpenAIError as error:
                raise Failed(self._message(error)) from None
            except Exception as error:  # whatever a body that is no JSON makes the client do
                complaint = short(str(error) or type(error).__name__, 120)
                raise Failed(f"the endpoint's answer is no chat completion ({complaint})") from None
            self._form = max(self._form, form)
            return completion
        raise AssertionError("unreachable: the last form returns or raises")

    def _message(self, error: Any) -> str:
        """What the endpoint said, short, on one line, and without the key."""
        status = getattr(error, "status_code", None)
        body = getattr(error, "body", None)
        inner = body.get("message") if isinstance(body, dict) else None
        message = " ".join(
            str(inner or getattr(error, "message", "") or type(error).__name__).split()
        )
        cause = error.__cause__
        if status is None and cause is not None:
            message = f"{message} ({in_one_line(cause)})"
        if self._endpoint.key:
            message = message.replace(self._endpoint.key, "***")
        where = f"{self._endpoint.shown} answered {status}" if status else self._endpoint.shown
        return f"{where}: {short(masked(message, self._endpoint.url), 200)}"

    def _source(self) -> str:
        day = datetime.now(UTC).date().isoformat()
        return f"written by {self._asking.model} at {self._endpoint.shown} on {day}"


def _count(usage: Any, name: str) -> int:
    value = getattr(usage, name, None)
    return value if isinstance(value, int) and value > 0 else 0
