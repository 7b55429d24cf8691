"""A bare Debian within this machine: its own files, processes, network and name, thrown away with its last process.

Promises: nothing of the machine outside is written or reached: /usr is read through an overlay with the servers that
`./dev servers` unpacked in it, as if they were installed; /etc, /var, /run and /tmp are new and in memory; there is no
network but loopback. Does not: run without root, or start anything but the command that it is given.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
_SHARED = ("certs", "directory", "relay", "dmp_bridge", "gateway", "docs", "tests", "setup.cfg")
_PEOPLE = """\
root:x:0:0:root:/root:/bin/sh
openldap:x:101:101:OpenLDAP:/var/lib/ldap:/bin/false
dovecot:x:102:102:Dovecot:/usr/lib/dovecot:/usr/sbin/nologin
dovenull:x:103:103:Dovecot login:/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
"""Debian's own, and those that the packages slapd and dovecot-core make when they are installed."""
_GROUP = "root:x:0:\ndisk:x:6:\nopenldap:x:101:\ndovecot:x:102:\ndovenull:x:103:\nnogroup:x:65534:\n"
_GROUNDS = (Path("/mnt"), Path("/media"))
"""Empty folders that each Debian has: the new root is mounted there, seen by its own processes alone."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def enter(command: Sequence[str], servers: Path, **how: object) -> subprocess.Popen[str]:
    """Starts `command` in a new root; `servers`: what is unpacked, in Debian's layout. Its end is the root's end."""
    namespaces = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
    words = [*namespaces, sys.executable, "-m", "gateway.demo.fresh_root", str(servers), *command]
    return subprocess.Popen(words, cwd=CHECKOUT, text=True, **how)  # type: ignore[call-overload, no-any-return]


def _build(root: Path, servers: Path) -> None:
    _mount("none", "/", "--make-rprivate", plain=True)
    _mount("tmpfs", root, "-t", "tmpfs", "-o", "mode=755")
    for name in ("usr", "etc", "var/lib", "run", "root", "proc", "dev/shm", "opt/pli/bin", "home"):
        (root / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (root / name).mkdir(mode=0o1777)
        (root / name).chmod(0o1777)
    _mount("overlay", root / "usr", "-t", "overlay", "-o", f"lowerdir={servers / 'usr'}:/usr")
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    shutil.copytree(servers / "etc" / "ldap", root / "etc" / "ldap")
    _configure(root / "etc")
    _mount("proc", root / "proc", "-t", "proc")
    for name in _DEVICES:
        _bind(Path("/dev", name), root)
    (root / "dev/stderr").symlink_to("/proc/self/fd/2")
    for name in (*_SHARED, *(str(each.relative_to(CHECKOUT)) for each in CHECKOUT.glob("*.egg-info")), ".venv"):
        _bind(CHECKOUT / name, root)
    (root / "opt/pli/bin/pli").symlink_to(Path(sys.executable).with_name("pli"))


def _configure(etc: Path) -> None:
    files = {
        "passwd": _PEOPLE,
        "group": _GROUP,
        "hosts": "127.0.0.1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "resolv.conf": "",
    }
    for name, text in files.items():
        (etc / name).write_text(text)


def _bind(source: Path, root: Path) -> None:
    """The same path in the new root, read-only where it is no device."""
    there = root / source.relative_to("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    there.mkdir() if source.is_dir() else there.touch()
    _mount(source, there, "--bind")
    if not source.is_relative_to("/dev"):
        _mount(source, there, "-o", "remount,bind,ro")


def _mount(what: object, where: object, *how: str, plain: bool = False) -> None:
    words = ["mount", *how, str(where)] if plain else ["mount", *how, str(what), str(where)]
    subprocess.run(words, check=True)


def _loopback() -> None:
    """`ip link set lo up` (netdevice(7))."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def main(servers: Path, command: Sequence[str]) -> None:
    """In the new namespaces: builds the root, enters it, becomes the command's parent and init."""
    root = next(each for each in _GROUNDS if not any(each in path.parents for path in (CHECKOUT, servers)))
    _build(root, servers)
    socket.sethostname("debian")
    _loopback()
    os.chroot(root)
    os.chdir("/root")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.exit(subprocess.run(list(command), env=environment, check=False).returncode)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
