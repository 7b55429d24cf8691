"""The settings that are a tenant's: at the top of the file where a node serves one, under [tenants.NAME] where several.

Promises: what belongs to one tenant (keys, accounts, dossier, mailboxes elsewhere) is never another's by default. Does
not: compare tenants (gateway.tenants does).
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from certs.tls import CIPHERS_1_2
from dmp_bridge import norms
from gateway.clients_section import ClientsSection
from gateway.hl7_section import Hl7Section
from gateway.identities_section import IdentitiesSection
from gateway.insi_section import InsiSection
from gateway.policy_section import PolicySection


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(Section):
    certificate: Path = Field(description="PEM chain shown to peers and clients (SSL server); read again when renewed.")
    key: Path
    minimum: str = Field(default="1.2", pattern=r"^1\.[23]$", description="The oldest TLS version that is spoken.")
    ciphers: str = Field(
        default=CIPHERS_1_2, description="Suites of TLS 1.2, OpenSSL's list, best first; those of 1.3 are its own."
    )

    @field_validator("ciphers")
    @classmethod
    def strong_suites(cls, listed: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.set_ciphers(listed)
        except ssl.SSLError:
            raise ValueError("no suite of it is known here") from None
        weak = [each for each in context.get_ciphers() if each["strength_bits"] < 128 or each["auth"] == "auth-null"]
        if weak:
            raise ValueError(f"{weak[0]['name']} protects nothing")
        return listed


class Delivery(Section):
    lmtp_host: str = "127.0.0.1"
    lmtp_port: int = Field(ge=1, le=65535)


class KeeperSection(Section):
    folder: Path = Field(description="Signing keys, seal and body key. Readable by the keeper alone.")
    body_public_key: Path = Field(description="Public half of the body key: doors seal with it.")
    digest_key: Path = Field(description="Tenant key of body digests.")
    pseudonym_key: Path = Field(description="Tenant key of patients' pseudonyms.")


class Accounts(Section):
    file: Path = Field(description="passwd-file shared with Dovecot, so that one rule decides.")
    delegations: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="login -> further addresses it may send as."
    )
    application_passwords_only: bool = Field(
        default=False, description="An account's own password opens no mail: only application passwords and tokens do."
    )


class ProviderSection(Section):
    """An OpenID provider in the manner of Pro Santé Connect, whose tokens log in."""

    issuer: str = Field(description="Exactly as 'iss' says it.")
    audience: str = Field(description="Our client identifier, which 'aud' must hold.")
    keys_url: str = Field(pattern=r"^(https://|http://127\.0\.0\.1:).+", description="Its jwks_uri.")
    keys_held_hours: int = Field(default=24, ge=1, description="So long its keys count while it is down.")
    name: str = Field(default="Pro Santé Connect", min_length=1, description="How people know it: on the pages.")
    discovery_url: str = Field(
        default="",
        pattern=r"^(https://.+)?$",
        description="Its discovery document; with it people sign in at the pages there. Empty: they do not.",
    )
    secret_file: Path | None = Field(default=None, description="Our client secret, for signing in at the pages.")
    scope: str = Field(default="openid scope_all", pattern=r"(^| )openid( |$)", description="What is asked for there.")
    acr: tuple[str, ...] = Field(
        default=("eidas1",), description="Assurances of which the ID token must name one; empty: any."
    )
    authorities: Path | None = Field(
        default=None, description="PEM of who vouches for its servers; the system's authorities otherwise."
    )


class DossierSection(Section):
    name: str = "regional"
    url: str = Field(pattern=r"^https://.+", description="Base of the dossier host's services.")
    repository_id: str
    source_id: str = Field(description="OID of this sending system.")
    local_root: str = Field(default="", description="OID under which the establishment's own patient ids stand.")
    certificate: Path = Field(description="ORG AUTH_CLI, PEM chain.")
    key: Path
    institutions: tuple[str, ...] = Field(
        default=(), description="Struct_IdNat of further structures whose documents this node files."
    )
    files_incoming: bool = Field(default=False, description="File what peers send (regional rules only).")
    enabled: bool = True
    ins_root: str = "1.2.250.1.213.1.4.10"
    norm: str = Field(
        default="regional", description="What this kind of host asks: regional, regional-signed, national."
    )
    sector: str = Field(default="SA08", description="Secteur d'activité of the structure (SAxx), for assertions.")
    homologation_file: Path | None = Field(
        default=None, description="Holds the deployer's homologation number; the national norm needs it."
    )
    undo_hours: float = Field(default=72, ge=0, description="So long may a deposit be taken back.")
    tell_earlier: bool = Field(
        default=True, description="Earlier recipients get what replaces a document, or hear that it was taken back."
    )

    unannounced: Literal["wait", "hide"] = Field(
        default="wait",
        description="A result that a professional must announce first: 'wait' keeps it here until then; 'hide' "
        "deposits it hidden from its patient (INVISIBLE_PATIENT, which the host must honour) and shows it afterwards.",
    )

    @field_validator("norm")
    @classmethod
    def norm_is_known(cls, norm: str) -> str:
        if norm not in norms.names():
            raise ValueError(f"'{norm}' is none of: {', '.join(norms.names())}")
        return norm

    @model_validator(mode="after")
    def national_ships_disabled(self) -> DossierSection:
        """The national rules need a homologation that this software does not have (design §7)."""
        national = self.name == "national" or not norms.norm(self.norm).ships_enabled
        if national and (self.homologation_file is None or self.norm != "national"):
            raise ValueError("the national profile ships disabled: it needs the deployer's homologation")
        if self.files_incoming and not norms.norm(self.norm).incoming:
            raise ValueError("files_incoming: the norm of this host lets no incoming document be filed")
        if self.unannounced == "hide" and not (norms.norm(self.norm).updates and norms.norm(self.norm).reads):
            raise ValueError("unannounced: this kind of host lets us change no entry, so what was hidden stayed hidden")
        return self


class CollectSection(Section):
    """A mailbox of ours at another operator, whose letters are brought here."""

    host: str
    port: int = Field(default=993, ge=1, le=65535, description="IMAP over TLS (RFC 8314).")
    user: str = Field(description="Login there.")
    password_file: Path | None = None
    token_file: Path | None = Field(default=None, description="A bearer token (XOAUTH2), read anew at each login.")
    certificate: Path | None = Field(default=None, description="Client certificate, PEM chain; alone: SASL EXTERNAL.")
    key: Path | None = None
    authorities: Path | None = Field(
        default=None, description="PEM of who may vouch for the server; the anchors of trust.folder otherwise."
    )
    folder: str = "INBOX"
    to: str = Field(description="The mailbox of this node that gets the letters.")
    poll_s: float = Field(default=120.0, ge=1, description="Looked at so often, beside IDLE.")

    @model_validator(mode="after")
    def one_proof(self) -> CollectSection:
        if self.password_file and self.token_file:
            raise ValueError("name password_file or token_file, not both")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key come together")
        if not (self.password_file or self.token_file or self.certificate):
            raise ValueError("name password_file, token_file, or certificate with key")
        return self


class TenantSection(Section):
    """One of several tenants of a node: an establishment, a practice, a network. A section that is named here counts
    instead of the node's whole one."""

    domains: tuple[str, ...] = Field(description="Its mail domains; none is another tenant's.", min_length=1)
    hostname: str = Field(default="", description="Name said in its trace fields; node.hostname otherwise.")
    establishment: str = Field(default="", description="As node.establishment, for this tenant.")
    facility: str = Field(default="", description="As node.facility; that one otherwise.")
    practice_setting: str = Field(default="", description="As node.practice_setting; that one otherwise.")
    product_number: str = Field(default="", description="As node.product_number; that one otherwise.")
    keeper: KeeperSection = Field(description="Its keys, in a folder of its own.")
    accounts: Accounts = Field(description="Its logins, in a file of its own.")
    dossier: DossierSection | None = Field(default=None, description="Its dossier host, and its certificate there.")
    dossiers: dict[str, DossierSection] = Field(default_factory=dict, description="Its further dossier hosts.")
    collect: dict[str, CollectSection] = Field(default_factory=dict, description="Its mailboxes at other operators.")
    hl7: Hl7Section | None = Field(default=None, description="Its hospital's bus, at a port of its own.")
    identities: IdentitiesSection | None = Field(
        default=None, description="Its identity feed over HTTPS, at a port of its own."
    )
    insi: InsiSection | None = Field(default=None, description="INSi, with its own certificate.")
    tls: Tls | None = Field(default=None, description="A certificate of its own, shown to peers.")
    delivery: Delivery | None = Field(default=None, description="A mailbox server of its own.")
    policy: PolicySection | None = Field(default=None, description="What it wants of letters.")
    clients: ClientsSection | None = Field(default=None, description="How its mail clients find it.")
    provider: ProviderSection | None = Field(default=None, description="An OpenID provider of its own.")
