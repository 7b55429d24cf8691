"""`python -m dmp_bridge.workman KIND …`: the process of a workshop, which looks at documents, pages or letters.

Promises: one question at a time, answered in order; no file is written; a surprise is an answer that says so, never
a traceback with content. Does not: know keys, the store or the network; believe what it reads.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias

Craft: TypeAlias = Callable[[dict[str, Any], bytes], dict[str, Any]]
"""Its answer is JSON but for `data`, which are bytes."""


def main(arguments: list[str]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    craft = _craft(arguments)
    # From here on no file can grow: a parser that is taken over writes nothing.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _serve(craft, sys.stdin.buffer, sys.stdout.buffer)


def _craft(arguments: list[str]) -> Craft:
    kind, *rest = arguments
    # Each craft loads large libraries: a process has one.
    if kind == "schemas":
        from dmp_bridge.schemas import craft as schemas

        return schemas(*rest)
    if kind == "pictures":
        from dmp_bridge.pictures import craft as pictures

        return pictures()
    if kind == "papers":
        from dmp_bridge.papers import craft as papers

        return papers()
    if kind == "reading":
        from dmp_bridge.unfolding import craft as unfolding

        return unfolding()
    raise SystemExit(f"no such craft: {kind}")


def _serve(craft: Craft, asked: BinaryIO, answers: BinaryIO) -> None:
    while len(lengths := asked.read(8)) == 8:
        head, size = struct.unpack(">II", lengths)
        question, data = json.loads(asked.read(head)), asked.read(size)
        answer: dict[str, Any] = {"ready": True} if "ready" in question else _answered(craft, question, data)
        made = answer.pop("data", b"")
        written = json.dumps(answer).encode()
        answers.write(struct.pack(">II", len(written), len(made)) + written + made)
        answers.flush()


def _answered(craft: Craft, question: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        return craft(question, data)
    except Exception as error:
        # The kind alone: what a library says may quote the document.
        return {"surprise": type(error).__name__}


if __name__ == "__main__":
    main(sys.argv[1:])
