"""`python -m tests.vectors`: runs every cell and prints the table; exit code 1 if one is not what is expected."""

from __future__ import annotations

import sys

from tests.vectors.laboratory import laboratory
from tests.vectors.table import printed, run


def main() -> int:
    with laboratory() as lab:
        found = dict(run(lab))
    print("\n".join(printed(found)))
    odd = [
        f"{cell.row.name}, {cell.tool}, {cell.direction}: {said}" for cell, said in found.items() if not cell.fits(said)
    ]
    print("\n".join(odd), file=sys.stderr)
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
