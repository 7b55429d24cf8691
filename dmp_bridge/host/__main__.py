"""Starts a dossier host: `python -m dmp_bridge.host --folder F --port P --cert C --key K --trust T`.

Promises: one line on standard output when it serves; SIGTERM and SIGINT stop it after the request in hand.
Does not: stand on the gateway's serving path; it stands in for a foreign party, and can be told to lie
(--wrong).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import socket
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from certs.chain import TrustStore
from dmp_bridge.host.callers import Assertions
from dmp_bridge.host.checks import patient_key
from dmp_bridge.host.contents import Contents
from dmp_bridge.host.door import server
from dmp_bridge.host.formats import is_cx, is_oid
from dmp_bridge.host.registry import Registry, Wrong
from dmp_bridge.host.services import House
from dmp_bridge.host.tables import open_store

REPOSITORY_ID = "2.25.98129146317311236203"
"""This host's own repository, in the arc that needs no registration (X.667)."""


def main() -> None:
    run(arguments().parse_args())


def run(told: argparse.Namespace) -> None:
    """Serves until it is told to stop."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(made(told), told.port))


def made(told: argparse.Namespace) -> uvicorn.Server:
    """The server of these arguments, not yet started."""
    trust = TrustStore.load(told.trust)
    assertions = Assertions(trust, _now) if told.assertions else None
    house = House(_registry(told), assertions, trust if told.lot_signatures else None)
    return server(house, trust, _now, told.cert, told.key)


async def _run(serving: uvicorn.Server, port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    # Connections wait in the listener's queue until the server takes them: the line is true from here on.
    print(f"dossier host ready on https://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await serving.serve(sockets=[listener])


def _registry(told: argparse.Namespace) -> Registry:
    folder: Path = told.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wrong = Wrong(told.wrong) if told.wrong else None
    try:
        engine = open_store(folder / "dossiers.db")
    except ValueError as error:
        raise SystemExit(str(error)) from None
    registry = Registry(engine, Contents(folder / "documents"), told.repository_id, _now, wrong)
    known = _patients(told.patients) if told.patients else {}
    registry.admit(known, [each for each, closed in known.items() if closed])
    return registry


def _patients(path: Path) -> dict[str, bool]:
    """One patient a line, as 'matricule;OID of its root' or as a CX; ';closed' after it where the dossier is."""
    held: dict[str, bool] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter=";"):
            closed = row[-1:] == ["closed"]
            row = row[:-1] if closed else row
            cx = f"{row[0]}^^^&{row[1]}&ISO" if len(row) == 2 else "".join(row[:1])
            if not is_cx(cx):
                raise SystemExit(f"{path.name}: line {len(held) + 1} is not a patient")
            held[patient_key(cx)] = closed
    return held


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dmp_bridge.host", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="where dossiers are kept")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--cert", type=Path, required=True, help="PEM chain of the host")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--trust", type=Path, required=True, help="folder with anchors/, intermediates/ and crls/")
    parser.add_argument("--patients", type=Path, help="who has a dossier; without it, everybody")
    parser.add_argument("--repository-id", default=REPOSITORY_ID, type=_oid, help="OID (%(default)s)")
    parser.add_argument("--assertions", action="store_true", help="ask each request for a VIHF")
    parser.add_argument("--lot-signatures", action="store_true", help="ask each lot for its signature")
    parser.add_argument("--wrong", choices=[each.value for each in Wrong], help="lie, in this way")
    return parser


def _oid(text: str) -> str:
    if not is_oid(text):
        raise argparse.ArgumentTypeError("not an OID")
    return text


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
