"""S/MIME around a letter: signing and encrypting on the way out, and saying on entry whose word covers what.

Promises: a letter that arrived signed is never signed again nor touched; what we sign or encrypt is 7-bit
first; Subject, X-MSS-* and every field that is not Content-* stay outside; VALID is said only where every signer of
the whole letter is trusted, nothing about its tree or header is in doubt, and the certificate does not name another
address than From. Does not: know about CMS (certs does), walk the tree (relay.coverage does) or decide what
happens to a letter (policy does).
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from certs import cms, envelope
from certs import evidence as kept
from certs.chain import TrustStore
from certs.contents import CIPHERS
from certs.envelope import FACTORY, Recipe
from certs.keys import SEAL_LOCAL_PART
from certs.keys import Signer as KeySigner
from certs.model import CannotTell, Fault, Identity, Proof, Trusted, Untrusted
from directory import address
from directory.model import Address
from relay import canonical, coverage, protected
from relay.coverage import PKCS7, Coverage, Covered, Kind
from relay.message import OWN_FAMILY, Message, scan
from relay.model import SignatureState, Signer, Verdict

CLOCKS_DIFFER = timedelta(minutes=5)

_SEALED = frozenset({"multipart/signed", "multipart/encrypted", *PKCS7})
# RFC 8551 §3.5.3.2
_MICALG = {"sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"}
# RFC 5322 §3.6: at most one of each
_ONCE = ("Sender", "Reply-To", "To", "Cc", "Message-ID", "In-Reply-To", "References", "Subject", "Date")
_PIECE = 57 * 4096
"""Bytes: whole lines of base64."""
_STRUCTURE = re.compile(r"[13]\d{9,14}")
# surname and givenName, by name or by number (RFC 4514 §2.3)
_PERSON = re.compile(r"(?:^|[,+])(?:SN|GN|GIVENNAME|SURNAME|2\.5\.4\.4|2\.5\.4\.42)=", re.IGNORECASE)


def already_signed(message: Message) -> bool:
    """Signed or encrypted by its author: passed on as it is."""
    return message.root.type in _SEALED


# --- the way out --------------------------------------------------------------------------------------------


def sign(raw: bytes, signer: KeySigner, at: datetime, hash_name: str = "sha256") -> bytes:
    """The letter as multipart/signed (RFC 8551 §3.5.3). Raises Malformed if it cannot be scanned."""
    message = scan(raw)
    signed = canonical.content(message)
    signature = cms.sign(signed, signer, at, hash_name)
    # Not in the content: it would have to hold its own hash
    boundary = "pli-" + hashlib.sha256(signed).hexdigest()[:40]
    outer = _outer(message)
    return b"".join((*outer, _opening(boundary, hash_name), signed, _closing(boundary, signature)))


def sign_opaque(raw: bytes, signer: KeySigner, at: datetime, hash_name: str = "sha256") -> bytes:
    """The letter as application/pkcs7-mime with its content inside (RFC 8551 §3.5.2). Raises Malformed."""
    message = scan(raw)
    signed = cms.sign(canonical.content(message), signer, at, hash_name, inside=True)
    return _pkcs7(_outer(message), "signed-data", signed)


def encrypt(raw: bytes, certificates: Sequence[bytes], recipe: Recipe = FACTORY) -> bytes:
    """The letter for the holders of these DER certificates, as application/pkcs7-mime (RFC 8551 §3.3, §3.4).

    Bcc stays out. Raises Malformed, and ValueError naming the certificates that cannot be used.
    """
    message = scan(raw)
    return _enveloped(message, envelope.encrypt(canonical.content(message), certificates, recipe), recipe)


def encrypt_apart(
    raw: bytes, certificates: Sequence[bytes], hidden: Sequence[bytes], recipe: Recipe = FACTORY
) -> tuple[bytes, ...]:
    """One letter for those whom everybody sees, if there are any, then one for each Bcc: nobody reads in another's
    letter who else has it (RFC 8551 §3.3). Raises as `encrypt` does."""
    message = scan(raw)
    shared, each = envelope.apart(canonical.content(message), certificates, hidden, recipe)
    return tuple(_enveloped(message, data, recipe) for data in (*((shared,) if shared else ()), *each))


def _enveloped(message: Message, data: bytes, recipe: Recipe) -> bytes:
    fields = [line for line in _outer(message) if not line.lower().startswith(b"bcc:")]
    kind = "authEnveloped-data" if CIPHERS[recipe.content].mode == "gcm" else "enveloped-data"
    return _pkcs7(fields, kind, data)


def _pkcs7(fields: Sequence[bytes], kind: str, data: bytes) -> bytes:
    """RFC 8551 §3.2.1, §3.2.2: old readers go by the name. Written by pieces: it is the largest thing at hand."""
    head = (
        f'Content-Type: application/pkcs7-mime; smime-type={kind};\r\n\tname="smime.p7m"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="smime.p7m"\r\n\r\n'
    )
    out = io.BytesIO()
    out.writelines((*fields, head.encode()))
    for at in range(0, len(data), _PIECE):
        out.write(base64.encodebytes(data[at : at + _PIECE]).replace(b"\n", b"\r\n"))
    return out.getvalue()


def _outer(message: Message) -> list[bytes]:
    left_inside = ("content-", OWN_FAMILY)
    kept = [each for each in message.headers if not each.name.lower().startswith(left_inside)]
    lines = [message.raw[each.span[0] : each.span[1]] for each in kept]
    versions = [] if message.values("MIME-Version") else [b"MIME-Version: 1.0\r\n"]
    return [*lines, *versions]


def _opening(boundary: str, hash_name: str) -> bytes:
    return (
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
        f'\tmicalg={_MICALG[hash_name]}; boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
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
    found = coverage.of(message, store, at)
    inside = protected.of(message, found.payload)
    verdict = _verdict(message, found, at)
    doubts = (*found.doubts, *header_doubts(message), *inside.findings)
    if verdict.signature is SignatureState.VALID and (doubt := _decisive(doubts)):
        verdict = replace(verdict, signature=SignatureState.PARTIAL, signer=None, fault=doubt)
    odd = (*verdict.findings, *_outer_findings(message), *found.findings, *doubts)
    return replace(verdict, findings=tuple(dict.fromkeys(odd)))


def _decisive(doubts: Sequence[str]) -> str:
    """The first doubt that takes the word away; what only differs inside, other than From, is told and no more."""
    told_only = ("header.differs:", "own-field.")
    grave = [each for each in doubts if each.lower() == "header.differs:from" or not each.startswith(told_only)]
    return grave[0] if grave else ""


def _verdict(message: Message, found: Coverage, at: datetime) -> Verdict:
    whole = [each for each in found.covered if each.whole]
    if not whole:
        # A list or a gateway put something beside the signed part: nobody signed the whole
        partial = Verdict(SignatureState.PARTIAL, fault="smime.covers-a-part", findings=("smime.covers-a-part",))
        return partial if found.covered else Verdict()
    proofs = tuple(proof for each in whole for proof in each.proofs)
    verdict = _of_all(message, proofs, at)
    return replace(verdict, findings=(*verdict.findings, *_how_signed(found, whole)), evidence=_evidence(proofs))


def _how_signed(found: Coverage, whole: Sequence[Covered]) -> Iterator[str]:
    if any(len(each.proofs) > 1 for each in whole):
        yield "smime.several-signers"
    if len(whole) > 1:
        yield "smime.signed-in-signed"
    if any(each.kind is Kind.TRIPLE for each in whole):
        yield "smime.covers-ciphertext"
    if any(not proof.valid for each in found.covered if not each.whole for proof in each.proofs):
        yield "smime.inner-not-valid"


def _of_all(message: Message, proofs: Sequence[Proof], at: datetime) -> Verdict:
    """VALID only if each signer is; then the one whose name says most about the author speaks."""
    refused = [each.trust for each in proofs if isinstance(each.trust, Untrusted)]
    doubted = [each.trust for each in proofs if isinstance(each.trust, CannotTell)]
    if refused or doubted or not proofs:
        return _not_believed(refused[0] if refused else doubted[0] if doubted else None)
    author = _author(message)
    verdicts = [_believed(each, author, at) for each in proofs]
    best = min(verdicts, key=_rank)
    others = (name for each in verdicts for name in each.findings)
    return replace(best, findings=tuple(dict.fromkeys((*best.findings, *others))))


def _rank(verdict: Verdict) -> tuple[bool, int]:
    order = [Signer.MAILBOX, Signer.ESTABLISHMENT, Signer.AUTHOR]
    return verdict.signature is not SignatureState.VALID, order.index(verdict.signer or Signer.AUTHOR)


def _not_believed(trust: Untrusted | CannotTell | None) -> Verdict:
    state = SignatureState.CANNOT_TELL if isinstance(trust, CannotTell) else SignatureState.INVALID
    verdict = Verdict(state, fault=trust.fault if trust else Fault.NO_SIGNER)
    return _about(verdict, trust.identity if trust else None)


def _believed(proof: Proof, author: Address | None, at: datetime) -> Verdict:
    """A trusted signature: whose name it is, and whether that name is the author's."""
    assert isinstance(proof.trust, Trusted)
    identity = proof.trust.identity
    signer, odd = _signer(identity, author)
    late = proof.signing_time is not None and proof.signing_time > at + CLOCKS_DIFFER
    findings = (*odd, *(("smime.signed-in-the-future",) if late else ()))
    verdict = _about(Verdict(SignatureState.VALID, signer, findings=findings), identity)
    if signer is Signer.AUTHOR and names_another(identity, author):
        told = (*findings, "from.differs-from-certificate")
        return replace(verdict, signature=SignatureState.PARTIAL, fault=Fault.WRONG_NAME, findings=told)
    return verdict


def names_another(identity: Identity, author: Address | None) -> bool:
    """RFC 8550 §3: where a certificate has mail addresses, From must be one of them. Without any it proves
    its holder, and nothing about an address."""
    return author is None or bool(identity.addresses or identity.utf8_addresses)


def _about(verdict: Verdict, identity: Identity | None) -> Verdict:
    if identity is None:
        return verdict
    organisation = verdict.signer is Signer.ESTABLISHMENT and identity.organisation
    name = identity.organisation if organisation else identity.common_name
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
    if author is not None and Address(SEAL_LOCAL_PART, author.domain) in names:  # RFC 3183 §3.1
        return Signer.ESTABLISHMENT, findings
    if not identity.addresses and _is_an_organisation(identity):
        own = author is not None and identity.common_name.lower() == author.domain
        return Signer.ESTABLISHMENT, findings if own else (*findings, "seal.names-no-domain")
    return Signer.AUTHOR, findings


def _is_an_organisation(identity: Identity) -> bool:
    """IGC-Santé: an organisation's certificate has its national identifier as OU, and no person's name
    (spec/operator.md §2.2)."""
    return bool(_STRUCTURE.fullmatch(identity.unit)) and not _PERSON.search(identity.subject)


def header_doubts(message: Message) -> Iterator[str]:
    """A header that says twice what the letter is may show another reader another letter (signature spoofing,
    2019)."""
    if "mime.repeated-field" in message.defects:
        yield "mime.repeated-field"
    if _author(message) is None:
        yield "from.not-one"
    for name in _ONCE:
        if len(message.values(name)) > 1:
            yield f"header.repeated:{name}"


def _outer_findings(message: Message) -> tuple[str, ...]:
    """Names of what a person should know, CVE-2026-27443 among them."""
    found = []
    if any(each.name.lower().startswith(OWN_FAMILY) for each in message.headers):
        found.append("own-field.outside")
    if _sent_by_another(message):
        found.append("sender.differs")
    return tuple(found)


def _sent_by_another(message: Message) -> bool:
    """Some readers show Sender, some compare it with the certificate; we compare From, and say that they differ."""
    if not message.values("Sender"):
        return False
    try:
        senders = message.addresses("Sender")
    except address.BadAddress:
        return True
    return senders != (_author(message),)


# --- evidence -----------------------------------------------------------------------------------------------


def _evidence(proofs: Sequence[Proof]) -> tuple[dict[str, Any], ...]:
    """JSON-able: on what each signer's answer stands, so that it can be judged again later."""
    return tuple(map(evidence, proofs))


def evidence(proof: Proof) -> dict[str, Any]:
    """One signer: the answer, its algorithms, and the chain and lists that were looked at."""
    trust = proof.trust
    told: dict[str, Any] = {"digest": proof.digest_algorithm, "signature": proof.signature_algorithm}
    if proof.signing_time is not None:
        told["signed_at"] = proof.signing_time.isoformat()
    if not isinstance(trust, Trusted):
        answer = "cannot-tell" if isinstance(trust, CannotTell) else "untrusted"
        holder = {"signer": trust.identity.fingerprint} if trust.identity else {}
        return {"answer": answer, "fault": trust.fault.value, "check": trust.check, **holder, **told}
    return {"answer": "trusted", "signer": trust.identity.fingerprint, **told, **kept.summary(trust.evidence)}
