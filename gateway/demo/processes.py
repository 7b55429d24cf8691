"""Programs and processes of private servers: where they lie, as whom they run, from which folder, until when.

Promises: nothing of the machine's own servers is read, started or replaced; started as root, servers run as
`nobody`; a process is known by pid and start time, so that only what was started from a folder is ever ended.
A trouble is one French sentence that says what to do.
Does not: know slapd or Dovecot (gateway.demo.servers does), nor install anything (`./dev` does).
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from directory import slapd

LOOPBACK = "127.0.0.1"
READY_S = 40.0
STOP_S = 5.0


class ServerTrouble(Exception):
    """A private server cannot run. The text is for people."""


@dataclass(frozen=True)
class Account:
    """Who the servers run as."""

    name: str
    group: str
    uid: int
    gid: int

    @property
    def dropped(self) -> bool:
        """Other than ourselves."""
        return self.uid != os.geteuid()


def account() -> Account:
    """`nobody` when we are root, otherwise ourselves."""
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Account(user.pw_name, grp.getgrgid(user.pw_gid).gr_name, user.pw_uid, user.pw_gid)


@dataclass(frozen=True)
class Programs:
    """One set of server programs in Debian's layout below `root`."""

    root: Path

    @property
    def unpacked(self) -> bool:
        return self.root != Path("/")

    @property
    def dovecot_home(self) -> Path:
        return self.root / "usr/lib/dovecot"

    @property
    def openldap(self) -> slapd.Software:
        return slapd.Software(modules=self.root / "usr/lib/ldap", schemas=self.root / "etc/ldap/schema")

    def path(self, name: str) -> Path:
        for folder in ("usr/sbin", "usr/bin"):
            if (self.root / folder / name).exists():
                return self.root / folder / name
        raise ServerTrouble(f"{name} est introuvable sous {self.root} : lancez « ./dev servers ».")

    def environment(self, *first: Path) -> dict[str, str]:
        """Unpacked programs find their shared libraries by LD_LIBRARY_PATH; nothing else is passed on."""
        libraries = [
            *first,
            self.dovecot_home,
            self.dovecot_home / "modules/old-stats",
            *(self.root / "usr/lib").glob("*-linux-gnu*"),
        ]
        paths = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))} if self.unpacked else {}
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **paths}


def programs(needed: str, *more: str) -> Programs:
    """Those that hold the program `needed`, perhaps in one `more` folder: $PLI_SERVERS, else the checkout's, else the
    system's."""
    told = os.environ.get("PLI_SERVERS")
    checkout = Path(__file__).resolve().parent.parent.parent / ".pli/debs/root"
    for root in [Path(told)] if told else [checkout, Path("/")]:
        if any((root / folder / needed).exists() for folder in ("usr/sbin", "usr/bin", *more)):
            return Programs(root.resolve())
    raise ServerTrouble(f"{needed} est introuvable : lancez « ./dev servers », qui le dépaquète sans l'installer.")


def free_port() -> int:
    """A port of loopback that nobody listens on now, and that no process of ours was given.

    Below those that the kernel gives to clients, so that none takes it until its server listens.
    """
    while True:
        port = secrets.choice(range(12_000, 32_768))
        if port in _GIVEN or not _reserved(port):
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            _GIVEN.add(port)
            return port


_GIVEN: set[int] = set()


def _reserved(port: int) -> bool:
    """Whether this process has the port to itself: one octet of a common file is locked for as long as it lives. Where
    another account's file cannot be opened, chance has to do."""
    try:
        fcntl.lockf(_register(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@cache
def _register() -> int:
    place = Path(tempfile.gettempdir()) / "pli-ports"
    try:
        return os.open(place, os.O_RDWR)
    except FileNotFoundError:
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        os.fchmod(handle, 0o666)
        return handle


def new_folder(prefix: str = "pli-") -> Path:
    """A new folder that the servers' account can enter, with a path short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    return folder


# --- one process and its pid -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Process:
    """A server started from `folder`, known by pid and start time, so that a recycled pid is not ours."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "server.pid"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def launch(self, command: Sequence[str], environment: Mapping[str, str], who: Account) -> None:
        # The folder is the account's: no link planted there is followed.
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW
        with os.fdopen(os.open(self.log, flags, 0o600), "ab") as log:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                user=who.uid if who.dropped else None,
                group=who.gid if who.dropped else None,
                extra_groups=[] if who.dropped else None,
            )
        # It is followed by its pid from here on; another process may be the one which stops it.
        process.returncode = 0
        place(self.folder, self.record.name, f"{process.pid} {_started(process.pid)}".encode(), who)

    def _recorded(self) -> tuple[int, str]:
        """(pid, start time) of what was last started here; (0, '') when nothing was."""
        try:
            number, started = self.record.read_text().split()
        except (FileNotFoundError, ValueError):
            return 0, ""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(int(number), os.WNOHANG)
        return int(number), started

    def pid(self) -> int | None:
        """Of the running server, or None."""
        number, started = self._recorded()
        return number if number and _started(number) == started else None

    def _members(self) -> list[int]:
        """Every live process of the server's session, also when its leader is gone."""
        number, started = self._recorded()
        if not number or _started(number) not in ("", started):
            # A session's number is not given again while it has a member: this is a stranger's.
            return []
        everyone = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        return [pid for pid in everyone if _stat(pid)[3:4] == [str(number)]]

    def stop(self, number: int = signal.SIGTERM, whole: bool = False) -> None:
        """Asks it to end, or it and its children at once (`whole`); ends what is left after STOP_S seconds."""
        leader = self.pid()
        for pid in self._members() if whole else [leader] if leader else []:
            _signal(pid, number)
        if not until(lambda: not self._members(), STOP_S):
            for pid in self._members():
                _signal(pid, signal.SIGKILL)
            until(lambda: not self._members(), STOP_S)
        self._recorded()  # reaps it, if it was a child of ours
        self.record.unlink(missing_ok=True)

    def wait_ready(
        self, ports: Mapping[int, bytes], name: str, logs: Sequence[Path], also: Callable[[], bool] = lambda: True
    ) -> None:
        """Until each port accepts a connection and greets as it should, and what else must be so is."""
        ready = until(lambda: self.pid() is None or (all(_greets(*port) for port in ports.items()) and also()), READY_S)
        if ready and self.pid() is not None:
            return
        self.stop()
        raise ServerTrouble(f"{name} n'a pas démarré. Son journal finit ainsi : {_tail(logs)}")


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _stat(pid: int) -> list[str]:
    """Fields of proc(5) stat from the third on (state, parent, group, session, ...); none for a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [] if fields[0] == "Z" else fields


def _started(pid: int) -> str:
    """Start time in clock ticks (field 22), or '' when there is no such process or only a zombie."""
    return "".join(_stat(pid)[19:20])


def until(condition: Callable[[], bool], seconds: float = READY_S) -> bool:
    """Whether the condition came true in time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.005)
    return True


def _greets(port: int, greeting: bytes) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=READY_S) as connection:
            return not greeting or connection.recv(200).startswith(greeting)
    except OSError:
        return False


def _tail(logs: Sequence[Path]) -> str:
    lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()]
    return " / ".join(lines[-4:]) or "(vide)"


def require_free(*ports: int) -> None:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                raise ServerTrouble(
                    f"Le port {port} de {LOOPBACK} est déjà pris : choisissez-en un autre, ou libérez-le."
                ) from None


# --- folders -----------------------------------------------------------------------------------------------


def claim(folder: Path, who: Account) -> Path:
    """Makes the folder, checks that the account can reach it, and gives it to the account."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    require_reachable(folder.parent, who)
    give(folder, who)
    folder.chmod(0o700)
    return folder


def require_reachable(path: Path, who: Account) -> None:
    for place in [path, *path.parents] if who.dropped else []:
        state = place.stat()
        shift = 6 if state.st_uid == who.uid else 3 if state.st_gid == who.gid else 0
        if not state.st_mode >> shift & 1:
            raise ServerTrouble(
                f"Le dossier {place} n'est pas ouvert au compte {who.name}, celui des serveurs : "
                f"« chmod o+x {place} », ou choisissez un dossier sous /var/tmp."
            )


def give(path: Path, who: Account) -> None:
    if who.dropped:
        os.chown(path, who.uid, who.gid, follow_symlinks=False)


def place(folder: Path, name: str, content: bytes, who: Account) -> Path:
    """A file that only the account reads."""
    path = folder / name
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
    give(path, who)
    return path
