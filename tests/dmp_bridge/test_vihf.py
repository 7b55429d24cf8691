"""The assertion in each request's header: its two builders, and what a host that asks for it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from certs.model import Trusted
from certs.profiles import SEAL
from certs.throwaway import Pki
from certs.xml import verify_assertion
from dmp_bridge import ebrim, vihf
from dmp_bridge.host import callers
from dmp_bridge.model import Code, Document, FilingReason
from dmp_bridge.norms import Assertion, norm
from dmp_bridge.soap import WSSE, SoapRefused
from dmp_bridge.standing import Standing
from dmp_bridge.vihf import Professional, Software, Structure
from relay.model import Done, Never

NOW = datetime.now(UTC).replace(microsecond=0)
CX = "279035121518989^^^&1.2.250.1.213.1.4.10&ISO^NH"
STRUCTURE = Structure("1750000018", "SA08")
SOFTWARE = Software("Pli", "0.1.0", "", "HOMOLOGATION-SECRET")
PHYSICIAN = Professional(
    "810100000017",
    "Hélène LEROUX",
    (Code("10", "1.2.250.1.71.1.2.7", "Médecin"), Code("SM44", "1.2.250.1.71.4.2.5", "Radio-diagnostic")),
)
ASKED = replace(norm("regional"), assertion=Assertion.INDIRECT)


def made(site: Any, mode: str = "indirect", **told: Any) -> bytes:
    structure, signer, at = told.get("structure", STRUCTURE), told.get("signer", site.seal), told.get("at", NOW)
    if mode == "air":
        return vihf.air(structure, SOFTWARE, PHYSICIAN, CX, told.get("norm", ASKED), signer, at)
    return vihf.indirect(structure, SOFTWARE, CX, told.get("norm", ASKED), signer, at)


def values(assertion: bytes) -> dict[str, list[str]]:
    root = etree.fromstring(assertion)
    held = root.iter(f"{{{vihf.SAML}}}Attribute")
    return {
        str(each.get("Name")): [(value.text or "").strip() or str(next(iter(value)).get("code")) for value in each]
        for each in held
    }


# --- what is written ----------------------------------------------------------------------------------------------


def test_the_indirect_one_says_who_feeds(site: Any) -> None:
    """A structure and its software, in the mode, with the names and the order of the fact sheet."""
    told = values(made(site))
    assert told["Authentification_Mode"] == ["INDIRECTE"]
    assert told["Identifiant_Structure"] == ["1750000018"]
    assert told["Secteur_Activite"] == ["SA08^1.2.250.1.71.4.2.4"]
    assert told["VIHF_Version"] == ["3.0"]
    assert told["Ressource_URN"] == ["urn:dmp"]
    assert told[vihf.RESOURCE] == [CX]
    assert told[vihf.ROLE] == ["AUTOMATE"]
    assert told[vihf.PURPOSE] == ["normal"]
    assert told["LPS_ID_HOMOLOGATION_DMP"] == ["HOMOLOGATION-SECRET"]


def test_the_one_for_reading_says_who_reads(site: Any) -> None:
    """AIR: the professional, his profession then his specialty, and how he was authenticated."""
    told, root = values(made(site, "air")), etree.fromstring(made(site, "air"))
    assert told["Authentification_Mode"] == ["INDIRECTE_RENFORCEE"]
    assert told[vihf.ROLE] == ["10", "SM44"]
    assert told[vihf.SUBJECT] == ["Hélène LEROUX"]
    assert root.findtext(f".//{{{vihf.SAML}}}NameID") == "810100000017"
    assert root.findtext(f".//{{{vihf.SAML}}}AuthnContextDecl") == "CONF_EXI_PGSSIS"


def test_a_professional_without_a_profession_is_refused(site: Any) -> None:
    """The first role is the profession: without one there is no assertion."""
    nobody = replace(PHYSICIAN, roles=())
    with pytest.raises(ValueError, match="profession"):
        vihf.air(STRUCTURE, SOFTWARE, nobody, CX, ASKED, site.seal, NOW)


def test_what_sources_spell_differently_comes_from_the_norm(site: Any) -> None:
    """The version, the name of the mode's attribute and what is opened are data."""
    other = replace(ASKED, vihf_version="4.0", vihf_mode_attribute="Authentification_mode", vihf_resource="urn:other")
    told = values(made(site, norm=other))
    assert told["VIHF_Version"] == ["4.0"]
    assert told["Ressource_URN"] == ["urn:other"]
    assert "Authentification_Mode" not in told
    assert told["Authentification_mode"] == ["INDIRECTE"]


def test_the_issuer_is_the_signers_subject_common_name_first(site: Any) -> None:
    """RFC 2253 order, S as ST."""
    issuer = etree.fromstring(made(site)).findtext(f"{{{vihf.SAML}}}Issuer")
    assert issuer is not None
    assert issuer.startswith("CN=tilleuls.mssante.fr,OU=1750000018,")
    assert issuer.endswith("C=FR")


def test_the_homologation_number_stays_out_of_repr() -> None:
    """It is the deployer's secret."""
    assert "SECRET" not in repr(SOFTWARE)


@pytest.mark.parametrize("mode", ["indirect", "air"])
def test_two_verifiers_take_it(site: Any, mode: str) -> None:
    """Our own door for assertions, under our anchors, and libxmlsec, which nobody here wrote."""
    data = made(site, mode)
    told, trust = verify_assertion(data, site.trust(), SEAL, NOW)
    assert told is not None
    assert isinstance(trust, Trusted)
    root = etree.fromstring(data)
    xmlsec.tree.add_ids(root, ["ID"])
    context = xmlsec.SignatureContext()
    key = x509.load_der_x509_certificate(site.seal.certificate).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    context.key = xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.PEM)
    context.verify(root.find("{http://www.w3.org/2000/09/xmldsig#}Signature"))


# --- what a host refuses ------------------------------------------------------------------------------------------


def security(assertion: bytes) -> etree._Element:
    held = etree.Element(f"{{{WSSE}}}Security")
    held.append(etree.fromstring(assertion))
    return held


def client_certificate(site: Any) -> bytes:
    return x509.load_pem_x509_certificate(site.client[0].read_bytes()).public_bytes(Encoding.DER)


def check(site: Any, assertion: bytes, at: datetime = NOW) -> callers.Caller:
    asked = callers.Assertions(site.trust(), lambda: at)
    return asked.check(security(assertion), client_certificate(site), "f" * 64)


def test_a_good_one_names_its_structure(site: Any) -> None:
    """What is believed of it: the structure and the mode."""
    assert check(site, made(site)) == callers.Caller("f" * 64, "1750000018", "INDIRECTE")


def refused(site: Any, assertion: bytes, words: str, at: datetime = NOW) -> None:
    with pytest.raises(SoapRefused, match=words):
        check(site, assertion, at)


def test_a_changed_one_is_refused(site: Any) -> None:
    """One character of another structure, and the signature does not hold."""
    refused(site, made(site).replace(b"1750000018<", b"1750000019<", 1), "does not hold")


def test_a_stranger_is_refused(site: Any) -> None:
    """A seal of an authority that the host does not know."""
    stranger = Pki.create(NOW, "ELSEWHERE").seal("tilleuls.test", "o", "1750000018").signer()
    refused(site, made(site, signer=stranger), "seal that is known here")


@pytest.mark.parametrize("shift", [timedelta(hours=-1), timedelta(hours=1)])
def test_one_of_another_moment_is_refused(site: Any, shift: timedelta) -> None:
    """Too old, or from the future."""
    refused(site, made(site, at=NOW + shift), "not of this moment")


def test_one_in_the_name_of_another_structure_is_refused(site: Any) -> None:
    """The structure is that of the certificates, or the assertion is somebody else's."""
    refused(site, made(site, structure=Structure("1999999999", "SA08")), "not that of the certificates")


def test_one_that_was_used_is_refused(site: Any) -> None:
    """An assertion serves one request."""
    asked, data = callers.Assertions(site.trust(), lambda: NOW), made(site)
    asked.check(security(data), client_certificate(site), "f" * 64)
    with pytest.raises(SoapRefused, match="used before"):
        asked.check(security(data), client_certificate(site), "f" * 64)


def test_none_is_refused(site: Any) -> None:
    """Where the host asks for one."""
    with pytest.raises(SoapRefused, match="no assertion"):
        callers.Assertions(site.trust(), lambda: NOW).check(None, client_certificate(site), "f" * 64)


# --- on the wire ----------------------------------------------------------------------------------------------------


def test_a_host_that_asks_lets_a_structure_feed_and_not_read(
    bridge: Any, dossier_host: Callable[..., str], site: Any, report: Document, lot: ebrim.Submission
) -> None:
    """Indirect: feeding is taken, opening documents is refused, references are answered (spec/dossier.md §1.6)."""
    url = dossier_host("", 0, "--assertions")
    known = Standing(ASKED, STRUCTURE, SOFTWARE, lambda: site.seal, lambda: datetime.now(UTC))
    feeding = bridge.client(url, norm=replace(ASKED, by_reference=True), standing=known)
    assert report.patient.ins is not None
    assert feeding.submit([report], lot, report.patient.ins) == Done(lot.unique_id, "filed")
    assert feeding.fetch(report.unique_id) == Never(FilingReason.HOST_REFUSED, "LocalPolicyRestrictionError")
    assert feeding.find([report.unique_id]) == Never(FilingReason.HOST_REFUSED, "LocalPolicyRestrictionError")
    found = feeding.locate(report.unique_id, report.patient.ins)
    assert isinstance(found, tuple)
    assert len(found) == 1


def test_a_host_that_asks_refuses_who_says_nothing(
    bridge: Any, dossier_host: Callable[..., str], report: Document, lot: ebrim.Submission
) -> None:
    """Without an assertion nothing is stored."""
    url = dossier_host("", 0, "--assertions")
    answer = bridge.client(url).submit([report], lot, report.patient.ins)
    assert answer == Never(FilingReason.HOST_REFUSED, "fault Sender, http 400")
