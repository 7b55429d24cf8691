"""What the machine needs around the node: accounts, units of systemd, a firewall.

Promises: the firewall is written, never applied; what is open in it is what the node offers to others, and the port by
which its administrator comes. Does not: start, enable or apply anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway import shipped
from gateway.install.layout import IMAP, IMAPS, LDAP, MAIL, NODE, PEERS, SUBMISSION, Layout
from gateway.install.placing import Piece

OPEN = (PEERS, SUBMISSION, IMAP, IMAPS)
"""To others."""

_SYSUSERS = """\
# Made by `pli quickstart`; see sysusers.d(5). One account for the node, one for the mailboxes.
u {node} - "Pli" {data}
u {mail} - "Pli mailboxes" {mailboxes}
"""

_FIREWALL = """\
#!/usr/sbin/nft -f
# Made by `pli quickstart`, not applied. Look at it, then: nft -c -f {file} && nft -f {file}
# It touches no table but its own; with another table beside it, what either drops is dropped.
table inet pli
delete table inet pli
table inet pli {{
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    ct state invalid drop
    iif "lo" accept
    meta l4proto {{ 1, 58 }} accept comment "ICMP and ICMPv6, by number: a bare Debian knows no names"
    tcp dport {ssh} accept comment "the administrator"
    tcp dport {{ {ports} }} accept comment "operators, mail clients, pages"
  }}
}}
"""

_DOVECOT = """\
# Made by `pli quickstart`: the node's own Dovecot, beside Debian's, which it takes the place of.
[Unit]
Description=Dovecot of Pli: mailboxes by IMAP and LMTP
After=network-online.target
Wants=network-online.target
Conflicts=dovecot.service dovecot.socket

[Service]
Type=simple
ExecStart=/usr/sbin/dovecot -F -c {conf}
ExecReload=/usr/bin/doveadm -c {conf} reload
RuntimeDirectory=pli-dovecot
PrivateTmp=yes
ProtectSystem=full
ProtectHome=yes
PrivateDevices=yes
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""

_SLAPD = """\
# Made by `pli quickstart`: the node's own slapd, beside Debian's, which it takes the place of.
[Unit]
Description=OpenLDAP of Pli: the directory
After=network-online.target
Wants=network-online.target
Conflicts=slapd.service
Before=pli.service

[Service]
Type=simple
User=openldap
Group=openldap
# The directory's fixed entries, once.
ExecStartPre=/bin/sh -c 'test -e {folder}/data/data.mdb || /usr/sbin/slapadd -f {conf} -l {foundation}'
ExecStart=/usr/sbin/slapd -d 0 -h ldap://127.0.0.1:{port}/ -f {conf}
AmbientCapabilities=CAP_NET_BIND_SERVICE
PrivateTmp=yes
ProtectSystem=full
ProtectHome=yes
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""


def sysusers(layout: Layout) -> Piece:
    told = layout.answers
    text = _SYSUSERS.format(node=NODE, mail=MAIL, data=told.data, mailboxes=told.mail)
    return Piece(told.sysusers / "pli.conf", text.encode())


def firewall(layout: Layout) -> Piece:
    told = layout.answers
    ports = ", ".join(str(each) for each in (*OPEN, told.pages_port, told.certificate_port) if each)
    text = _FIREWALL.format(file=layout.firewall, ssh=told.ssh_port, ports=ports)
    return Piece(layout.firewall, text.encode())


def units(layout: Layout) -> Iterator[Piece]:
    told = layout.answers
    slapd = _SLAPD.format(folder=told.directory, conf=layout.slapd, foundation=layout.foundation, port=LDAP)
    yield Piece(told.units / "pli-annuaire.service", slapd.encode())
    dovecot = _DOVECOT.format(conf=layout.dovecot / "dovecot.conf")
    yield Piece(told.units / "pli-dovecot.service", dovecot.encode())
    yield Piece(told.units / "pli.service", _node(layout).encode())


def _node(layout: Layout) -> str:
    """The unit that ships, with this node's command and configuration."""
    text = (shipped.folder() / "systemd" / "pli.service").read_text("utf-8")
    text = text.replace("/opt/pli/bin/pli --config /etc/pli/pli.toml", f"{layout.answers.program} -c {layout.config}")
    # Dovecot passes through the folder to the accounts; keys lie in folders that are closed by themselves.
    return text.replace("ConfigurationDirectoryMode=0700", "ConfigurationDirectoryMode=0711")
