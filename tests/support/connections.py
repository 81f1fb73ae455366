"""What Python processes connect to, as they write it down themselves."""

from __future__ import annotations

import json
import socket
from pathlib import Path

LOG = """
import json, os, socket, sys

def _log(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
        line = json.dumps([event, os.path.basename(sys.argv[0] if sys.argv else ""), address],
                          default=repr)
        file = os.open(os.environ["CONNECTION_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, (line + "\\n").encode())
        os.close(file)

sys.addaudithook(_log)
"""
HERE = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "", None}


def logging_connections(folder: Path, path: str = "") -> dict[str, str]:
    """Environment variables with which every Python process writes down what it connects to.

    Args:
        folder: where the hook and the log lie.
        path: further entries of PYTHONPATH.
    """
    hook = folder / "hook"
    hook.mkdir(parents=True)
    (hook / "sitecustomize.py").write_text(LOG)
    places = ":".join(filter(None, (str(hook), path)))
    return {"PYTHONPATH": places, "CONNECTION_LOG": str(folder / "connections")}


def connections(folder: Path) -> tuple[int, list[str]]:
    """How many connections were written down, and those that leave this machine."""
    lines = [json.loads(line) for line in (folder / "connections").read_text().splitlines()]
    outside = [
        str(line)
        for line in lines
        if (line[2][0] if isinstance(line[2], list) and line[2] else line[2]) not in HERE
        and not str(line[2]).startswith(("/", "b'\\x00", "127."))
        and line[2] != socket.gethostname()
    ]
    return len(lines), outside


def unguarded(environment: dict[str, str]) -> dict[str, str]:
    """An environment without what keeps libraries from asking strangers: lazsl must see to it."""
    kept = ("DO_NOT_TRACK", "HF_HUB_OFFLINE", "PREFECT_SERVER_ANALYTICS_ENABLED")
    return {name: value for name, value in environment.items() if name not in kept}
