"""The white list: who may speak for a domain, and which lists are believed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from certs import xml
from certs.chain import TrustStore, identity
from certs.model import CannotTell, Fault, Untrusted
from certs.throwaway import Issued, Pki
from relay.partners import Listed, WhiteList, compose, read_subject

MOMENT = datetime.fromisoformat("2026-11-25T09:30:00+00:00")
SIGNER = "alb@test.pli.invalid"
LILAS = "imagerie-des-lilas.mssante.example"
SUBJECT = "CN=mx.lilas.example,OU=1750000001,O=IMAGERIE DES LILAS,ST=Paris (75),C=FR"


@dataclass(frozen=True)
class Space:
    """A trust space: its authority, its signer and a store that believes it."""

    pki: Pki
    signer: Issued
    store: TrustStore

    def signed(self, *entries: Listed, made: datetime = MOMENT, by: Issued | None = None) -> bytes:
        who = by or self.signer
        return xml.sign_enveloped(compose(entries, made), who.key, (who.der, *who.chain))

    def load(
        self, data: bytes, held: WhiteList | None = None, at: datetime = MOMENT
    ) -> WhiteList | Untrusted | CannotTell:
        return WhiteList.load(data, self.store, at, held, signer=SIGNER)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Space:
    pki = Pki.create(MOMENT)
    folder = tmp_path_factory.mktemp("trust")
    pki.write_trust(folder, MOMENT)
    return Space(pki, pki.white_list_signer(), TrustStore.load(folder))


def believed(answer: WhiteList | Untrusted | CannotTell) -> WhiteList:
    assert isinstance(answer, WhiteList), answer
    return answer


def refused(answer: WhiteList | Untrusted | CannotTell, words: str = "") -> Fault:
    assert isinstance(answer, Untrusted | CannotTell)
    assert words in answer.detail
    return answer.fault


# --- which lists are believed ------------------------------------------------------------------------------


def test_a_signed_list_is_believed(space: Space) -> None:
    """A list signed by the space's signer is read: date, domains, and who may speak."""
    read = believed(space.load(space.signed(Listed(LILAS, SUBJECT))))
    assert read.generated_at == MOMENT
    assert read.domains() == {LILAS}
    assert read.lists(LILAS.upper())
    assert read.permits(LILAS, SUBJECT)
    assert read.signer is not None
    assert SIGNER in read.signer.addresses


def test_a_domain_that_is_not_listed_permits_nobody(space: Space) -> None:
    """Neither another domain nor a subdomain nor a parent is listed by a neighbour's entry."""
    read = believed(space.load(space.signed(Listed(LILAS, SUBJECT))))
    for domain in ("autre.mssante.example", f"sous.{LILAS}", "mssante.example", ""):
        assert not read.lists(domain)
        assert not read.permits(domain, SUBJECT)


def test_an_unsigned_list_is_refused(space: Space) -> None:
    """Without a signature there is no list."""
    data = xml.etree.tostring(compose([Listed(LILAS, SUBJECT)], MOMENT))
    assert refused(space.load(data)) is Fault.NO_SIGNER


def test_an_altered_list_is_refused(space: Space) -> None:
    """A domain slipped in after signing spoils the list."""
    data = space.signed(Listed(LILAS, SUBJECT)).replace(b"imagerie-des-lilas", b"imagerie-des-voleurs")
    assert refused(space.load(data)) is Fault.DIGEST_MISMATCH


def test_a_list_wrapped_around_a_signed_one_is_refused(space: Space) -> None:
    """A forged list that carries a truly signed one inside, its signature last, is refused."""
    forged = compose([Listed("faux.example", SUBJECT)], MOMENT)
    true = xml.parse(space.signed(Listed(LILAS, SUBJECT)))
    signature = true[-1]
    forged.append(true)
    forged.append(signature)
    refused(space.load(xml.etree.tostring(forged)))


def test_a_list_under_another_root_is_refused(space: Space) -> None:
    """A stranger's authority signs no list for us."""
    stranger = Pki.create(MOMENT, "AUTRE").white_list_signer()
    assert refused(space.load(space.signed(Listed(LILAS, SUBJECT), by=stranger))) is Fault.UNKNOWN_ISSUER


def test_a_mailbox_s_certificate_signs_no_list(space: Space) -> None:
    """Any mailbox of the space has a certificate of the right profile:

    only the expected signer's name counts.
    """
    mailbox = space.pki.smime(f"dr@{LILAS}", "DR", "LILAS", "1750000001")
    assert refused(space.load(space.signed(Listed(LILAS, SUBJECT), by=mailbox))) is Fault.WRONG_NAME


def test_the_national_signer_is_the_default(space: Space) -> None:
    """Unless told otherwise, only the national signer is expected."""
    answer = WhiteList.load(space.signed(Listed(LILAS, SUBJECT)), space.store, MOMENT)
    assert refused(answer, "alb@mssante.fr") is Fault.WRONG_NAME


def test_an_older_list_is_refused(space: Space) -> None:
    """Rollback:

    a well-signed list that is older than the one in use is refused; the same one again is not.
    """
    held = believed(space.load(space.signed(Listed(LILAS, SUBJECT))))
    older = space.signed(Listed(LILAS, SUBJECT), made=MOMENT - timedelta(seconds=1))
    assert refused(space.load(older, held), "older") is Fault.BAD_ATTRIBUTES
    believed(space.load(older))
    believed(space.load(space.signed(Listed(LILAS, SUBJECT)), held))


def test_a_list_of_tomorrow_is_refused(space: Space) -> None:
    """A date ahead of our clock would make every true list look old."""
    data = space.signed(Listed(LILAS, SUBJECT), made=MOMENT + timedelta(days=1))
    assert refused(space.load(data), "future") is Fault.BAD_ATTRIBUTES
    believed(space.load(data, at=MOMENT + timedelta(days=1)))


def test_a_list_that_shrinks_is_refused(space: Space) -> None:
    """A list that loses most of its domains at once waits for a person; losing one is life."""
    entries = [Listed(f"d{number}.mssante.example", SUBJECT) for number in range(20)]
    held = believed(space.load(space.signed(*entries)))
    assert refused(space.load(space.signed(*entries[:9]), held), "lost") is Fault.BAD_ATTRIBUTES
    believed(space.load(space.signed(*entries[:19]), held))


def test_an_empty_list_is_refused(space: Space) -> None:
    """A list without any domain would close the space."""
    assert refused(space.load(space.signed()), "empty") is Fault.BAD_ATTRIBUTES


def test_another_signed_document_is_no_list(space: Space) -> None:
    """What the signer signs for other ends is not a white list."""
    document = xml.parse(b"<autre><DateDeGeneration>2026-11-25T09:30:00Z</DateDeGeneration></autre>")
    data = xml.sign_enveloped(document, space.signer.key, (space.signer.der,))
    assert refused(space.load(data)) is Fault.BAD_ATTRIBUTES


@pytest.mark.parametrize("name", ["Nom", "DNCertificatOperateur", "DateDeGeneration"])
def test_a_list_with_a_missing_value_is_refused(space: Space, name: str) -> None:
    """A signed list of another shape is refused whole."""
    root = compose([Listed(LILAS, SUBJECT)], MOMENT)
    for element in root.iter(f"{{https://listeblanche.mssante.fr/schema}}{name}"):
        element.text = ""
    data = xml.sign_enveloped(root, space.signer.key, (space.signer.der,))
    assert refused(space.load(data), name) is Fault.BAD_ATTRIBUTES


def test_bytes_that_are_no_list_are_refused(space: Space) -> None:
    """Garbage, and a document with a DTD, are answers, not exceptions."""
    assert refused(space.load(b"<!DOCTYPE a><a/>")) is Fault.UNREADABLE
    assert refused(space.load(b"\x00")) is Fault.UNREADABLE


def test_a_signer_that_expired_after_signing_is_believed(space: Space) -> None:
    """The signer was valid when the list was made; a list made after its certificate's end is refused."""
    ends = MOMENT + timedelta(days=1)
    signer = space.pki.white_list_signer(not_after=ends)
    later = ends + timedelta(days=1)
    before = space.signed(Listed(LILAS, SUBJECT), made=MOMENT, by=signer)
    after = space.signed(Listed(LILAS, SUBJECT), made=ends + timedelta(hours=1), by=signer)
    believed(space.load(before, at=later))
    assert refused(space.load(after, at=later)) is Fault.EXPIRED


def test_without_a_revocation_list_nobody_can_tell(space: Space) -> None:
    """A store whose CRLs have run out answers that it cannot tell: a third answer, not a yes."""
    answer = space.load(space.signed(Listed(LILAS, SUBJECT)), at=MOMENT + timedelta(days=30))
    assert isinstance(answer, CannotTell)


def test_a_certificate_as_issued_is_permitted(space: Space) -> None:
    """The subject of a real certificate matches the entry written from it, and not another host's."""
    ours = space.pki.tls_server("mx.lilas.example", "IMAGERIE, LILAS", "1750000001", "Hauts-de-Seine (92)")
    other = space.pki.tls_server("mx.parc.example", "CLINIQUE DU PARC", "1920000002")
    read = believed(space.load(space.signed(Listed(LILAS, identity(ours.der).subject))))
    assert read.permits(LILAS, identity(ours.der).subject)
    assert not read.permits(LILAS, identity(other.der).subject)


# --- subjects as they are written --------------------------------------------------------------------------


def permits(listed: str, shown: str) -> bool:
    return WhiteList.of([Listed(LILAS, listed)], MOMENT).permits(LILAS, shown)


SHOWN = r"CN=mx.h.example,OU=1750000001,O=HOPITAL L'ESPOIR \"NORD\",ST=Île-de-France (75),C=FR"
ALIKE = {
    "as-shown": SHOWN,
    "spaces-after-commas": SHOWN.replace(",", ", "),
    "upper-case-cn": SHOWN.replace("mx.h.example", "MX.H.example"),
    "locality-for-state": SHOWN.replace("ST=", "L="),
    "bare-quotes": SHOWN.replace('\\"', '"'),
    "quoted-value": SHOWN.replace("HOPITAL L", '"HOPITAL  L').replace(",ST", '",ST'),
    "no-break-space": SHOWN.replace("HOPITAL L", "HOPITAL\u00a0L"),
    "decomposed-accent": SHOWN.replace("Î", "I\u0302"),
    "hexadecimal-escape": SHOWN.replace("Î", r"\C3\8E"),
    "other-order": r"C=FR,ST=Île-de-France (75),O=HOPITAL L'ESPOIR \"NORD\",OU=1750000001,CN=mx.h.example",
}
UNLIKE = {
    "cn-differs": SHOWN.replace("mx.h", "mx2.h"),
    "cn-with-a-suffix": SHOWN.replace("mx.h.example", "mx.h.example.evil.test"),
    "ou-differs": SHOWN.replace("1750000001", "1750000002"),
    "ou-with-zeros": SHOWN.replace("1750000001", "01750000001"),
    "o-differs": SHOWN.replace("NORD", "SUD"),
    "st-differs": SHOWN.replace("(75)", "(92)"),
    "c-differs": SHOWN.replace("C=FR", "C=BE"),
    "o-absent": SHOWN.replace(r",O=HOPITAL L'ESPOIR \"NORD\"", ""),
    "one-cn-more": SHOWN + ",CN=mx.autre.example",
    "one-ou-more": SHOWN + ",OU=1999999999",
    "one-attribute-more": SHOWN + ",UID=x",
    "unknown-attribute-more": SHOWN + ",2.5.4.5=x",
}


@pytest.mark.parametrize("name", ALIKE)
def test_careless_spellings_match(name: str) -> None:
    """What differs only by the carelessness seen in the published list is the same subject."""
    assert permits(ALIKE[name], SHOWN)


@pytest.mark.parametrize("name", UNLIKE)
def test_another_subject_does_not_match(name: str) -> None:
    """Any attribute of another value, missing or added, is another subject: CN alone is not enough."""
    assert not permits(UNLIKE[name], SHOWN)
    assert not permits(SHOWN, UNLIKE[name])


def test_a_comma_in_the_organisation_is_no_separator() -> None:
    """A bare comma in the list is part of its value; an escaped one in a certificate too."""
    assert permits("CN=a,OU=1,O=SOINS, ET CIE,C=FR", r"CN=a,OU=1,O=SOINS\, ET CIE,C=FR")
    assert not permits("CN=a,OU=1,O=SOINS,C=FR", r"CN=a,OU=1,O=SOINS\, ET CIE,C=FR")


def test_an_attribute_hidden_in_a_value_is_no_attribute() -> None:
    """A certificate whose organisation contains ',OU=…' does not gain that OU."""
    assert not permits("CN=a,OU=1750000001,O=X,C=FR", r"CN=a,O=X\,OU=1750000001,C=FR")
    assert not permits("CN=a,OU=1750000001,O=X,C=FR", r"CN=a,O=X\2COU=1750000001,C=FR")
    assert permits("CN=a,O=X\\\\,OU=1,C=FR", "CN=a,O=X\\\\,OU=1,C=FR")


NOBODY = ["", "mx.h.example", "O=X,C=FR", "CN=,O=X", "x,CN=a", "=", ",,,", "\\", "CN"]


@pytest.mark.parametrize("text", NOBODY)
def test_what_names_nobody_matches_nobody(text: str) -> None:
    """A subject without a readable CN permits nobody and is permitted nowhere, not even against itself."""
    assert read_subject(text) is None
    assert not permits(text, text)


def test_a_domain_has_several_certificates() -> None:
    """A domain listed several times, even under several operators, has all their subjects."""
    other = SUBJECT.replace("mx.lilas", "mx2.lilas")
    read = WhiteList.of([Listed(LILAS, SUBJECT), Listed(LILAS.upper() + ".", other)], MOMENT)
    assert read.permits(LILAS, SUBJECT)
    assert read.permits(LILAS, other)
    assert not read.permits(LILAS, SUBJECT.replace("mx.lilas", "mx3.lilas"))


def test_one_operator_does_not_speak_for_another(space: Space) -> None:
    """A listed operator's certificate is refused for a domain that is not its own."""
    parc = "clinique-du-parc.mssante.example"
    theirs = SUBJECT.replace("lilas", "parc")
    read = WhiteList.of([Listed(LILAS, SUBJECT), Listed(parc, theirs)], MOMENT)
    assert read.permits(parc, theirs)
    assert not read.permits(parc, SUBJECT)


def test_a_near_miss_is_told() -> None:
    """One attribute apart is logged by its name, for the operator; a stranger is not."""
    read = WhiteList.of([Listed(LILAS, SUBJECT)], MOMENT)
    with capture_logs() as lines:
        read.permits(LILAS, SUBJECT.replace("Paris (75)", "PARIS"))
        read.permits(LILAS, SUBJECT.replace("Paris (75)", "PARIS").replace("mx.", "mx9."))
    assert [(line["event"], line["differs"]) for line in lines] == [("white-list-near-miss", "st")]


def test_an_unreadable_entry_closes_only_itself() -> None:
    """One careless entry permits nobody, is told, and leaves the others alone."""
    with capture_logs() as lines:
        read = WhiteList.of([Listed("a.example", "rien"), Listed(LILAS, SUBJECT)], MOMENT)
    assert lines[0]["event"] == "white-list-entry-unreadable"
    assert read.lists("a.example")
    assert not read.permits("a.example", "rien")
    assert read.permits(LILAS, SUBJECT)


def test_a_full_size_list_is_read(space: Space, tmp_path: Path) -> None:
    """A list as long as the national one (6,494 entries, 3.7 MB) is within the budgets."""
    words = "Domaine d'essai " * 8
    entries = [Listed(f"d{number}.mssante.example", SUBJECT, words) for number in range(6494)]
    data = space.signed(*entries)
    assert len(data) > 3_000_000
    assert len(believed(space.load(data)).domains()) == 6494
