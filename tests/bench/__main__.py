"""`python -m tests.bench NAME`: runs one benchmark; its last line on standard output is one JSON object (design §9)."""

from __future__ import annotations

import json
import sys

from tests.bench import (
    accept,
    cms,
    crash,
    custody,
    directory,
    doors,
    duplicates,
    file,
    growth,
    house,
    lanes,
    main_job,
    matching,
    pages,
    refusals,
    soak,
)

BENCHES = {
    "accept": accept.bench,
    "cms": cms.bench,
    "main-job": main_job.bench,
    "custody": custody.bench,
    "lanes": lanes.bench,
    "directory": directory.bench,
    "doors": doors.bench,
    "duplicates": duplicates.bench,
    "file": file.bench,
    "growth": growth.bench,
    "house": house.bench,
    "soak": soak.bench,
    "crash": crash.bench,
    "matching": matching.bench,
    "pages": pages.bench,
    "refusals": refusals.bench,
}


def main(arguments: list[str]) -> int:
    name, *rest = arguments or [""]
    if name not in BENCHES:
        print(f"bench: '{name}' is none of: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    print(json.dumps({"bench": name, **BENCHES[name](rest)}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
