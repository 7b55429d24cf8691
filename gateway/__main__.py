"""`python -m gateway` and the command `pli`."""

from __future__ import annotations

import gc
import sys
from importlib.metadata import packages_distributions

OURS = ("certs", "directory", "relay", "dmp_bridge", "gateway")


def foreign_packages() -> list[str]:
    """Our import names that another distribution claims too: generic names are a known risk (design §2)."""
    owners = packages_distributions()
    return [name for name in OURS if set(owners.get(name, ["pli-gateway"])) - {"pli-gateway"}]


def main() -> None:
    if clash := foreign_packages():
        print(
            f"pli: another package installs {', '.join(clash)} here; use a virtual environment",
            file=sys.stderr,
        )
        sys.exit(2)
    # All of it stays for good: to look for garbage in it is a good part of a command's start, and work for nothing.
    gc.disable()
    from gateway.cli import pli

    gc.freeze()
    gc.enable()
    pli()


if __name__ == "__main__":
    main()
