"""Revocation lists clause by clause (RFC 5280 §5.2, §5.3, §6.3.3): deltas, reasons, points, issuers, odd bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from certs import crl, revocation, scope
from certs.revocation import Crls, Patience, Revocation, Standing
from certs.throwaway import Issued
from tests.certs.test_revocation import DAY, point

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
