"""docs/commands.md is what the command line says today."""

from __future__ import annotations

import pytest

from studies.pages import commands_page


def test_the_command_reference_is_current() -> None:
    page = commands_page.PAGE.read_text(encoding="utf-8")
    assert page == commands_page.page(), "run make docs"


def test_what_the_command_line_says_is_what_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lazsl.settings.Job.model_fields", {})
    assert "`regions.count`" not in commands_page.page()
