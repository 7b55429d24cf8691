"""A private slapd and a private Dovecot, unprivileged, on loopback, each from one private folder.

Promises: `start` returns when the server answers; `stop` also works from another process, by the pid in the
folder; what a server holds outlives `stop`.
Does not: find programs or keep processes (gateway.demo.processes does), nor serve outside 127.0.0.1.
"""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from directory import slapd
from gateway.demo.processes import (
    LOOPBACK,
    Account,
    Process,
    Programs,
    ServerTrouble,
    account,
    claim,
    free_port,
    give,
    new_folder,
    place,
    programs,
    require_free,
    require_reachable,
)
from gateway.install import dovecot

__all__ = ["Dovecot", "ServerTrouble", "Slapd", "free_port", "new_folder"]

SOCKET_PATH_MAX = 107
"""Octets of a Unix socket's path, sun_path less its NUL (unix(7))."""

_DOVECOT_MODULES = b"/usr/lib/dovecot/modules"


@dataclass(frozen=True)
class Slapd:
    """A private OpenLDAP server; `load` comes before the first `start`."""

    folder: Path
    port: int
    suffix: str
    passwords: slapd.Passwords
    max_bytes: int = 1 << 30
    """The most that the database may grow to."""
    provider: slapd.Provider | None = None
    """This one is that one's replica; it is started without `load`."""

    @property
    def uri(self) -> str:
        return f"ldap://{LOOPBACK}:{self.port}"

    @property
    def relay_dn(self) -> str:
        return f"{slapd.RELAY},{self.suffix}"

    @property
    def people_dn(self) -> str:
        return f"{slapd.PEOPLE},{self.suffix}"

    def load(self, ldif: str | Iterable[str]) -> None:
        """Replaces everything, offline: the tree's fixed entries, then `ldif`."""
        who, software = account(), programs("slapd")
        folder = claim(self.folder, who)
        shutil.rmtree(folder / "data", ignore_errors=True)
        conf = self._prepare(folder, software, who)
        source = place(folder, "load.ldif", slapd.foundation(self.suffix, self.passwords).encode(), who)
        with source.open("a", encoding="utf-8") as file:
            file.writelines([ldif] if isinstance(ldif, str) else ldif)
        # slapadd is slapd by another name (slapadd(8)); -q: no sync at each entry, the database is new.
        done = subprocess.run(
            [software.path("slapadd"), "-q", "-f", conf, "-l", source],
            env=software.environment(),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            user=who.uid if who.dropped else None,
            group=who.gid if who.dropped else None,
            extra_groups=[] if who.dropped else None,
        )
        source.unlink()
        if done.returncode:
            last = " / ".join(done.stderr.splitlines()[-3:])
            raise ServerTrouble(f"L'annuaire n'a pas pu être chargé : {last}")

    def start(self) -> None:
        who, software = account(), programs("slapd")
        folder = claim(self.folder, who)
        require_free(self.port)
        conf = self._prepare(folder, software, who)
        process = Process(folder)
        command = [str(software.path("slapd")), "-h", self.uri, "-f", str(conf), "-d", "0"]
        process.launch(command, software.environment(), who)
        process.wait_ready({self.port: b""}, "slapd", [folder / "server.log"])

    def stop(self) -> None:
        Process(self.folder.resolve()).stop(signal.SIGINT)

    @property
    def pid(self) -> int | None:
        return Process(self.folder.resolve()).pid()

    def _prepare(self, folder: Path, software: Programs, who: Account) -> Path:
        require_reachable(software.openldap.modules, who)
        conf = slapd.prepare(folder, self.suffix, software.openldap, self.max_bytes, self.provider)
        for path in (conf, folder / "pli.schema", folder / "data"):
            give(path, who)
        return conf


# Dovecot 2.3. Every login service has an empty chroot, since chroot(2) needs root.
_DOVECOT_CONF = """\
base_dir = {folder}/run
state_dir = {folder}/state
libexec_dir = {home}
mail_plugin_dir = {home}/modules
log_path = {folder}/dovecot.log
{common}listen = 127.0.0.1
hostname = {hostname}
import_environment = LD_LIBRARY_PATH
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
default_vsz_limit = 512M
mail_uid = {user}
mail_gid = {group}
mail_home = {folder}/mail/%d/%n
login_trusted_networks =
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
passdb {{
  driver = passwd-file
  args = username_format=%Lu {accounts}
}}
userdb {{
  driver = passwd-file
  args = username_format=%Lu {accounts}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap_port}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap-urlauth-login {{
  chroot =
}}
service anvil {{
  chroot =
}}
service lmtp {{
  process_min_avail = 1
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp_port}
  }}
}}
"""

# As docs/operations.md has it: tokens and passes are judged by the node's doors (RFC 7662).
_TOKENS = """\
auth_mechanisms = plain login xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/pli-oauth2.conf
}}
"""
_OAUTH2 = """\
introspection_url = http://127.0.0.1:{port}/introspection
introspection_mode = post
username_attribute = username
username_format = %Lu
active_attribute = active
active_value = true
"""


@dataclass(frozen=True)
class Dovecot:
    """A private IMAP and LMTP server over `accounts`, a passwd-file of addresses (user:{SCHEME}hash::::::), or a folder
    with one for each domain, named like it.

    Accounts, certificate (PEM chain) and key (PEM) are read at `start`. IMAP offers STARTTLS; Dovecot takes
    loopback for a safe place and would also let a client log in without. LMTP answers per recipient, 550 to
    those unknown, and puts Return-Path, Delivered-To and Received on top of what it stores.
    """

    folder: Path
    imap_port: int
    lmtp_port: int
    accounts: Path
    certificate: Path
    key: Path
    hostname: str = "localhost"
    imaps_port: int = 0
    """IMAP with TLS from the first byte; 0: not offered."""
    introspection: int = 0
    """Port of the doors that judge tokens; 0: nobody logs in with one."""

    def start(self) -> None:
        who, software = account(), programs("dovecot")
        folder = claim(self.folder, who)
        require_reachable(software.dovecot_home, who)
        require_free(self.imap_port, self.lmtp_port)
        _require_short(folder)
        _require_pair(self.certificate, self.key)
        conf = self._prepare(folder, software, who)
        libraries = [_own_library(folder, software, who)] if software.unpacked else []
        # Dovecot would run doveconf at its installed path; doveconf can be the one to begin (doveconf(1) -e).
        command = [software.path("doveconf"), "-c", conf, "-m", "master", "-e"]
        command += [software.path("dovecot"), "-F", "-c", conf]
        process = Process(folder)
        process.launch([str(word) for word in command], software.environment(*libraries), who)
        logs = [folder / "server.log", folder / "dovecot.log"]
        process.wait_ready({self.imap_port: b"* OK", self.lmtp_port: b"220"}, "Dovecot", logs)

    def stop(self) -> None:
        # Asked alone, the master would wait a second for its logger.
        Process(self.folder.resolve()).stop(whole=True)

    @property
    def pid(self) -> int | None:
        return Process(self.folder.resolve()).pid()

    def _prepare(self, folder: Path, software: Programs, who: Account) -> Path:
        # Of a master that was killed; its number may be somebody else's by now.
        (folder / "run/master.pid").unlink(missing_ok=True)
        for name in ("run", "state", "mail"):
            (folder / name).mkdir(exist_ok=True)
            give(folder / name, who)
        for name, source in {"cert.pem": self.certificate, "key.pem": self.key}.items():
            place(folder, name, source.read_bytes(), who)
        text = _DOVECOT_CONF.format(
            common=dovecot.COMMON,
            folder=folder,
            accounts=_placed_accounts(folder, self.accounts, who),
            home=software.dovecot_home,
            hostname=self.hostname,
            user=who.name,
            group=who.group,
            imap_port=self.imap_port,
            lmtp_port=self.lmtp_port,
            imaps_port=self.imaps_port,
        )
        if self.introspection:
            place(folder, "pli-oauth2.conf", _OAUTH2.format(port=self.introspection).encode(), who)
            text += _TOKENS.format(folder=folder)
        return place(folder, "dovecot.conf", text.encode(), who)


def _placed_accounts(folder: Path, accounts: Path, who: Account) -> str:
    """The file; or one for each domain, so that none of them lets anybody in at another domain."""
    if not accounts.is_dir():
        place(folder, "accounts", accounts.read_bytes(), who)
        return f"{folder}/accounts"
    (folder / "accounts").mkdir(exist_ok=True)
    give(folder / "accounts", who)
    for file in accounts.iterdir():
        place(folder / "accounts", file.name, file.read_bytes(), who)
    return f"{folder}/accounts/%Ld"


def _require_short(folder: Path) -> None:
    longest = folder / "run/token-login/imap-urlauth"
    if len(os.fsencode(longest)) > SOCKET_PATH_MAX:
        raise ServerTrouble(
            f"Le chemin {folder} est trop long pour les sockets de Dovecot : choisissez-en un plus court."
        )


def _require_pair(certificate: Path, key: Path) -> None:
    """Dovecot itself would start, and fail at each STARTTLS."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ValueError) as trouble:
        raise ServerTrouble(f"Le certificat {certificate} ou sa clé ne peut pas servir : {trouble}") from None


def _own_library(folder: Path, software: Programs, who: Account) -> Path:
    """A libdovecot which looks for its modules (TLS is one) below base_dir, where login processes work.

    The installed path is compiled in, no setting changes it; the copy names the relative `modules` instead.
    """
    libraries = folder / "lib"
    libraries.mkdir(exist_ok=True)
    give(libraries, who)
    original = (software.dovecot_home / "libdovecot.so.0").read_bytes()
    compiled = b"\0" + _DOVECOT_MODULES + b"\0"
    relative = b"\0modules".ljust(len(compiled), b"\0")
    place(libraries, "libdovecot.so.0", original.replace(compiled, relative), who)
    link = folder / "run/modules"
    link.unlink(missing_ok=True)
    link.symlink_to(software.dovecot_home / "modules")
    return libraries
