"""The `lazsl` command. Bad input ends in one sentence and exit code 2, never in a traceback."""

MODULES = {
    **{name: name for name in ("audit", "datasets", "estimate", "evaluate", "explain", "export")},
    **{name: name for name in ("find", "label", "relabel", "report", "runs", "serve", "sql")},
    **{"check": "warehouse", "load": "warehouse", "status": "warehouse"},
    "settings": "runs",
}
"""By command, the module of this package that has all of it."""


def main() -> None:
    """Entry point of the console script."""
    import os
    import signal
    import sys
    from importlib import import_module

    # pydantic looks for plugins in everything that is installed, which takes as long as all
    # commands; who has a plugin sets this to nothing.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    from lazsl.cli.app import app, terminate

    # A command that is named needs no other; help, completion and what is mistyped need all.
    named = MODULES.get(sys.argv[1] if len(sys.argv) > 1 else "", "commands")
    import_module(f"lazsl.cli.{named}")
    signal.signal(signal.SIGTERM, terminate)
    app()
