"""Sections of an evaluation, as tables, Markdown and plots."""
