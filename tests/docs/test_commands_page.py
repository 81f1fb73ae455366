"""docs/commands.md is what the command line says today."""

from __future__ import annotations

import pytest

from lazsl.cli.commands import app
from studies.pages import commands_page

PAGE = commands_page.PAGE.read_text(encoding="utf-8")


def test_the_command_reference_is_current() -> None:
    assert commands_page.page() == PAGE, "run make docs"


def test_a_command_or_a_setting_that_changes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(app.registered_commands[0], "name", "renamed")
        assert commands_page.page() != PAGE
    monkeypatch.setattr(commands_page, "described", lambda model: [])
    assert commands_page.page() != PAGE
