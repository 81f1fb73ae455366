"""Where workers have the object store's credentials from: their environment, or a Prefect block.

    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... python -m lazsl_flows.credentials

keeps those variables in a secret block, which Prefect encrypts. Every flow run puts them into the
environment of its own process, where that does not have them already: so keys are changed in one
place, and they are in no parameter, deployment, log or artifact.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from prefect.blocks.system import Secret
from pydantic import SecretStr

from lazsl.errors import UserError

BLOCK = "lazsl-store"
NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
)


def main() -> int:
    """Keep variables of this command's environment; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, help=f"variables ({' '.join(NAMES)})")
    names = parser.parse_args().names
    secrets = {name: os.environ[name] for name in names if name in os.environ}
    if not secrets:
        print(f"none of {', '.join(names)} is set; set them, and run this again", file=sys.stderr)
        return 2
    # As text: the server hides texts from whoever looks at a block, but not an object's values.
    secret: Any = Secret(value=SecretStr(json.dumps(secrets)))
    secret.save(BLOCK, overwrite=True)
    print(f"kept in block {BLOCK}: {', '.join(secrets)}")
    return 0


def use_stored() -> None:
    """Put what the block holds into this process's environment; what is set there stays.

    Raises:
        UserError: the block holds something else than text by variable name.
    """
    try:
        block: Any = Secret.load(BLOCK)
    except ValueError:  # no such block
        return
    kept = block.get()
    if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
        raise UserError(
            f"block {BLOCK} does not hold a JSON object of variables and their values; make it "
            "anew with python -m lazsl_flows.credentials"
        )
    for name, value in kept.items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    sys.exit(main())
