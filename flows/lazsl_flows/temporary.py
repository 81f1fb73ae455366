"""The server that Prefect starts beside one command, where no other is named, is for it alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

from lazsl.store.private import private_folder


def keep_to_this_command() -> None:
    """Have a server that Prefect starts for this process ask for a key that nobody else has.

    It listens on loopback, where every user of the machine can reach it, and its API runs commands.
    Its home, with its database, is closed to other users.

    Raises:
        UserError: Prefect's home belongs to another user.
    """
    settings = get_current_settings()
    if settings.api.url is not None:
        return
    private_folder(Path(settings.home).resolve())
    key = f"lazsl:{secrets.token_urlsafe(24)}"
    os.environ.update(PREFECT_SERVER_API_AUTH_STRING=key, PREFECT_API_AUTH_STRING=key)
    refresh_global_settings_context()
