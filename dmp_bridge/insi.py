"""INSi, the national teleservice that knows matricules: asked by traits, and what its answer may change here.

Promises: off unless the deployer turns it on; an answer counts only where it is one identity, whose traits are those
that were asked and whose matricule has a key that holds; retrieved is not qualified: a person must have validated the
identity. Does not: read a Vitale card, make the assertion that the service asks for (the deployer's card or structure
signs it, and it is handed in), or write to the register.

Read of public samples alone (spec/dossier.md §6.3); endpoints and the assertion's form are the deployer's to know.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

import httpx
from lxml import etree

from certs import tls, xml
from certs.model import Clock
from dmp_bridge import cda
from dmp_bridge.matching import plain
from dmp_bridge.model import INS_ROOTS, Ins, InsStatus, Patient, Traits
from relay.model import Later, Never

ACTION = "urn:ServiceIdentiteCertifiee:1.0.0:rechercherInsAvecTraitsIdentite"
INSI_OUT = tls.Role("insi-out", serves=False, theirs=ssl.CERT_REQUIRED, names=True)
MAX_BYTES = 256 * 1024

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_WSA = "http://www.w3.org/2005/08/addressing"
_ASKED = "http://www.cnamts.fr/INSiRecSans"
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_ONE, _NONE, _SEVERAL = "00", "01", "02"


@dataclass(frozen=True, repr=False)
class Identity:
    """What INSi says of one person."""

    ins: Ins
    traits: Traits


@dataclass(frozen=True)
class Unsure:
    """No single answer: other given names, or the birth place, may help. `several`: too many, not too few."""

    several: bool


Answer: TypeAlias = Identity | Unsure | Later | Never


@dataclass(frozen=True)
class Insi:
    """The teleservice, as one structure asks it. `assertion`: a signed SAML assertion for each question, or None."""

    url: str
    context: ssl.SSLContext
    software: str
    clock: Clock
    assertion: Callable[[], bytes] | None = None
    timeout_s: float = 20.0

    def ask(self, traits: Traits) -> Answer:
        """Whose matricule these traits are. Later where it does not answer, Never where no answer of it counts."""
        if not traits.complete:
            return Never("insi.incomplete")
        try:
            data = self._exchanged(self._question(traits))
        except (httpx.HTTPError, OSError) as error:
            return Later("insi.down", type(error).__name__)
        if data is None:
            return Later("insi.down", "too large, or an error")
        try:
            return _read(data, traits)
        except ValueError:
            return Never("insi.unreadable")

    def _exchanged(self, question: bytes) -> bytes | None:
        head = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{ACTION}"'}
        asking = httpx.Client(verify=self.context, timeout=self.timeout_s)
        with asking as client, client.stream("POST", self.url, content=question, headers=head) as answer:
            data = b""
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > MAX_BYTES:
                    return None
            return data if answer.status_code == httpx.codes.OK else None

    def _question(self, traits: Traits) -> bytes:
        envelope = etree.Element(f"{{{_SOAP}}}Envelope", nsmap={"soap": _SOAP, "wsa": _WSA})
        header = etree.SubElement(envelope, f"{{{_SOAP}}}Header")
        for name, value in (("Action", ACTION), ("MessageID", f"urn:uuid:{uuid.uuid4()}"), ("To", self.url)):
            etree.SubElement(header, f"{{{_WSA}}}{name}").text = value
        self._contexts(header)
        if self.assertion:
            etree.SubElement(header, f"{{{_WSSE}}}Security").append(xml.parse(self.assertion(), max_bytes=MAX_BYTES))
        body = etree.SubElement(etree.SubElement(envelope, f"{{{_SOAP}}}Body"), f"{{{_ASKED}}}RECSANSVITALE")
        assert traits.birth_date is not None
        for name, value in (
            ("NomNaissance", traits.birth_name.upper()),
            ("Prenom", traits.first_given_name.upper()),
            ("Sexe", traits.sex),
            ("DateNaissance", traits.birth_date.isoformat()),
        ):
            etree.SubElement(body, f"{{{_ASKED}}}{name}").text = value
        return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")

    def _contexts(self, header: etree._Element) -> None:
        """ContexteBAM 01_02 and ContexteLPS 01_00: who asks, when, with which software."""
        at, asked = self.clock().isoformat(timespec="seconds"), str(uuid.uuid4())
        for name, version in (("ContexteBAM", "01_02"), ("ContexteLPS", "01_00")):
            context = etree.SubElement(header, name, Version=version)
            for each, value in (("Id", asked), ("Temps", at), ("Emetteur", self.software)):
                etree.SubElement(context, each).text = value


# --- what it says ---------------------------------------------------------------------------------------------------


def _read(data: bytes, asked: Traits) -> Answer:
    """By local names: the namespaces of the answers are not public. Raises ValueError for what is no answer."""
    root = xml.parse(data, max_bytes=MAX_BYTES)
    code = _text(root, "CodeCR")
    if code in (_NONE, _SEVERAL):
        return Unsure(several=code == _SEVERAL)
    if code != _ONE:
        # The code is theirs; their words may name the patient
        return Never("insi.refused", code if code.isalnum() and len(code) <= 16 else "")
    people = _each(root, "INDIVIDU")
    if len(people) != 1:
        raise ValueError("one answer, one person")
    found = _identity(people[0], asked)
    if not (found.ins.root in INS_ROOTS and cda.well_formed(found.ins)):
        return Never("insi.contradicts", "matricule")
    wrong = [name for name in ("birth_name", "birth_date", "sex") if _plain(found.traits, name) != _plain(asked, name)]
    if plain(found.traits.first_given_name) != plain(asked.first_given_name):
        wrong.append("first_given_name")
    return Never("insi.contradicts", ",".join(wrong)) if wrong else found


def _identity(person: etree._Element, asked: Traits) -> Identity:
    active = next(iter(_each(person, "INSACTIF")), person)
    ins = Ins(_text(active, "NumIdentifiant") + _text(active, "Cle"), _text(active, "OID"))
    given = _text(person, "Prenom")
    # A composed name has a space in capitals: the first of them is the one that was asked, where they begin with it
    first = asked.first_given_name if f"{plain(given)} ".startswith(f"{plain(asked.first_given_name)} ") else given
    born = date.fromisoformat(_text(person, "DateNaissance"))
    names = (_text(person, "NomNaissance"), first, given)
    return Identity(ins, Traits(*names, born, _text(person, "Sexe"), _text(person, "LieuNaissance")))


def _text(root: etree._Element, name: str) -> str:
    found = next(iter(_each(root, name)), None)
    return (found.text or "").strip() if found is not None else ""


def _each(root: etree._Element, name: str) -> list[etree._Element]:
    return [each for each in root.iter("*") if etree.QName(each).localname == name]


def _plain(traits: Traits, name: str) -> str:
    return plain(str(getattr(traits, name)))


def learned(patient: Patient, found: Identity) -> Patient:
    """The patient with what INSi says: its matricule and its traits. Validated by a person before, he is qualified now;
    else retrieved (RNIV)."""
    validated = patient.ins_status in (InsStatus.VALIDATED, InsStatus.QUALIFIED)
    status = InsStatus.QUALIFIED if validated else InsStatus.RETRIEVED
    return replace(patient, ins=found.ins, traits=found.traits, ins_status=status)
