"""Revocation lists: which count, which do not, and which answer they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from certs import crl, revocation, scope
from certs.revocation import Crls, Patience, Revocation, Standing
from certs.throwaway import Issued, Pki

DAY = timedelta(days=1)


def listing(
    issuer: Issued,
    issued: datetime,
    *serials: int,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    reason: x509.ReasonFlags | None = None,
) -> bytes:
    """A CRL valid for a day."""
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, issued, issued + DAY)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, issued)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def standing(pki: Pki, issued: Issued, at: datetime, *ders: bytes) -> Standing:
    lists = [crl for crl in map(revocation.read, ders) if crl is not None]
    above = (pki.authority.certificate, pki.root.certificate)
    return Crls(lists).ask(issued.certificate, above, at).standing


def point(**scope: object) -> x509.IssuingDistributionPoint:
    every: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(every | scope))  # type: ignore[arg-type]


def test_a_list_says_good_or_revoked(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A serial on the list is revoked, one that is not on it is good."""
    serial = doctor.certificate.serial_number
    assert standing(pki, doctor, now, listing(pki.authority, now)) is Standing.GOOD
    assert standing(pki, doctor, now, listing(pki.authority, now, serial)) is Standing.REVOKED
    assert standing(pki, doctor, now, listing(pki.authority, now, serial + 1)) is Standing.GOOD


def test_the_newest_list_speaks(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A hold that a newer list no longer names is over; a revocation that only the newer names counts."""
    serial = doctor.certificate.serial_number
    older, newer = now - DAY / 2, now
    lifted = (listing(pki.authority, older, serial), listing(pki.authority, newer))
    added = (listing(pki.authority, older), listing(pki.authority, newer, serial))
    assert standing(pki, doctor, now, *lifted) is Standing.GOOD
    assert standing(pki, doctor, now, *added) is Standing.REVOKED


def test_a_list_grows_stale(pki: Pki, doctor: Issued, now: datetime) -> None:
    """Up to nextUpdate a list vouches, after it no more."""
    der = listing(pki.authority, now)
    assert standing(pki, doctor, now + DAY, der) is Standing.GOOD
    assert standing(pki, doctor, now + DAY + timedelta(seconds=1), der) is Standing.STALE


def test_a_later_list_judges_an_earlier_moment(pki: Pki, doctor: Issued, now: datetime) -> None:
    """Asked about the past, today's list still answers: it knows no less."""
    assert standing(pki, doctor, now - DAY, listing(pki.authority, now)) is Standing.GOOD


def test_a_delta_adds_and_never_vouches(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A delta revokes what it names; alone it vouches for nobody; what it lifts it does not revoke."""
    serial = doctor.certificate.serial_number
    mark = ((x509.DeltaCRLIndicator(1), True),)
    base = listing(pki.authority, now - DAY / 2)
    assert standing(pki, doctor, now, base, listing(pki.authority, now, serial, extensions=mark)) is Standing.REVOKED
    assert standing(pki, doctor, now, listing(pki.authority, now, extensions=mark)) is Standing.UNKNOWN
    lifted = listing(pki.authority, now, serial, extensions=mark, reason=x509.ReasonFlags.remove_from_crl)
    assert standing(pki, doctor, now, base, lifted) is Standing.GOOD


@pytest.mark.parametrize(
    ("scope", "answer"),
    [
        ({"only_contains_user_certs": True}, Standing.GOOD),
        ({"only_contains_ca_certs": True}, Standing.UNKNOWN),
        ({"indirect_crl": True}, Standing.GOOD),
        ({"only_contains_attribute_certs": True}, Standing.UNKNOWN),
        ({"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}, Standing.UNKNOWN),
        ({"full_name": [x509.UniformResourceIdentifier("http://other.invalid/a.crl")]}, Standing.UNKNOWN),
    ],
    ids=str,
)
def test_a_list_speaks_within_its_scope(
    pki: Pki, doctor: Issued, now: datetime, scope: dict[str, object], answer: Standing
) -> None:
    """A list for other certificates, of another point, or for some reasons only does not vouch."""
    der = listing(pki.authority, now, extensions=((point(**scope), True),))
    assert standing(pki, doctor, now, der) is answer


def test_an_unknown_critical_extension_stops_a_list(pki: Pki, doctor: Issued, now: datetime) -> None:
    """What is critical and unknown makes the list unusable; the same extension uncritical does not."""
    private = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.999.1"), b"\x05\x00")
    for critical, answer in ((True, Standing.UNKNOWN), (False, Standing.GOOD)):
        der = listing(pki.authority, now, extensions=((private, critical),))
        assert standing(pki, doctor, now, der) is answer


def test_a_sha1_list_does_not_count(
    pki: Pki, doctor: Issued, now: datetime, with_sha1: Callable[[bytes, Issued], bytes]
) -> None:
    """SHA-1 under a CRL makes it no CRL."""
    good = listing(pki.authority, now)
    weak = with_sha1(x509.load_der_x509_crl(good).tbs_certlist_bytes, pki.authority)
    assert standing(pki, doctor, now, weak) is Standing.UNKNOWN
    assert standing(pki, doctor, now, good) is Standing.GOOD


def test_who_may_not_sign_lists_does_not(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A list signed by an end certificate, whose key usage has no cRLSign, says nothing."""
    der = listing(doctor, now)
    lists = Crls([crl for crl in [revocation.read(der)] if crl is not None])
    assert lists.ask(doctor.certificate, (doctor.certificate,), now).standing is Standing.UNKNOWN


@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"<html>"])
def test_junk_is_no_list(junk: bytes) -> None:
    """Bytes which are no CRL are refused with ValueError, not taken for an empty list."""
    with pytest.raises(ValueError, match=r".+"):
        revocation.read(junk)


def test_ten_thousand_serials_are_asked_at_once(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A long list answers right at both ends and in between."""
    serials = range(1, 10_001)
    lists = Crls([crl for crl in [revocation.read(listing(pki.authority, now, *serials))] if crl is not None])
    crl = next(iter(lists))
    assert all(serial in crl.serials for serial in (1, 5_000, 10_000))
    assert doctor.certificate.serial_number not in crl.serials


# --- deltas (RFC 5280 §5.2.4) ---------------------------------------------------------------------------------------

KEY, HOLD, LIFTED = x509.ReasonFlags.key_compromise, x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl
NOT_LISTED = None


@pytest.fixture(scope="session")
def leaf(office: Any) -> Issued:
    return office.leaf()


@pytest.fixture
def told(office: Any, leaf: Issued) -> Callable[..., Revocation]:
    """What these lists say of `leaf`."""

    def ask(*ders: bytes, about: Issued = leaf, at: datetime = office.at, **more: Any) -> Revocation:
        patience = more.pop("patience", Patience())
        above = (office.authority.certificate, office.root.certificate)
        return Crls(map(crl.read, ders), (), patience).ask(about.certificate, above, at, **more)

    return ask


def entry(issued: Issued, at: datetime, *extensions: tuple[x509.ExtensionType, bool]) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(issued.certificate.serial_number, at)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.build()


def why(reason: x509.ReasonFlags | None) -> list[tuple[x509.ExtensionType, bool]]:
    return [] if reason is None else [(x509.CRLReason(reason), False)]


def rows(issued: Issued, at: datetime, reason: x509.ReasonFlags | None) -> list[x509.RevokedCertificate]:
    return [] if reason is None else [entry(issued, at, *why(reason))]


@pytest.mark.parametrize(
    ("in_base", "in_delta", "answer"),
    [
        (NOT_LISTED, NOT_LISTED, Standing.GOOD),
        (NOT_LISTED, KEY, Standing.REVOKED),
        (NOT_LISTED, LIFTED, Standing.GOOD),
        (HOLD, NOT_LISTED, Standing.REVOKED),
        (HOLD, LIFTED, Standing.GOOD),
        (HOLD, KEY, Standing.REVOKED),
        (KEY, NOT_LISTED, Standing.REVOKED),
        (KEY, LIFTED, Standing.REVOKED),
        (LIFTED, NOT_LISTED, Standing.REVOKED),
    ],
)
def test_a_delta_changes_what_its_base_says(
    office: Any, leaf: Issued, told: Callable[..., Revocation], in_base: Any, in_delta: Any, answer: Standing
) -> None:
    """A delta adds, and ends a hold; it ends nothing else, and a complete list lifts nothing at all."""
    base = office.listing(*rows(leaf, office.at, in_base), extensions=[(x509.CRLNumber(5), False)])
    mark = [(x509.CRLNumber(6), False), (x509.DeltaCRLIndicator(5), True)]
    delta = office.listing(*rows(leaf, office.at, in_delta), extensions=mark)
    assert told(base, delta).standing is answer


@pytest.mark.parametrize(("base_number", "of", "number"), [(4, 5, 6), (7, 5, 6), (None, 5, 6)], ids=str)
def test_a_delta_lifts_only_what_it_follows(
    office: Any, leaf: Issued, told: Callable[..., Revocation], base_number: int | None, of: int, number: int
) -> None:
    """A list older than the delta's base, or newer than the delta, or without a number, keeps its hold."""
    numbered = [] if base_number is None else [(x509.CRLNumber(base_number), False)]
    base = office.listing(entry(leaf, office.at, *why(HOLD)), extensions=numbered)
    mark = [(x509.CRLNumber(number), False), (x509.DeltaCRLIndicator(of), True)]
    delta = office.listing(entry(leaf, office.at, *why(LIFTED)), extensions=mark, at=office.at + timedelta(hours=1))
    assert told(base, delta).standing is Standing.REVOKED


def test_a_list_lives_as_long_as_its_delta(office: Any, told: Callable[..., Revocation]) -> None:
    """Joined with a delta that is current a list that is over vouches; a delta that does not follow it is no help."""
    later = office.at + 2 * DAY
    base = office.listing(extensions=[(x509.CRLNumber(5), False)])
    for of, answer in ((5, Standing.GOOD), (6, Standing.STALE)):
        mark = [(x509.CRLNumber(9), False), (x509.DeltaCRLIndicator(of), True)]
        assert told(base, office.listing(at=later, extensions=mark), at=later).standing is answer


def test_a_delta_of_another_scope_or_key_changes_nothing(
    office: Any, leaf: Issued, told: Callable[..., Revocation]
) -> None:
    """§6.3.3 (c), (h): its point must be the list's, and its key too."""
    base = office.listing(extensions=[(x509.CRLNumber(5), False)])
    mark = [(x509.CRLNumber(6), False), (x509.DeltaCRLIndicator(5), True)]
    other = office.listing(leaf, extensions=[*mark, (point(only_contains_ca_certs=True), True)])
    forger = Issued(office.authority.certificate, office.root.key)
    forged = office.listing(leaf, extensions=mark, issuer=forger)
    assert told(base, other).standing is Standing.GOOD
    assert told(base, forged).standing is Standing.GOOD


# --- reasons, points, issuers ---------------------------------------------------------------------------------------


def test_lists_by_reason_vouch_together(office: Any, leaf: Issued, told: Callable[..., Revocation]) -> None:
    """§6.3.3 (d), (e): only when all reasons are covered is nobody left to ask."""
    some = frozenset({x509.ReasonFlags.key_compromise, x509.ReasonFlags.ca_compromise})
    first = office.listing(extensions=[(point(only_some_reasons=some), True)])
    rest = office.listing(extensions=[(point(only_some_reasons=scope.ALL - some), True)])
    assert told(first).standing is Standing.UNKNOWN
    assert "do not cover every reason" in told(first).detail
    both = told(first, rest)
    assert both.standing is Standing.GOOD
    assert len(both.consulted) == 2
    assert told(office.listing(leaf, extensions=[(point(only_some_reasons=some), True)])).standing is Standing.REVOKED


def test_an_indirect_list_says_whose_each_entry_is(office: Any, leaf: Issued, told: Callable[..., Revocation]) -> None:
    """§5.3.3: an entry is of the list's issuer until one names another, and of that one from there on."""
    indirect = [(point(indirect_crl=True), True)]
    named = (x509.CertificateIssuer([x509.DirectoryName(office.root.certificate.subject)]), True)
    other = office.leaf()
    before = office.listing(leaf, entry(other, office.at, named), extensions=indirect)
    after = office.listing(entry(other, office.at, named), leaf, extensions=indirect)
    assert told(before).standing is Standing.REVOKED
    assert told(after).standing is Standing.GOOD
    assert told(after, about=other).standing is Standing.GOOD


def test_a_certificate_issuer_in_a_plain_list_stops_it(
    office: Any, leaf: Issued, told: Callable[..., Revocation]
) -> None:
    """The extension has no place in a list that is not indirect: the list is not used, and says why."""
    named = (x509.CertificateIssuer([x509.DirectoryName(office.root.certificate.subject)]), True)
    answer = told(office.listing(entry(leaf, office.at, named)))
    assert answer.standing is Standing.UNKNOWN
    assert "not indirect" in answer.detail


def test_an_indirect_list_of_a_stranger_needs_the_certificates_word(office: Any) -> None:
    """§6.3.3 (b)(1): another issuer's list counts where the certificate names it, signed by whom vouch knows."""
    clerk = office.issue("TEST PLI GREFFE", issuer=office.root, usage=frozenset({"crl_sign"}))
    names = [x509.DirectoryName(clerk.certificate.subject)]
    naming = (x509.CRLDistributionPoints([x509.DistributionPoint(None, None, None, names)]), False)
    indirect = [(point(indirect_crl=True), True)]
    held = Crls(map(crl.read, [office.listing(issuer=clerk, extensions=indirect), office.listing(issuer=office.root)]))
    above = (office.authority.certificate, office.root.certificate)

    def ask(issued: Issued, vouch: Callable[[x509.Certificate], Any]) -> Standing:
        return held.ask(issued.certificate, above, office.at, vouch, (clerk.certificate,)).standing

    def yes(candidate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        return candidate, office.root.certificate

    assert ask(office.leaf(naming), yes) is Standing.GOOD
    assert ask(office.leaf(naming), lambda _: None) is Standing.UNKNOWN
    assert ask(office.leaf(naming), lambda each: (each, office.authority.certificate)) is Standing.UNKNOWN
    assert ask(office.leaf(), yes) is Standing.UNKNOWN


def test_who_signs_a_list_must_be_in_good_standing(office: Any, leaf: Issued) -> None:
    """§6.3.3 (f): the path of a list's signer is asked about too; two that vouch for each other vouch for nobody."""
    twin = office.issue("TEST PLI AUTORITE", issuer=office.root, usage=frozenset({"crl_sign"}))
    by_twin = office.listing(issuer=twin)
    above = (office.authority.certificate, office.root.certificate)

    def ask(*ders: bytes) -> Standing:
        held = Crls(map(crl.read, ders))
        path = lambda each: (each, office.root.certificate)  # noqa: E731
        return held.ask(leaf.certificate, above, office.at, path, (twin.certificate,)).standing

    assert ask(by_twin, office.listing(issuer=office.root)) is Standing.GOOD
    assert ask(by_twin, office.listing(twin, issuer=office.root)) is Standing.UNKNOWN
    assert ask(by_twin) is Standing.UNKNOWN


def test_a_list_for_each_key_is_heard(office: Any, leaf: Issued) -> None:
    """An authority whose key was renewed keeps two lists: the newer, by the new key, does not hide the older."""
    renewed = office.issue("TEST PLI AUTORITE", issuer=office.root, authority=True)
    above = (office.authority.certificate, renewed.certificate, office.root.certificate)
    newer = office.listing(issuer=renewed, at=office.at + timedelta(hours=1))
    for older, answer in ((office.listing(leaf), Standing.REVOKED), (office.listing(), Standing.GOOD)):
        held = Crls(map(crl.read, [older, newer]))
        assert held.ask(leaf.certificate, above, office.at + timedelta(hours=2)).standing is answer


def test_an_entry_that_is_critical_and_unknown_stops_the_list(
    office: Any, leaf: Issued, told: Callable[..., Revocation]
) -> None:
    """RFC 5280 §5.3: the whole list, though the entry is another's."""
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.999.1"), b"\x05\x00")
    for critical, answer in ((True, Standing.UNKNOWN), (False, Standing.GOOD)):
        der = office.listing(entry(office.leaf(), office.at, (odd, critical)))
        assert told(der).standing is answer


def test_grace_is_policy_and_leaves_a_mark(office: Any, told: Callable[..., Revocation]) -> None:
    """Within it a list that is over vouches, marked; after it nobody can tell; a revocation needs no grace."""
    late = office.at + DAY + timedelta(hours=3)
    for hours, answer in ((0, Standing.STALE), (2, Standing.STALE), (4, Standing.GOOD)):
        said = told(office.listing(), at=late, patience=Patience(grace=timedelta(hours=hours)))
        assert said.standing is answer
        assert [each.stale for each in said.consulted] == [True] * (answer is Standing.GOOD)


def test_why_nobody_can_tell(office: Any, told: Callable[..., Revocation]) -> None:
    """No list, one signed by nobody who may, one that is over: each has its words."""
    forger = Issued(office.authority.certificate, office.root.key)
    name = "CN=TEST PLI AUTORITE"
    assert told().detail == f"no list of {name}"
    assert "signed by a key that counts" in told(office.listing(issuer=forger)).detail
    assert "over since 2026-11-26T09:30:00Z" in told(office.listing(), at=office.at + 9 * DAY).detail


@pytest.mark.parametrize(
    ("module", "check", "off"),
    [
        (crl, "signature_holds", lambda *_: True),
        (crl, "may_sign", lambda *_: True),
        (scope, "covered", lambda *_: scope.ALL),
        (revocation, "named", lambda *_: None),
        (crl, "_unknown", lambda *_: ""),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_each_check_is_one_function(
    office: Any,
    leaf: Issued,
    told: Callable[..., Revocation],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    check: str,
    off: Callable[..., Any],
) -> None:
    """With one check switched off, exactly what it refuses passes."""
    forger = Issued(office.authority.certificate, office.root.key)
    mute = office.issue("TEST PLI AUTORITE", issuer=office.root, usage=frozenset({"key_cert_sign"}))
    odd = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.999.1"), b"\x05\x00"), True)
    refused: dict[str, tuple[bytes, Sequence[x509.Certificate]]] = {
        "signature_holds": (office.listing(issuer=forger), ()),
        "may_sign": (office.listing(issuer=mute), (mute.certificate,)),
        "covered": (office.listing(extensions=[(point(only_contains_ca_certs=True), True)]), ()),
        "named": (office.listing(leaf, at=office.at + timedelta(minutes=5)), ()),
        "_unknown": (office.listing(extensions=[odd]), ()),
    }
    monkeypatch.setattr(module, check, off)
    root = office.listing(issuer=office.root)
    path = lambda each: (each, office.root.certificate)  # noqa: E731
    passing = {
        name for name, (der, near) in refused.items()
        if told(der, root, vouch=path, near=near).standing is Standing.GOOD
    }  # fmt: skip
    # where signatures do not matter, the mute authority's list passes for one of the authority that may sign
    assert passing == {check} | ({"may_sign"} if check == "signature_holds" else set())


# --- odd bytes ------------------------------------------------------------------------------------------------------


def test_whatever_one_byte_of_a_list_is_changed_to(office: Any, leaf: Issued, told: Callable[..., Revocation]) -> None:
    """Each byte changed: a ValueError, or a list that says nothing any more, never a surprise."""
    extensions = [(x509.CRLNumber(5), False), (point(only_contains_user_certs=True), True)]
    der = office.listing(leaf, extensions=extensions)
    for place in range(len(der)):
        for value in (0x00, 0x03, der[place] ^ 0x01, 0xFF):
            changed = der[:place] + bytes([value]) + der[place + 1 :]
            if changed == der:
                continue
            try:
                assert told(changed).standing in (Standing.UNKNOWN, Standing.REVOKED)
            except ValueError:
                continue


def test_a_strangers_odd_certificate_signs_no_list(office: Any, leaf: Issued) -> None:
    """A hint whose name the library cannot hold is passed over."""
    good = office.issue("odd", issuer=office.root)
    text = bytes.fromhex("0603550403") + b"\x0c\x03odd"
    odd = x509.load_der_x509_certificate(good.der.replace(text, text[:5] + b"\x03\x03odd"))
    held = Crls(map(crl.read, [office.listing(issuer=Issued(office.authority.certificate, office.root.key))]))
    above = (office.authority.certificate, office.root.certificate)
    assert held.ask(leaf.certificate, above, office.at, lambda _: None, (odd,)).standing is Standing.UNKNOWN
