"""A private nsd, unprivileged, on loopback, that knows the zones it is given as data, and nothing else.

Promises: `start` returns when it answers; `stop` also works from another process. What it does not hold it refuses
(RCODE 5); a zone told as broken it answers SERVFAIL. Does not: look anything up for others (it is authoritative only),
nor serve outside 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.processes import LOOPBACK, Account, Process, account, claim, place, programs, require_free

# rrl: no limit of answers, since all questions come from one address.
_CONF = """\
server:
  server-count: 1
  ip-address: {address}@{port}
  do-ip6: no
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: ""
  zonelistfile: "{folder}/zone.list"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  hide-version: yes
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"""
_ZONE = """\
zone:
  name: "{name}"
  zonefile: "{file}"
"""
# RFC 2308 §4: the last number is how long "no" may be kept.
_HEAD = """\
$ORIGIN {name}.
$TTL {ttl}
@ IN SOA ns.invalid. nobody.invalid. 1 3600 600 86400 {ttl}
@ IN NS ns.invalid.
"""


@dataclass(frozen=True)
class Record:
    """One record. `name`: relative to its zone, '@' for the zone's own; names in `data` end with a dot."""

    name: str
    kind: str
    data: str
    ttl: int = 60


@dataclass(frozen=True)
class NameServer:
    folder: Path
    port: int
    zones: Mapping[str, Sequence[Record]]
    """Zone, without a final dot -> its records; an end (SOA, NS) is put to each."""
    broken: Sequence[str] = field(default=())
    """Zones that it is told to hold and has nothing of: SERVFAIL."""

    @property
    def at(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        who, software = account(), programs("nsd")
        folder = claim(self.folder, who)
        require_free(self.port)
        conf = self._prepare(folder, who)
        process = Process(folder)
        process.launch([str(software.path("nsd")), "-d", "-c", str(conf)], software.environment(), who)
        process.wait_ready({self.port: b""}, "nsd", [folder / "server.log"])

    def stop(self) -> None:
        Process(self.folder.resolve()).stop()

    @property
    def pid(self) -> int | None:
        return Process(self.folder.resolve()).pid()

    def _prepare(self, folder: Path, who: Account) -> Path:
        text = _CONF.format(address=LOOPBACK, port=self.port, folder=folder)
        for number, (name, records) in enumerate(self.zones.items()):
            place(folder, f"{number}.zone", zone(name, records).encode(), who)
            text += _ZONE.format(name=name, file=f"{number}.zone")
        for name in self.broken:
            text += _ZONE.format(name=name, file="absent.zone")
        return place(folder, "nsd.conf", text.encode(), who)


def zone(name: str, records: Sequence[Record], ttl: int = 60) -> str:
    """A zone file (RFC 1035 §5)."""
    lines = [f"{each.name} {each.ttl} IN {each.kind} {each.data}" for each in records]
    return _HEAD.format(name=name, ttl=ttl) + "".join(f"{line}\n" for line in lines)
