"""What a person is told when something is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lazsl.errors import UserError


def complaint(call: Callable[[], object]) -> str:
    """The one sentence that a call is refused with."""
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)
