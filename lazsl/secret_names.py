"""What is a secret in a URL or in a text: the one list, for refusing, storing and showing.

A secret is a user with a password before a host, whatever the password consists of, and the value
of a parameter whose name ends in one of `_WORDS`, such as `X-Amz-Signature` or `client_secret`.
"""

from __future__ import annotations

import re

_WORDS = (
    "signature|sig|token|secret|password|passwd|pwd|key|apikey|accesskey|accesskeyid|secretkey|"
    "accountkey|awsaccesskeyid|credential|credentials|auth|authorization|jwt|session|sessionid"
)
_NAME = rf"(?:[A-Za-z0-9]{{1,24}}[-_.]){{0,4}}(?:{_WORDS})"
PARAMETER = re.compile(rf"(?i)(?<![A-Za-z0-9])({_NAME})=([^&\s'\"<>,;]+)")
"""Name and value of a secret parameter."""

USERINFO = re.compile(
    # A password with a slash: it goes on to the last @. A port after a host is no password.
    r"(?<=://)(?:(?![\[])[^/\s:@'\"]*:(?!\d{1,5}/)[^\s?#'\"]{0,300}@|[^/\s'\"]*@)"
)
"""User and password before the host of a URL, with the @."""

_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)[^\s'\",}]+"
)


def hidden(text: str) -> str:
    """The text with every secret replaced by `***`."""
    without_users = USERINFO.sub("***@", text)
    return PARAMETER.sub(r"\1=***", _HEADER.sub(r"\1***", without_users))


def secrets_of(url: str) -> list[str]:
    """The secrets of a URL, longest first, so that a text can be searched for them."""
    users = [match[:-1] for match in USERINFO.findall(url)]
    passwords = [user.partition(":")[2] for user in users]
    values = [value for _, value in PARAMETER.findall(url.partition("?")[2])]
    return sorted({s for s in (*users, *passwords, *values) if s}, key=len, reverse=True)


def without_signature(url: str) -> str:
    """The URL as it may be stored: without user, password and secret parameters."""
    place, mark, query = USERINFO.sub("", url).partition("?")
    kept = [part for part in query.split("&") if not PARAMETER.fullmatch(part)]
    return place + mark * bool(any(kept)) + "&".join(part for part in kept if part)
