"""Who plays in the demo: two invented operators, their people, and the addresses of their mailboxes.

Promises: everything here is invented, under .example; the patient is the published test patient (directory §14).
Does not: make keys or start anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from directory.address import parse
from directory.model import Capabilities, Entry, Kind
from dmp_bridge.model import Author, Code

LILAS = "imagerie-des-lilas.mssante.example"
PARC = "clinique-du-parc.mssante.example"


@dataclass(frozen=True)
class Operator:
    """One operator of the trust space: a Pli of its own."""

    name: str
    domain: str
    organisation: str
    finess: str
    department: str
    town: str
    postal_code: str
    mailboxes: tuple[Entry, ...] = field(default=())

    @property
    def unit(self) -> str:
        """National structure identifier, '1' + FINESS (operator §2.2)."""
        return f"1{self.finess}"

    @property
    def hostname(self) -> str:
        return f"mss.{self.domain}"


def _person(address: str, title: str, given: str, family: str, rpps: str, specialty: str, who: Operator) -> Entry:
    return Entry(
        address=parse(address),
        kind=Kind.PER,
        display_name=f"{title} {given} {family}",
        family_name=family,
        given_name=given,
        title=title,
        rpps=rpps,
        finess=who.finess,
        structure=who.organisation,
        specialty=specialty,
        town=who.town,
        postal_code=who.postal_code,
        capabilities=Capabilities(xdm=True, smime=True, mdn=True),
    )


def _shared(address: str, kind: Kind, name: str, service: str, who: Operator) -> Entry:
    return Entry(
        address=parse(address),
        kind=kind,
        display_name=name,
        finess=who.finess,
        structure=who.organisation,
        service=service,
        town=who.town,
        postal_code=who.postal_code,
        capabilities=Capabilities(xdm=True, smime=True, mdn=True),
    )


_LILAS = Operator("lilas", LILAS, "IMAGERIE DES LILAS", "930000017", "Seine-Saint-Denis (93)", "Les Lilas", "93260")
_PARC = Operator("parc", PARC, "CLINIQUE DU PARC", "750000028", "Paris (75)", "Paris", "75019")

RADIOLOGIST = _person(f"claire.moreau@{LILAS}", "Dr", "Claire", "MOREAU", "10100000017", "Radiodiagnostic", _LILAS)
RIS = _shared(f"ris@{LILAS}", Kind.APP, "Imagerie des Lilas - RIS", "Comptes rendus", _LILAS)
SURGEON = _person(f"paul.bernard@{PARC}", "Dr", "Paul", "BERNARD", "10100000025", "Chirurgie orthopédique", _PARC)
SECRETARIAT = _shared(
    f"secretariat.orthopedie@{PARC}",
    Kind.ORG,
    "Clinique du Parc - Secrétariat d'orthopédie",
    "Orthopédie",
    _PARC,
)

OPERATORS = {
    "lilas": Operator(**{**_LILAS.__dict__, "mailboxes": (RADIOLOGIST, RIS)}),
    "parc": Operator(**{**_PARC.__dict__, "mailboxes": (SURGEON, SECRETARIAT)}),
}

PASSWORD = "un-mot-de-passe-de-demonstration"  # noqa: S105  # invented accounts on loopback


def author_of(entry: Entry, who: Operator) -> Author:
    """The person as the author of a document: PS_IdNat '8' + RPPS, Struct_IdNat '1' + FINESS (payload §2.3)."""
    return Author(
        person_id=f"8{entry.rpps}",
        family_name=entry.family_name,
        given_name=entry.given_name,
        institution_id=who.unit,
        institution_name=who.organisation,
        specialty=Code("G15_10/SM44", "1.2.250.1.213.1.1.4.5", "Médecin - Radio-diagnostic (SM)"),
    )
