"""How Prefect's server writes task runs down: many in one transaction.

Prefect 3.8 writes each change of each task run by itself, more slowly than small shards make them.
Those that wait are in the server's memory, 10,000 at most; what comes then is dropped, and its task
is shown as running for good. A hundred together cost little more than one.
"""

from __future__ import annotations

TOGETHER = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    # Seconds that fewer wait; Prefect takes whole ones.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}
"""For the environment of a server."""
