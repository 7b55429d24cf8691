"""A private clamd, unprivileged, on a Unix socket in a private folder, with signatures of our own.

Promises: `start` returns when it answers; `stop` also works from another process. Does not: fetch the publisher's
signatures (a node's operator runs freshclam), nor serve outside its socket.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.processes import Account, Process, ServerTrouble, account, claim, give, place, programs

# The harmless test file of EICAR, in hexadecimal so that no scanner stops at this very file.
EICAR = bytes.fromhex(
    "58354f2150254041505b345c505a58353428505e2937434329377d24"
    "45494341522d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a"
)
_CONF = """\
LocalSocket {folder}/clamd.sock
LocalSocketMode 666
DatabaseDirectory {folder}/signatures
TemporaryDirectory {folder}/work
LogFile {folder}/clamd.log
Foreground yes
StreamMaxLength {most}
MaxThreads 4
"""


@dataclass(frozen=True)
class Clamd:
    folder: Path
    signatures: Mapping[str, bytes] = field(default_factory=lambda: {"Eicar-Test": EICAR})
    """Name -> the bytes that betray it."""
    most: int = 50_000_000

    @property
    def socket(self) -> Path:
        return self.folder / "clamd.sock"

    def start(self) -> None:
        who, software = account(), programs("clamd")
        folder = claim(self.folder, who)
        conf = self._prepare(folder, who)
        process = Process(folder)
        process.launch([str(software.path("clamd")), f"--config-file={conf}"], software.environment(), who)
        end = time.monotonic() + 20
        while not self._answers():
            if process.pid() is None or time.monotonic() > end:
                raise ServerTrouble(f"clamd n'a pas démarré : {folder / 'clamd.log'}")
            time.sleep(0.02)

    def stop(self) -> None:
        Process(self.folder.resolve()).stop()

    def _prepare(self, folder: Path, who: Account) -> Path:
        for name in ("signatures", "work"):
            (folder / name).mkdir(exist_ok=True)
            give(folder / name, who)
        self.socket.unlink(missing_ok=True)
        lines = "".join(f"{name}:0:*:{what.hex()}\n" for name, what in self.signatures.items())
        place(folder / "signatures", "own.ndb", lines.encode(), who)
        return place(folder, "clamd.conf", _CONF.format(folder=folder, most=self.most).encode(), who)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(str(self.socket))
                line.sendall(b"zPING\0")
                return line.recv(16) == b"PONG\0"
            except OSError:
                return False
