"""The process of a temporary Prefect server, which ends with the process that started it.

Its standard input is a pipe of which only that process holds the other end. Where that process
ends, even by SIGKILL, the system closes the pipe.

    python -m lazsl_flows.temporary_server_process PORT
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

_PATIENCE = 5.0
"""Seconds that the server has to close its database."""


def main(port: int) -> None:
    """Serve Prefect's API on loopback until standard input ends."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    # Imported beside the watch, because it takes seconds.
    import uvicorn

    from lazsl_flows.offline_server import ask_nobody

    ask_nobody()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_level="error",
        lifespan="on",
    )


def _end_with_starter() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
