"""The `lazsl` command. Bad input ends in one sentence and exit code 2, never in a traceback."""


def main() -> None:
    """Entry point of the console script."""
    import signal

    from lazsl.cli.app import terminate
    from lazsl.cli.commands import app

    signal.signal(signal.SIGTERM, terminate)
    app()
