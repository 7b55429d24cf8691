"""S/MIME around a letter: making multipart/signed on the way out, and saying on entry whose word covers what.

Promises: a letter that arrived signed is never signed again nor touched; what we sign is 7-bit first;
Subject, X-MSS-* and every field that is not Content-* stay outside; a signature that covers less than the
whole letter is PARTIAL and speaks for nobody. Does not: know about CMS (certs.cms does) or decide what
happens to a letter (policy does).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from certs import cms, profiles
from certs.chain import TrustStore
from certs.keys import SEAL_LOCAL_PART
from certs.keys import Signer as KeySigner
from certs.model import CannotTell, Fault, Identity, Proof, Trusted
from directory import address
from directory.model import Address
from relay import canonical
from relay.fields import Malformed
from relay.message import OWN_FAMILY, Message, Part, scan
from relay.model import SignatureState, Signer, Verdict

CLOCKS_DIFFER = timedelta(minutes=5)
SIGNATURE_MOST = 256 * 1024

_PKCS7_SIGNATURE = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_PKCS7 = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_SEALED = frozenset({"multipart/signed", "multipart/encrypted", *_PKCS7})


def already_signed(message: Message) -> bool:
    """Signed or encrypted by its author: passed on as it is."""
    return message.root.type in _SEALED


# --- the way out --------------------------------------------------------------------------------------------


def sign(raw: bytes, signer: KeySigner, at: datetime) -> bytes:
    """The letter as multipart/signed (RFC 8551 §3.5.3). Raises Malformed if it cannot be scanned."""
    message = scan(raw)
    signed = canonical.content(message)
    signature = cms.sign(signed, signer, at)
    # Not in the content: it would have to hold its own hash
    boundary = "pli-" + hashlib.sha256(signed).hexdigest()[:40]
    outer = _outer(message)
    return b"".join((*outer, _opening(boundary), signed, _closing(boundary, signature)))


def _outer(message: Message) -> list[bytes]:
    left_inside = ("content-", OWN_FAMILY)
    kept = [each for each in message.headers if not each.name.lower().startswith(left_inside)]
    lines = [message.raw[each.span[0] : each.span[1]] for each in kept]
    versions = [] if message.values("MIME-Version") else [b"MIME-Version: 1.0\r\n"]
    return [*lines, *versions]


def _opening(boundary: str) -> bytes:
    # RFC 8551 §3.5.3.2: micalg from its table
    return (
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
        f'\tmicalg=sha-256; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
    ).encode()


def _closing(boundary: str, signature: bytes) -> bytes:
    text = base64.encodebytes(signature).replace(b"\n", b"\r\n")
    head = (
        f"\r\n--{boundary}\r\n"
        'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'
    )
    return head.encode() + text + f"\r\n--{boundary}--\r\n".encode()


# --- on entry -----------------------------------------------------------------------------------------------


def judge(message: Message, store: TrustStore, at: datetime) -> Verdict:
    """Whose signature covers the letter. `at` is the moment of entry."""
    verdict = _signature(message, store, at)
    return replace(verdict, findings=(*verdict.findings, *_findings(message)))


def _signature(message: Message, store: TrustStore, at: datetime) -> Verdict:
    root = message.root
    if root.type == "multipart/signed":
        return _clear_signed(message, root, store, at)
    if root.type in _PKCS7 and root.params.get("smime-type", "").lower() == "signed-data":
        return _opaque(message, root, store, at)
    if any(part.type == "multipart/signed" for part in message.parts):
        # A list or a gateway put something beside the signed part: nobody signed the whole
        return Verdict(SignatureState.PARTIAL, findings=("smime.covers-a-part",))
    return Verdict()


def _clear_signed(message: Message, root: Part, store: TrustStore, at: datetime) -> Verdict:
    children = message.children(root)
    if len(children) == 2 and children[1].type not in _PKCS7_SIGNATURE:
        return Verdict(SignatureState.CANNOT_TELL, fault=Fault.UNSUPPORTED)  # e.g. OpenPGP
    if len(children) != 2:  # RFC 1847 §2.1: exactly two
        return Verdict(SignatureState.INVALID, fault=Fault.UNREADABLE)
    try:
        signature = children[1].decode(SIGNATURE_MOST)
    except Malformed:
        return Verdict(SignatureState.INVALID, fault=Fault.UNREADABLE)
    proof = cms.verify(signature, children[0].raw, store, profiles.SMIME, at)
    return _whole(message, _of(message, proof, at))


def _opaque(message: Message, root: Part, store: TrustStore, at: datetime) -> Verdict:
    """RFC 8551 §3.5.2. Its parts stay closed to finders: what they read is what everybody sees."""
    try:
        data = root.decode()
        content = cms.encapsulated(data)
    except ValueError:
        return Verdict(SignatureState.INVALID, fault=Fault.UNREADABLE, findings=("smime.opaque",))
    if content is None:
        return Verdict(SignatureState.INVALID, fault=Fault.UNREADABLE, findings=("smime.opaque",))
    verdict = _whole(message, _of(message, cms.verify(data, content, store, profiles.SMIME, at), at))
    return replace(verdict, findings=(*verdict.findings, "smime.opaque"))


def _whole(message: Message, verdict: Verdict) -> Verdict:
    """A header that says twice what the letter is may show another reader another letter (signature spoofing,
    2019)."""
    if verdict.signature is SignatureState.VALID and "mime.repeated-field" in message.defects:
        return replace(verdict, signature=SignatureState.PARTIAL, signer=None)
    return verdict


def _of(message: Message, proof: Proof, at: datetime) -> Verdict:
    trust = proof.trust
    if not isinstance(trust, Trusted):
        cannot = isinstance(trust, CannotTell)
        state = SignatureState.CANNOT_TELL if cannot else SignatureState.INVALID
        return _about(Verdict(state, fault=trust.fault), trust.identity)
    author = _author(message)
    signer, odd = _signer(trust.identity, author)
    late = proof.signing_time is not None and proof.signing_time > at + CLOCKS_DIFFER
    findings = (*odd, *(("smime.signed-in-the-future",) if late else ()))
    return _about(Verdict(SignatureState.VALID, signer, findings=findings), trust.identity)


def _about(verdict: Verdict, identity: Identity | None) -> Verdict:
    if identity is None:
        return verdict
    name = identity.organisation if verdict.signer is Signer.ESTABLISHMENT else identity.common_name
    return replace(verdict, signer_name=name, signer_fingerprint=identity.fingerprint)


def _author(message: Message) -> Address | None:
    """The one author, or None: a signature then speaks for its own holder only."""
    try:
        authors = message.authors
    except address.BadAddress:
        return None
    return authors[0] if len(authors) == 1 else None


def _signer(identity: Identity, author: Address | None) -> tuple[Signer, tuple[str, ...]]:
    """Whose name it is, and findings. Addresses are compared whole after a strict parse: RFC 5280 §7.5, and
    CVE-2026-2748 (white space in a certificate's address)."""
    names, odd = set(), False
    for written in identity.addresses:
        try:
            names.add(address.parse(written))
        except address.BadAddress:
            odd = True
    findings = ("certificate.odd-address",) if odd else ()
    if author is not None and author in names:
        return Signer.MAILBOX, findings
    if author is not None and Address(SEAL_LOCAL_PART, author.domain) in names:
        return Signer.ESTABLISHMENT, findings
    return Signer.AUTHOR, findings


def _findings(message: Message) -> tuple[str, ...]:
    """Names of what a person should know, CVE-2026-27443 among them: our fields where no reader of ours
    looks."""
    found = []
    if _author(message) is None:
        found.append("from.not-one")
    if any(each.name.lower().startswith(OWN_FAMILY) for each in message.headers):
        found.append("own-field.outside")
    if any(each.name.lower().startswith(OWN_FAMILY) for part in message.parts[1:] for each in part.fields):
        found.append("own-field.inside")
    return tuple(found)
