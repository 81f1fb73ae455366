"""The `lazsl` command. Bad input ends in one sentence and exit code 2, never in a traceback."""


def main() -> None:
    """Entry point of the console script."""
    from lazsl.cli.commands import app

    app()
