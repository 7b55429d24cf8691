"""A private Postfix, unprivileged, on loopback: another make of operator's relay, which asks for client certificates.

Promises: `start` returns when it answers; `stop` also works from another process. Postfix's master wants root, and each
of its programs an account of its own: uid_wrapper and nss_wrapper (cwrap.org) let it believe in both, while the kernel
sees one account without rights. Does not: use anything of an installed Postfix, nor protect it from itself, for which
the accounts are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.processes import LOOPBACK, Account, Process, account, claim, give, place, programs, require_free

_QUEUES = [
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "maildrop",
    "pid",
    "private",
    "public",
    "saved",
    "trace",
]
# What uid_wrapper and nss_wrapper are told by; a Postfix program forgets whatever is not named here (postconf(5)).
_KEPT = (
    "MAIL_CONFIG", "MAIL_DEBUG", "MAIL_LOGTAG", "TZ", "LC_ALL", "LD_LIBRARY_PATH", "LD_PRELOAD", "UID_WRAPPER",
    "UID_WRAPPER_ROOT", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP",
    *(f"UID_WRAPPER_INITIAL_{each}" for each in ("RUID", "EUID", "SUID", "RGID", "EGID", "SGID", "GROUPS")),
    "UID_WRAPPER_INITIAL_GROUPS_COUNT",
)  # fmt: skip
_ACCOUNTS = """\
root:x:0:0::/:/bin/false
postfix:x:101:101::/:/bin/false
outsider:x:102:102::/:/bin/false
nobody:x:65534:65534::/:/bin/false
"""
_GROUP = "root:x:0:\npostfix:x:101:\noutsider:x:102:\npostdrop:x:103:\nnogroup:x:65534:\n"

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {home}/sbin
command_directory = {root}/usr/sbin
shlib_directory = {home}
meta_directory = {root}/etc/postfix
mail_owner = postfix
setgid_group = postdrop
default_privs = outsider
import_environment = {kept}
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
inet_interfaces = {address}
inet_protocols = ipv4
myhostname = {hostname}
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
# Every mailbox of the domain is one Maildir.
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
message_size_limit = 40000000
smtputf8_enable = {utf8}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtp_dns_support_level = disabled
transport_maps = inline:{{ {routes} }}
smtpd_tls_cert_file = {folder}/cert.pem
smtpd_tls_key_file = {folder}/key.pem
smtpd_tls_CAfile = {folder}/anchors.pem
smtpd_tls_loglevel = 1
smtp_tls_cert_file = {folder}/cert.pem
smtp_tls_key_file = {folder}/key.pem
smtp_tls_CAfile = {folder}/anchors.pem
smtp_tls_loglevel = 1
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = {names}
"""
# At the peers' port: a client certificate that the list names, by its fingerprint, and no relaying.
_MASTER = """\
{address}:{port} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_ask_ccert=yes
  -o smtpd_tls_req_ccert=yes
  -o {{ smtpd_client_restrictions = check_ccert_access inline:{{ {takes} }}, reject }}
  -o smtpd_relay_restrictions=reject_unauth_destination
{more}{address}:{inside} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
pickup unix n - n 60 1 pickup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_WAY = """\
{address}:{port} inet n - n - - smtpd
  -o content_filter={name}:[{address}]:{to}
{name} unix - - n - - smtp
"""


@dataclass(frozen=True)
class Way:
    """Another way out: what is handed in at `port` goes to port `to`, with this certificate, or without TLS."""

    name: str
    port: int
    to: int
    pair: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class Postfix:
    """`port` is for peers, TLS and a certificate that `takes` names; at `inside` anybody of this machine hands in."""

    folder: Path
    port: int
    inside: int
    domain: str
    hostname: str
    pair: tuple[Path, Path]
    """Certificate (PEM chain) and key, as server and as client."""
    anchors: Path
    takes: Sequence[str] = ()
    """SHA-256 fingerprints of peers' certificates, hexadecimal."""
    routes: Mapping[str, int] = field(default_factory=dict)
    """Domain -> port of its host."""
    names: Sequence[str] = ()
    """The names of which one must stand in the certificate of a host to which it writes."""
    ways: Sequence[Way] = ()
    utf8: bool = True
    """It offers SMTPUTF8."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of main.cf (postconf(5)), instead of what stands there or beside it."""
    smtpd: Mapping[str, str] = field(default_factory=dict)
    """The same, at `port` alone."""
    services: str = ""
    """Further lines of master.cf (master(5))."""

    def start(self) -> None:
        who, software = account(), programs("postconf")
        folder = claim(self.folder, who)
        ports = [self.port, self.inside, *(way.port for way in self.ways)]
        require_free(*ports)
        self._prepare(folder, software.root, who)
        home = software.root / "usr/lib/postfix"
        wrapped = {
            "LD_PRELOAD": "libuid_wrapper.so:libnss_wrapper.so",
            "UID_WRAPPER": "1",
            "UID_WRAPPER_ROOT": "1",
            "NSS_WRAPPER_PASSWD": f"{folder}/etc/passwd",
            "NSS_WRAPPER_GROUP": f"{folder}/etc/group",
        }
        process = Process(folder)
        command = [f"{home}/sbin/master", "-d", "-c", f"{folder}/etc"]
        process.launch(command, {**software.environment(home), **wrapped}, who)
        process.wait_ready(dict.fromkeys(ports, b"220"), "Postfix", [folder / "server.log", folder / "maillog"])

    def stop(self) -> None:
        Process(self.folder.resolve()).stop(whole=True)

    @property
    def pid(self) -> int | None:
        return Process(self.folder.resolve()).pid()

    def letters(self) -> list[bytes]:
        """What lies in the mailbox."""
        return [path.read_bytes() for path in sorted((self.folder / "mail/inbox/new").glob("*"))]

    def log(self) -> str:
        return (self.folder / "maillog").read_text("utf-8", "replace")

    def _prepare(self, folder: Path, root: Path, who: Account) -> None:
        for name in ("etc", "mail", "data", "queue", *(f"queue/{each}" for each in _QUEUES)):
            (folder / name).mkdir(exist_ok=True)
            give(folder / name, who)
        for name, source in (("cert.pem", self.pair[0]), ("key.pem", self.pair[1]), ("anchors.pem", self.anchors)):
            place(folder, name, source.read_bytes(), who)
        etc = folder / "etc"
        place(etc, "passwd", _ACCOUNTS.encode(), who)
        place(etc, "group", _GROUP.encode(), who)
        place(etc, "main.cf", self._main(folder, root).encode(), who)
        place(etc, "master.cf", (self._master() + self._ways(folder, who) + self.services).encode(), who)

    def _main(self, folder: Path, root: Path) -> str:
        routes = ", ".join(f"{{ {domain} = smtp:[{LOOPBACK}]:{port} }}" for domain, port in self.routes.items())
        text = _MAIN.format(
            folder=folder,
            root=root,
            home=root / "usr/lib/postfix",
            kept=" ".join(_KEPT),
            address=LOOPBACK,
            hostname=self.hostname,
            domain=self.domain,
            routes=routes,
            names=", ".join(self.names),
            utf8="yes" if self.utf8 else "no",
        )
        kept = [line for line in text.splitlines() if line.partition(" =")[0] not in self.settings]
        return "\n".join([*kept, *(f"{name} = {value}" for name, value in self.settings.items())]) + "\n"

    def _master(self) -> str:
        takes = ", ".join(f"{{ {_colons(each)} = permit }}" for each in self.takes or ("00",))
        more = "".join(f"  -o {name}={value}\n" for name, value in self.smtpd.items())
        return _MASTER.format(address=LOOPBACK, port=self.port, inside=self.inside, takes=takes, more=more)

    def _ways(self, folder: Path, who: Account) -> str:
        text = ""
        for way in self.ways:
            text += _WAY.format(address=LOOPBACK, port=way.port, name=way.name, to=way.to)
            if way.pair is None:
                text += "  -o smtp_tls_security_level=none\n"
                continue
            for name, source in zip(("cert", "key"), way.pair, strict=True):
                file = place(folder, f"{way.name}-{name}.pem", source.read_bytes(), who)
                text += f"  -o smtp_tls_{name}_file={file}\n"
        return text


def _colons(fingerprint: str) -> str:
    """As Postfix writes it: AB:CD:…"""
    upper = fingerprint.upper()
    return ":".join(upper[at : at + 2] for at in range(0, len(upper), 2))


def generator() -> list[str]:
    """The words that begin a command of smtp-source(1), Postfix's generator of letters."""
    software = programs("postconf")
    set_to = software.environment(software.root / "usr/lib/postfix")
    return ["env", *(f"{name}={value}" for name, value in set_to.items()), str(software.path("smtp-source"))]


def resolving(hosts: Path) -> dict[str, str]:
    """For the environment of a client, so that it finds the names of this file (hosts(5)) where it says."""
    root = programs("postconf").root
    library = next(root.glob("usr/lib/*-linux-gnu*/libnss_wrapper.so"))
    return {"LD_PRELOAD": str(library), "NSS_WRAPPER_HOSTS": str(hosts)}
