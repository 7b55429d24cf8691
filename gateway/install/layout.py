"""Where each thing of a new node lies.

Promises: one place for each, so that configuration, servers, units and requests name the same. Does not: make anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.install.answers import Answers, House
from gateway.install.placing import Folder

NODE, MAIL, DIRECTORY = "pli", "pli-mail", "openldap"
"""Accounts of the machine: the node, the mailboxes, Debian's slapd."""
LMTP, LDAP, MONITOR = 24, 389, 9464
"""Ports on loopback."""
SUBMISSION, PEERS, IMAP, IMAPS = 587, 25, 143, 993


@dataclass(frozen=True)
class Layout:
    answers: Answers

    @property
    def config(self) -> Path:
        return self.answers.etc / "pli.toml"

    @property
    def record(self) -> Path:
        return self.answers.etc / "quickstart.json"

    @property
    def tls(self) -> Path:
        return self.answers.etc / "tls"

    @property
    def requests(self) -> Path:
        """What is sent to the authority: every request in one folder."""
        return self.answers.etc / "requests"

    @property
    def trust(self) -> Path:
        return self.answers.etc / "trust"

    @property
    def accounts(self) -> Path:
        """A file for each tenant, named like its domain; a further domain of its is a link to it."""
        return self.answers.etc / "accounts"

    @property
    def dovecot(self) -> Path:
        return self.answers.etc / "dovecot"

    @property
    def firewall(self) -> Path:
        return self.answers.etc / "firewall.nft"

    @property
    def records(self) -> Path:
        return self.answers.etc / "dns.zone"

    @property
    def slapd(self) -> Path:
        return self.answers.directory / "slapd.conf"

    @property
    def foundation(self) -> Path:
        return self.answers.directory / "foundation.ldif"

    def home(self, house: House) -> Path:
        return self.answers.etc / house.name

    def keys(self, house: House) -> Path:
        return self.home(house) / "keys"

    def accounts_of(self, house: House) -> Path:
        return self.accounts / house.domains[0]

    def folders(self) -> tuple[Folder, ...]:
        told = self.answers
        return (
            # Dovecot and slapd pass through; what is secret below is closed by itself.
            Folder(told.etc, 0o711, NODE),
            Folder(self.tls, 0o700, NODE),
            Folder(self.requests, 0o755, NODE),
            *(Folder(each, 0o755, NODE) for each in (self.trust, *self._trusted())),
            Folder(self.accounts, 0o750, NODE),
            Folder(self.dovecot, 0o755),
            *(Folder(each, 0o700, NODE) for house in told.tenants for each in self._kept(house)),
            Folder(told.data, 0o700, NODE),
            Folder(told.mail, 0o700, MAIL),
            Folder(told.directory, 0o700, DIRECTORY),
            Folder(told.directory / "data", 0o700, DIRECTORY),
            Folder(told.sysusers),
            Folder(told.units),
        )

    def _trusted(self) -> tuple[Path, ...]:
        return tuple(self.trust / name for name in ("anchors", "intermediates", "crls"))

    def _kept(self, house: House) -> tuple[Path, ...]:
        keys = self.keys(house)
        return (self.home(house), keys, *(keys / name for name in ("mailbox", "seal", "decrypt")))
