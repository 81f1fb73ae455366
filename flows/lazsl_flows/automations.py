"""Apply automations from a file: `python -m lazsl_flows.automations infra/automations.yaml`.

One of the same name is replaced, so the file is what the server has.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from pydantic import SecretStr

WEBHOOK_BLOCK = "lazsl-failure"


def main() -> int:
    """Apply the file; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    webhook_url = os.environ.get("LAZSL_WEBHOOK_URL") or None
    for name in apply(parser.parse_args().file, webhook_url):
        print(f"applied {name}")
    if webhook_url is None:
        print(
            "no notices of failures and finished runs: set LAZSL_WEBHOOK_URL and apply again",
            file=sys.stderr,
        )
    return 0


def apply(file: Path, webhook_url: str | None) -> list[str]:
    """Names of the automations that the server now has as the file says.

    Args:
        file: the automations, in Prefect's own form.
        webhook_url: where failures are reported; kept as a secret block. None leaves out the
            automations that call it.
    """
    applied = []
    for wanted in yaml.safe_load(file.read_text(encoding="utf-8"))["automations"]:
        if _calls_webhook(wanted):
            if webhook_url is None:
                continue
            block = Webhook(method="POST", url=SecretStr(webhook_url))
            document = block.save(WEBHOOK_BLOCK, overwrite=True)
            for action in wanted["actions"]:
                action["block_document_id"] = str(document)
        automation = Automation(**wanted)
        try:
            known: Any = Automation.read(name=automation.name)
        except ValueError:
            automation.create()
        else:
            automation.id = known.id
            automation.update()
        applied.append(automation.name)
    return applied


def _calls_webhook(wanted: dict[str, Any]) -> bool:
    return any(action["type"] == "call-webhook" for action in wanted["actions"])


if __name__ == "__main__":
    sys.exit(main())
