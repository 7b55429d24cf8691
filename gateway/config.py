"""A node's configuration: one TOML file, each key overridden by PLI_SECTION__KEY in the environment.

Promises: an unknown key, a missing file or a value of the wrong shape is a ConfigError of one sentence that says where
and what to do; the harmful set-ups (relay for all, login without TLS, peer without a white list) cannot be written.
Where several tenants share the node, `views` answers one Settings for each, in which nothing is another's.
Does not: hold secrets, which lie in files of their own, named here.
"""

from __future__ import annotations

import difflib
import ssl
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from gateway import tenants
from gateway.administration_section import AdministrationSection, LifecycleSection, PublicationSection
from gateway.cda_section import CdaSection
from gateway.clients_section import ClientsSection
from gateway.directory_section import DirectorySection, FhirSection, NationalSection
from gateway.dns_section import DnsSection
from gateway.feed_section import FeedSection
from gateway.hl7_section import Hl7Section
from gateway.identities_section import IdentitiesSection
from gateway.insi_section import InsiSection
from gateway.monitor_section import MonitorSection
from gateway.policy_section import PolicySection
from gateway.store_section import StoreSection
from gateway.tenants_section import Accounts as Accounts
from gateway.tenants_section import CollectSection as CollectSection
from gateway.tenants_section import Delivery as Delivery
from gateway.tenants_section import DossierSection as DossierSection
from gateway.tenants_section import KeeperSection as KeeperSection
from gateway.tenants_section import ProviderSection as ProviderSection
from gateway.tenants_section import Section as Section
from gateway.tenants_section import TenantSection as TenantSection
from gateway.tenants_section import Tls as Tls
from gateway.web_section import WebSection
from relay.peering import Unsure
from relay.scan import Act

MINIMUMS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ConfigError(Exception):
    """The configuration cannot be used; the text is for the operator."""


class Listen(Section):
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)


class NodeSection(Section):
    name: str = Field(description="Short name of this node, for logs and the journal.")
    hostname: str = Field(description="Name said in SMTP greetings and trace fields.")
    tenant: str = Field(
        default="", description="Establishment, practice or network that this node serves; needed where it is one."
    )
    domains: tuple[str, ...] = Field(
        default=(), description="Mail domains whose mailboxes are here; needed where the node serves one tenant."
    )
    establishment: str = Field(default="", description="Struct_IdNat, e.g. 1 + FINESS: who we are as an author.")
    facility: str = Field(default="SA08", description="Kind of place, JDV_J02: for documents composed here.")
    practice_setting: str = Field(default="AMBULATOIRE", description="JDV_J04: for documents composed here.")
    product_number: str = Field(default="PLI-DEMO", description="X-MSS-NIL (payload §1.4).")


class Paths(Section):
    data: Path = Field(description="Database and sealed bodies. On a local disk, backed up.")
    run: Path = Field(description="Sockets and pid files of this node's processes.")


class Doors(Section):
    peers: Listen | None = Field(default=None, description="SMTP between operators (25).")
    submission: Listen | None = Field(default=None, description="SMTP of mail clients (587).")
    client_certificates: bool = Field(
        default=False, description="Submission asks for a client certificate too: AUTH EXTERNAL of applications."
    )
    introspection: Listen | None = Field(
        default=None, description="Dovecot asks here whom a token lets in (RFC 7662); on loopback only."
    )
    autoconfig: bool = Field(
        default=False, description="Serve configuration files of mail clients at doors.introspection too."
    )
    workers: int = Field(default=1, ge=1, le=64, description="Door processes sharing the ports.")
    max_bytes: int = Field(default=36_700_160, ge=65_536, description="ESMTP SIZE; 25 MB once in base64.")
    max_recipients: int = Field(default=100, ge=1, le=1000)
    sessions: int = Field(default=500, ge=1, le=100_000, description="At once, in each door process.")
    sessions_of_block: int = Field(default=100, ge=1, description="Of them from one address block (/24, /64).")
    letters_per_minute: int = Field(default=12_000, ge=1, description="Begun from one address block, each process.")

    @model_validator(mode="after")
    def on_loopback(self) -> Doors:
        at = self.introspection
        if at and at.host not in ("127.0.0.1", "::1"):
            raise ValueError(f"introspection opens on 127.0.0.1 or ::1 only, not on {at.host}")
        if self.autoconfig and at is None:
            raise ValueError("autoconfig is served at introspection: name its port")
        return self


class Trust(Section):
    folder: Path = Field(description="anchors/, intermediates/ and crls/ in PEM or DER.")
    white_list: Path = Field(description="Signed white list (liste blanche), XML.")
    white_list_signer: str = Field(
        default="alb@mssante.fr", description="rfc822Name that the list's signer must carry."
    )
    white_list_max_age_hours: int = Field(default=72, ge=1, description="Then nothing goes out and peers wait.")
    white_list_alarm_hours: int = Field(default=24, ge=1, description="Then the log says so.")
    white_list_url: str = Field(
        default="",
        pattern=r"^(https?://.+)?$",
        description="Where a new list is fetched from; empty: somebody else puts the file there.",
    )
    white_list_poll_s: float = Field(default=3600.0, ge=1, description="Between two looks, with jitter.")
    white_list_kept: int = Field(default=30, ge=1, description="Lists of the past that are kept in paths.data.")
    fetch: bool = Field(
        default=True, description="Fetch the CRLs and OCSP answers that certificates name, in a process of its own."
    )
    fetch_from: tuple[str, ...] = Field(
        default=(), description="host:port that may be fetched from though it is not public: a mirror, a test."
    )
    cache: Path | None = Field(default=None, description="What was fetched; by default revocation/ in paths.data.")
    grace_hours: float = Field(
        default=4, ge=0, le=168, description="How long a CRL or OCSP answer that is over still counts, marked."
    )
    cannot_tell: Unsure = Field(
        default=Unsure.DEFER,
        description="A peer whose revocation is unknown: defer, refuse, or accept-marked (marked in the journal).",
    )

    @field_validator("fetch_from")
    @classmethod
    def host_and_port(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        for place in places:
            host, _, port = place.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"'{place}' is no host:port")
        return places


class CarrierSection(Section):
    threads: int = Field(default=16, ge=1, le=256)
    per_target: int = Field(default=8, ge=1, description="Letters at once towards one destination.")
    lease_s: float = Field(default=30.0, ge=1, description="How long a letter stays with a worker that died.")
    retry_s: tuple[float, ...] = Field(
        default=(30, 120, 300, 900, 1800, 3600), min_length=1, description="Pauses between attempts; the last repeats."
    )
    lifetime_s: float = Field(default=5 * 86400, gt=0, description="Then a letter is given up (RFC 5321 §4.5.4.1).")
    warn_s: float = Field(
        default=4 * 3600, ge=0, description="So long unsettled, and its sender is warned, once; 0: never."
    )
    silent_s: float = Field(
        default=3 * 86400,
        ge=0,
        description="So long without the receipt that was asked for, and it is shown as 'sans nouvelle'; 0: never.",
    )


class ScanSection(Section):
    """Malware scan by clamd."""

    socket: Path | None = Field(default=None, description="clamd's LocalSocket.")
    host: str = Field(default="", description="Or clamd's TCP address, on a network of your own: nothing is encrypted.")
    port: int = Field(default=3310, ge=1, le=65535)
    timeout_s: float = Field(default=60.0, gt=0)
    stale_hours: int = Field(default=72, ge=1, description="Signatures older than this are stale.")
    own_signatures: bool = Field(default=False, description="Rely on signatures of your own, which have no date.")
    when_down: Act = Act.DEFER
    when_no_database: Act = Act.DEFER
    when_stale: Act = Act.MARK
    when_too_large: Act = Act.MARK
    when_failed: Act = Act.DEFER

    @model_validator(mode="after")
    def one_address(self) -> ScanSection:
        if (self.socket is None) == (not self.host):
            raise ValueError("name socket or host, one of them")
        return self


class RetentionSection(Section):
    bodies_days: float = Field(
        default=30.0, ge=0, description="A letter's sealed bytes are erased so long after its last recipient settled."
    )
    tenants: dict[str, float] = Field(default_factory=dict, description="TENANT = days, where a tenant's are others.")


class JournalSection(Section):
    heads: Path | None = Field(
        default=None,
        description="Where sealed heads are kept; paths.data/heads otherwise. Copy them to another machine.",
    )
    seal_every_s: float = Field(default=3600.0, ge=1)


class Log(Section):
    level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    file: Path | None = None


NOT_THIS_ONES: Any = None
"""In the whole settings of a node with several tenants, in the place of what is a tenant's: whoever forgets to ask
for a view fails, and reaches nobody's keys."""


class Settings(BaseSettings):
    """Everything one node is told; or, of a node with several tenants, one tenant's view of it (`views`).
    `docs/configuration.md` is made from these descriptions."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="PLI_", env_nested_delimiter="__", toml_file=None
    )

    node: NodeSection
    paths: Paths
    doors: Doors
    tls: Tls
    trust: Trust
    directory: DirectorySection
    national: NationalSection | None = None
    fhir: FhirSection | None = None
    delivery: Delivery
    keeper: KeeperSection = Field(
        default=NOT_THIS_ONES, validate_default=False, description="Needed where the node serves one tenant."
    )
    accounts: Accounts = Field(
        default=NOT_THIS_ONES, validate_default=False, description="Needed where the node serves one tenant."
    )
    provider: ProviderSection | None = None
    peers: dict[str, str] = Field(default_factory=dict, description="domain = host:port, instead of an MX look-up.")
    dns: DnsSection = DnsSection()
    clients: ClientsSection = ClientsSection()
    policy: PolicySection = PolicySection()
    dossier: DossierSection | None = None
    dossiers: dict[str, DossierSection] = Field(
        default_factory=dict, description="NAME = a further dossier host, which patients may choose."
    )
    cda: CdaSection = CdaSection()
    carrier: CarrierSection = CarrierSection()
    journal: JournalSection = JournalSection()
    retention: RetentionSection = RetentionSection()
    store: StoreSection = StoreSection()
    scan: ScanSection | None = None
    collect: dict[str, CollectSection] = Field(
        default_factory=dict, description="NAME = a mailbox at another operator that is collected from."
    )
    hl7: Hl7Section | None = None
    identities: IdentitiesSection | None = None
    insi: InsiSection | None = None
    feed: FeedSection | None = None
    administration: AdministrationSection | None = None
    lifecycle: LifecycleSection = LifecycleSection()
    publication: PublicationSection = PublicationSection()
    log: Log = Log()
    monitor: MonitorSection | None = None
    web: WebSection | None = None
    tenants: dict[str, TenantSection] = Field(
        default_factory=dict,
        description="Where the node serves several: NAME = what is that tenant's, instead of node.tenant and the rest.",
    )

    @model_validator(mode="after")
    def each_his_own(self) -> Settings:
        """One tenant, or several that share nothing. Raises tenants.Clash."""
        tenants.together(self)
        return self

    @property
    def views(self) -> tuple[Settings, ...]:
        """One tenant's settings each, as if it were alone on the node."""
        return tuple(tenants.view(self, name) for name in self.tenants) or (self,)

    def view(self, tenant: str) -> Settings:
        """One tenant's settings; `tenant` may be empty where there is but one. Raises ConfigError."""
        by_name = {each.node.tenant: each for each in self.views}
        if not tenant and len(by_name) == 1:
            return self.views[0]
        if tenant not in by_name:
            known = ", ".join(by_name)
            said = f"no tenant '{tenant}' on this node" if tenant else "this node serves several tenants"
            raise ConfigError(f"{said}: name one of {known} with --tenant")
        return by_name[tenant]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def file(self) -> Path | None:
        """Where it was read; None where it was made otherwise."""
        return self.model_config.get("toml_file")  # type: ignore[return-value]  # load() gives one path

    @property
    def database_url(self) -> str:
        return self.store.url or f"sqlite:///{self.paths.data / 'pli.sqlite'}"

    @property
    def revocation_cache(self) -> Path:
        return self.trust.cache or self.paths.data / "revocation"

    @property
    def spool_socket(self) -> Path:
        return self.paths.run / "spool.sock"

    @property
    def pass_key(self) -> Path:
        return self.paths.run / "pass.key"

    @property
    def keeper_socket(self) -> Path:
        return self.paths.run / "keeper.sock"


def load(path: Path) -> Settings:
    """Reads `path`; raises ConfigError with one sentence per fault."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file; name another with --config")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return FromFile()
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(path, fault) for fault in error.errors())) from None
    except tenants.Clash as error:
        raise ConfigError("\n".join(f"{path}: {each}" for each in error.sentences)) from None
    except ValueError as error:  # not TOML
        raise ConfigError(f"{path}: not readable as TOML: {error}") from None


def _sentence(path: Path, fault: Any) -> str:
    where = ".".join(str(step) for step in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{path}: unknown key '{where}'{_nearest(fault['loc'])}"
    if fault["type"] == "missing":
        return f"{path}: '{where}' is missing; docs/configuration.md describes it"
    return f"{path}: '{where}': {fault['msg']}"


def _nearest(where: tuple[str | int, ...]) -> str:
    model: Any = Settings
    for step in where[:-1]:
        field = model.model_fields.get(step) if hasattr(model, "model_fields") else None
        model = section(field.annotation) if field else None
    names = list(getattr(model, "model_fields", {}))
    near = difflib.get_close_matches(str(where[-1]), names, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known keys here: {', '.join(names)}"


def section(annotation: Any) -> Any:
    """The section class inside `X | None`."""
    choices = getattr(annotation, "__args__", (annotation,))
    return next((c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), None)
