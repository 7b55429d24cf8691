"""The dossier client over real TLS: what a host answers, or does not, becomes Done, Later or Never."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from certs.throwaway import Pki
from certs.xml import parse
from dmp_bridge import dmp, ebrim, soap, verdicts
from dmp_bridge.dmp import DossierClient, by_codes
from dmp_bridge.model import Document, FilingReason, HostProfile, Ins
from relay.model import Done, Later, Never

PROFILE = HostProfile("regional", "https://127.0.0.1:1", "2.25.7", "2.25.2")
NOBODY = Ins("179035121518989", "1.2.250.1.213.1.4.10")


@pytest.fixture
def client(site: Any) -> Iterator[Callable[..., DossierClient]]:
    """Clients of a host at a URL; closed at the end."""
    trust = site.trust()
    clients: list[DossierClient] = []

    def made(url: str, credentials: tuple[Path, Path] | None = None) -> DossierClient:
        profile = replace(PROFILE, url=url)
        clients.append(DossierClient(profile, *(credentials or site.client), lambda: trust, timeout=10))
        return clients[-1]

    yield made
    for each in clients:
        each.close()


def ins(report: Document) -> Ins:
    assert report.patient.ins is not None
    return report.patient.ins


def test_a_document_is_submitted_found_and_fetched(
    dossier_host: Callable[..., str],
    client: Callable[..., DossierClient],
    report: Document,
    lot: ebrim.Submission,
) -> None:
    """What the host gives back is what was sent: equal SHA-256, hash, size and patient."""
    dossier = client(dossier_host())
    assert dossier.submit([report], lot, ins(report)) == Done(lot.unique_id, "filed")
    found = dossier.find([report.unique_id])
    assert isinstance(found, tuple)
    (held,) = found
    assert (held.sha1, held.size, held.approved) == (ebrim.sha1(report.raw), len(report.raw), True)
    fetched = dossier.fetch(report.unique_id)
    assert isinstance(fetched, bytes)
    assert hashlib.sha256(fetched).digest() == hashlib.sha256(report.raw).digest()
    assert dossier.find_by_patient(ins(report)) == found
    assert dossier.find_by_patient(NOBODY) == ()


def test_what_is_not_there_is_not_found(dossier_host: Callable[..., str], client: Callable[..., DossierClient]) -> None:
    """An unknown document is not found, and cannot be fetched."""
    dossier = client(dossier_host())
    assert dossier.find(["1.2.3"]) == ()
    assert dossier.fetch("1.2.3") == Never(FilingReason.HOST_REFUSED, "XDSDocumentUniqueIdError")


def test_a_second_submission_is_a_duplicate(
    dossier_host: Callable[..., str],
    client: Callable[..., DossierClient],
    report: Document,
    lot: ebrim.Submission,
) -> None:
    """The host refuses what it has; other bytes under the same id it refuses by another name."""
    dossier = client(dossier_host())
    dossier.submit([report], lot, ins(report))
    again = dossier.submit([report], replace(lot, unique_id="2.25.9"), ins(report))
    assert again == Never(FilingReason.HOST_REFUSED, dmp.ALREADY_THERE)
    other = replace(report, raw=report.raw + b"\n")
    again = dossier.submit([other], replace(lot, unique_id="2.25.10"), ins(report))
    assert again == Never(FilingReason.HOST_REFUSED, "XDSNonIdenticalHash")


def test_a_replacement_names_the_entry_that_it_replaces(
    dossier_host: Callable[..., str],
    client: Callable[..., DossierClient],
    report: Document,
    lot: ebrim.Submission,
) -> None:
    """RPLC deprecates the old entry."""
    dossier = client(dossier_host())
    dossier.submit([report], lot, ins(report))
    found = dossier.find([report.unique_id])
    assert isinstance(found, tuple)
    newer = replace(report, unique_id="2.25.77", raw=report.raw + b"<!-- 2 -->")
    replacing = [ebrim.Replacement("2.25.77", found[0].entry_id)]
    answer = dossier.submit([newer], replace(lot, unique_id="2.25.9"), ins(report), replacing)
    assert isinstance(answer, Done)
    found = dossier.find([report.unique_id, "2.25.77"])
    assert isinstance(found, tuple)
    assert {held.unique_id: held.approved for held in found} == {report.unique_id: False, "2.25.77": True}


def test_a_type_without_class_is_never_sent(
    client: Callable[..., DossierClient], report: Document, lot: ebrim.Submission
) -> None:
    """Where no table gives the class of a type, nothing is invented: the document is refused before it is sent."""
    unknown = replace(report, type=replace(report.type, code="101881-1"))
    answer = client("https://127.0.0.1:1").submit([unknown], lot, ins(report))
    assert answer == Never(FilingReason.TYPE_UNKNOWN)


def test_a_host_that_is_down_is_later(client: Callable[..., DossierClient]) -> None:
    """Nobody listens: try again, and other letters need not find out for themselves."""
    answer = client("https://127.0.0.1:1").find(["1.2.3"])
    assert isinstance(answer, Later)
    assert answer.reason == FilingReason.HOST_DOWN
    assert answer.whole


@pytest.mark.parametrize("who", ["revoked", "stranger", "mailbox"])
def test_a_wrong_client_certificate_is_refused_and_tried_again(
    dossier_host: Callable[..., str], client: Callable[..., DossierClient], site: Any, who: str
) -> None:
    """A certificate that the host does not accept can be renewed: nothing was stored, try again."""
    answer = client(dossier_host(), getattr(site, who)).find(["1.2.3"])
    assert isinstance(answer, Later)
    assert answer.reason == FilingReason.HOST_DOWN


def test_a_host_of_another_authority_is_told_nothing(
    dossier_host: Callable[..., str], site: Any, now: Any, tmp_path: Path
) -> None:
    """A host whose certificate is not of our trust store is not spoken to."""
    url = dossier_host()
    Pki.create(now, "ELSEWHERE").write_trust(tmp_path / "other", now)
    trust = type(site.trust()).load(tmp_path / "other")
    answer = DossierClient(replace(PROFILE, url=url), *site.client, lambda: trust).find(["1.2.3"])
    assert answer == Later(FilingReason.HOST_DOWN, "ConnectError")


def test_a_host_whose_name_is_not_in_its_certificate_is_told_nothing(
    dossier_host: Callable[..., str], client: Callable[..., DossierClient]
) -> None:
    """The certificate names 127.0.0.1; under another name the same host is not the host."""
    url = dossier_host().replace("127.0.0.1", "localhost")
    assert client(url).find(["1.2.3"]) == Later(FilingReason.HOST_DOWN, "ConnectError")


# --- answers of the corpus -----------------------------------------------------------------------------


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("regresp-fail-noerr.xml", Later(FilingReason.HOST_REFUSED, "failure without an error")),
        ("regresp-suc-err.xml", Never(FilingReason.HOST_WRONG, "success with XDSUnknownPatientId")),
        ("soap-pnr-resp.xml", None),
        ("soap-r-resp.xml", None),
    ],
)
def test_registry_responses_of_the_corpus(corpus: Path, name: str, expected: object) -> None:
    """A success is one; with errors it contradicts itself; a failure without a reason is tried again."""
    root = parse((corpus / "xds/messages" / name).read_bytes())
    response = next(root.iter(f"{{{verdicts.RS}}}RegistryResponse"))
    assert verdicts.trouble_of(response, f"{{{verdicts.RS}}}RegistryResponse") == expected


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("sq-resp-lc.xml", 2),
        ("sq-resp-objectref.xml", 0),
        ("sq-resp-lc-no-objectType.xml", 2),
        ("sq-resp-lc-no-status.xml", 2),
        ("sq-resp-nostat-objectref.xml", None),
    ],
)
def test_query_answers_of_the_corpus(corpus: Path, name: str, entries: int | None) -> None:
    """Entries are read, an entry without status is not Approved, an answer without status is no answer."""
    body = parse((corpus / "xds/messages" / name).read_bytes())
    held = verdicts.held(soap.Soap("", "", "", body))
    if entries is None:
        assert isinstance(held, Later)
        return
    assert isinstance(held, tuple)
    assert len(held) == entries
    assert sum(not each.approved for each in held) == (1 if "no-status" in name else 0)


@pytest.mark.corpus
def test_retrieve_answers_of_the_corpus(corpus: Path) -> None:
    """Two documents under the id that was asked for are a contradiction; an error is an error."""
    read = soap.decode("application/soap+xml", (corpus / "xds/messages/soap-ret-resp.xml").read_bytes())
    assert verdicts.document(read, "1.3.6.1.4...2300") == Never(
        FilingReason.HOST_WRONG, "not the one document that was asked for"
    )
    failed = Later(FilingReason.HOST_REFUSED, "MyBigError")
    for name in ("soap-xret-resp-error.xml", "soap-xret-resp-homeless.xml"):
        read = soap.decode("application/soap+xml", (corpus / "xds/messages" / name).read_bytes())
        assert verdicts.document(read, "1.3.6.1.4.1000") == failed
    read = soap.decode("application/soap+xml", (corpus / "xds/messages/soap-xcq-resp-error.xml").read_bytes())
    assert verdicts.held(read) == failed


@pytest.mark.parametrize(
    ("codes", "kind", "reason"),
    [
        (["XDSUnknownPatientId"], Never, FilingReason.PATIENT_UNKNOWN),
        (["XDSPatientIdDoesNotMatch"], Never, FilingReason.INS_DIFFERS),
        (["XDSRegistryDeprecatedDocumentError"], Never, FilingReason.OLD_VERSION),
        (["XDSRegistryMetadataError"], Never, FilingReason.HOST_REFUSED),
        (["XDSRegistryBusy", "XDSRegistryMetadataError"], Never, FilingReason.HOST_REFUSED),
        (["XDSRegistryBusy"], Later, FilingReason.HOST_DOWN),
        (["XDSRepositoryOutOfResources"], Later, FilingReason.HOST_DOWN),
        (["DMPAccessDeniedByRightsService"], Never, FilingReason.HOST_REFUSED),
        (["dmpinvalidcertificate"], Never, FilingReason.HOST_REFUSED),
        (["SomethingNew"], Later, FilingReason.HOST_REFUSED),
        ([], Later, FilingReason.HOST_REFUSED),
    ],
)
def test_error_codes(codes: list[str], kind: type, reason: FilingReason) -> None:
    """One permanent error makes a failure permanent; what may pass, or is not known, is tried again."""
    answer = by_codes(codes)
    assert isinstance(answer, kind)
    assert answer.reason == reason


def test_every_error_code_has_its_outcome_and_its_sentence() -> None:
    """Each row of the table: tried again, never, or only a warning, and a French sentence; of a code that nobody knows
    there is none."""
    meanings = verdicts.meanings()
    assert len(meanings) > 60
    kinds = {"never": Never, "later": Later}
    for code, meaning in meanings.items():
        assert meaning.french.endswith(".")
        assert verdicts.sentence(code.lower()) == meaning.french
        if meaning.outcome != "warning":
            told = by_codes([code])
            assert (type(told), told.reason) == (kinds[meaning.outcome], meaning.reason)
    assert {each.outcome for each in meanings.values()} == {"never", "later", "warning"}
    assert verdicts.sentence("SomethingNew") == ""


def test_words_of_a_host_are_not_repeated() -> None:
    """A host may put a patient into its error: only what has the form of a code is kept."""
    response = etree.fromstring(
        f'<RegistryResponse xmlns="{verdicts.RS}" status="x:Failure"><RegistryErrorList><RegistryError '
        f'errorCode="unknown patient 279035121518989" severity="x:Error"/></RegistryErrorList></RegistryResponse>'
    )
    answer = verdicts.trouble_of(response, f"{{{verdicts.RS}}}RegistryResponse")
    assert answer == Later(FilingReason.HOST_REFUSED, "unnamed")


@pytest.mark.parametrize(
    ("status", "kind", "data", "expected"),
    [
        (502, "text/html", b"<html/>", Later(FilingReason.HOST_DOWN, "http 502")),
        (413, "text/html", b"", Never(FilingReason.HOST_REFUSED, "http 413")),
        (403, "text/html", b"", Later(FilingReason.HOST_DOWN, "http 403")),
        (
            400,
            *soap.encode_fault(soap.Fault("Sender", "x")),
            Never(FilingReason.HOST_REFUSED, "fault Sender, http 400"),
        ),
        (
            500,
            *soap.encode_fault(soap.Fault("Receiver", "x")),
            Later(FilingReason.HOST_DOWN, "fault Receiver, http 500"),
        ),
        (403, *soap.encode_fault(soap.Fault("Sender", "x")), Later(FilingReason.HOST_DOWN, "fault Sender, http 403")),
        (
            200,
            *soap.encode("x", etree.Element("y"), relates_to="urn:uuid:other"),
            Later(FilingReason.HOST_WRONG, "an answer to another question"),
        ),
    ],
)
def test_answers_that_are_no_answer(status: int, kind: str, data: bytes, expected: object) -> None:
    """Statuses, faults and an answer to another question each become a value."""
    assert verdicts.read(status, lambda: soap.decode(kind, data), "urn:uuid:mine") == expected
