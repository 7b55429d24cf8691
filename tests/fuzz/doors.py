"""The doors through which strangers' bytes come in, each with what must hold for any bytes whatever.

Promises: `door(data)` returns for every input, or something is wrong: Broken where a promise does not hold, any other
exception where the code let one out that it does not document. Does not: import the fuzzer; a kept input is replayed
in an ordinary test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from certs import asn1, attributes, ber, cms, envelope, enveloped, profiles, signed
from certs.cursor import MAX_PART, Cursor
from certs.model import Fault, Proof
from relay import canonical, coverage, message, opening, smime
from relay.fields import Malformed
from relay.message import Message, Part
from relay.model import SignatureState, Signer, Verdict
from tests.fuzz import bus, dossier, feed, frames, identities, lines, reading
from tests.fuzz.promises import Broken, Door, holds
from tests.fuzz.world import CONTENT, ENTITIES, FROM, NOW, OTHER, SECRET, world

__all__ = ["DOORS", "Broken", "Door", "holds"]

# --- the BER reader -------------------------------------------------------------------------------------------

_TYPES: tuple[type[Any], ...] = (
    asn1.ContentInfo, asn1.SignedData, asn1.SignerInfo, asn1.Attribute, asn1.SigningCertificateV2,
    asn1.SigningCertificate, asn1.AlgorithmProtection, enveloped.KeyTransRecipientInfo,
    enveloped.KeyAgreeRecipientInfo, enveloped.OriginatorPublicKey, enveloped.GcmParameters,
)  # fmt: skip


def ber_reader(data: bytes) -> None:
    """certs.ber, certs.cursor, certs.asn1."""
    for kind in _TYPES:
        with suppress(ValueError):
            asn1.decode_der(kind, data)
    with suppress(ValueError):
        attributes.read(asn1.decode_der(asn1.SignerInfo, data).signed_attributes or [])
    with suppress(ValueError):
        list(ber.members(data))
    _pieces(data)
    try:
        whole = ber.normalise(data)
    except ValueError:
        holds(not is_der(data), "DER is read")
        return
    holds(ber.normalise(whole) == whole, "normalise is idempotent")
    holds(ber.settled(data) == (whole == data), "what is settled comes back as it is")
    holds(not is_der(data) or whole == data, "DER in is DER out")
    holds(is_der(whole), "what comes out is DER but for the order in sets")
    holds(b"".join(ber.members(whole)) == whole and ber.content(whole) is not None, "one value, wholly")
    _part(data, whole)


def _pieces(data: bytes) -> None:
    """An octet string as views is the octet string that normalise reads."""
    cursor = Cursor(data)
    try:
        pieces = cursor.octets(0x04)
        cursor.finish()
    except ValueError:
        return
    try:
        whole = ber.normalise(data)
    except ValueError:
        raise Broken("octets reads what normalise does not") from None
    holds(b"".join(pieces) == ber.content(whole), "pieces join to the octet string")
    holds(pieces.size == len(ber.content(whole)), "the size is that of the pieces")


def _part(data: bytes, whole: bytes) -> None:
    if len(data) <= MAX_PART:
        cursor = Cursor(data)
        try:
            part = cursor.part()
        except ValueError:
            raise Broken("part does not read what normalise reads") from None
        holds(part == whole, "part and normalise agree")
        cursor.finish()


def is_der(data: bytes, depth: int = 0) -> bool:
    """One value, each length the shortest, no octet string in pieces: written anew, without our reader."""
    if depth > ber.MAX_DEPTH:
        return False
    value = _one(data)
    if value is None or value[2]:
        return False
    if not data[0] & 0x20:
        return True
    return data[0] != 0x24 and _row(value[1], depth + 1)


def _row(inside: bytes, depth: int) -> bool:
    while inside:
        value = _one(inside)
        if value is None:
            return False
        size = len(inside) - len(value[2])
        if not is_der(inside[:size], depth):
            return False
        inside = value[2]
    return True


def _one(data: bytes) -> tuple[int, bytes, bytes] | None:
    """(tag, content, what follows) of the first value, if its header is DER with a one-byte tag."""
    if len(data) < 2 or data[0] & 0x1F == 0x1F or data[1] in (0x80, 0xFF):
        return None
    start, size = 2, data[1]
    if size > 0x80:
        start += size - 0x80
        octets = data[2:start]
        size = int.from_bytes(octets, "big")
        if not octets or octets[0] == 0 or size < 0x80 or len(octets) > 8:
            return None
    if start + size > len(data):
        return None
    return data[0], data[start : start + size], data[start + size :]


# --- CMS ------------------------------------------------------------------------------------------------------

LENIENT = cms.Policy(without_attributes=True)


def cms_reader(data: bytes) -> None:
    """certs.cms and certs.envelope: signatures, what is inside, and what is encrypted."""
    kind = cms.kind(data)
    inside = _answer(cms.encapsulated, data)
    certificates = _answer(cms.certificates, data)
    holds(certificates is None or kind == "certs-only", "certificates are read of certs-only messages")
    for policy in (cms.STRICT, LENIENT):
        _nothing_else_is_proven(data, inside, policy)
    _readers_agree(data)
    _envelopes_agree(data)
    _encrypted(data, kind)


def _answer(ask: Callable[[bytes], Any], data: bytes) -> Any:
    """None where it raises what it documents."""
    try:
        return ask(data)
    except ValueError:
        return None


def _nothing_else_is_proven(data: bytes, inside: bytes | None, policy: cms.Policy) -> None:
    """Whatever was done to a signature, it never speaks for another content than was signed."""

    def asked(content: bytes | None) -> tuple[Proof, ...]:
        found = cms.proofs(data, content, world().store, profiles.SMIME, NOW, policy=policy)
        holds(found, "at least one answer")
        return found

    holds(not any(each.valid for each in asked(OTHER)), "another content is never proven")
    if any(each.valid for each in asked(None)):
        holds(inside == CONTENT, "what is proven inside is what was signed")
    if any(each.valid for each in asked(CONTENT)):
        holds(inside in (None, CONTENT), "no other content lies inside")


def _readers_agree(data: bytes) -> None:
    """DER by the library and BER in one pass, where both read: the same message."""
    try:
        quick, slow = signed.der(data), signed.indefinite(data)
    except (ValueError, signed.NotSigned):
        return
    holds(_told(quick) == _told(slow), "both readers agree")


def _told(found: signed.Signed) -> object:
    inside = None if found.inside is None else b"".join(found.inside)
    parts = [[_normal(each) for each in group] for group in (found.certificates, found.signers)]
    return found.digests, found.content_type, inside, parts


def _envelopes_agree(data: bytes) -> None:
    """What the quick reader of envelopes reads, the other reads, and the same."""
    try:
        quick = enveloped.der(data)
    except (ValueError, enveloped.NotYet):
        return
    holds(_sealed(quick) == _sealed(enveloped.indefinite(data)), "both readers of envelopes agree")


def _sealed(found: enveloped.Envelope) -> object:
    algorithm = [_normal(asn1.whole(each)) for each in found.algorithm]
    told = (found.authenticated, found.recipients, found.content_type, found.attributes, found.mac)
    return algorithm, b"".join(found.pieces), told


def _normal(der: bytes) -> bytes:
    return _answer(ber.normalise, der) or der


def _encrypted(data: bytes, kind: str) -> None:
    _answer(envelope.recipients, data)
    _answer(envelope.algorithm, data)
    answer = envelope.decrypt(data, (world().reader, world().rsa_reader))
    if isinstance(answer, envelope.Opened):
        holds(kind in ("enveloped-data", "authEnveloped-data"), "what opens is encrypted")
        holds(not answer.authenticated or answer.content == SECRET, "authenticated content is what was encrypted")
        holds(answer.authenticated == (kind == "authEnveloped-data"), "authenticated by its type")
    else:
        holds(isinstance(answer.fault, Fault) and answer.check, "a refusal names its check")


# --- the MIME tree --------------------------------------------------------------------------------------------


def mime_tree(data: bytes) -> None:
    """relay.message, relay.smime, relay.opening: a letter, read and judged."""
    try:
        found = message.scan(data)
    except Malformed:
        return
    _spans(found)
    holds(isinstance(found.subject, str) and isinstance(found.message_id, str), "a subject is text")
    message.automatic(found, null_sender=False)
    for part in found.parts:
        with suppress(Malformed):
            part.decode()
        holds(isinstance(part.filename, str), "a name is text")
    with suppress(Malformed):
        canonical.content(found)
    with suppress(Malformed):  # its first block is read anew
        rest = message.scan(message.without_own_headers(data))
        holds(not any(each.name.lower().startswith("x-pli-") for each in rest.headers), "our fields are taken out")
    verdict = smime.judge(found, world().store, NOW)
    _word(found, verdict)
    _opening(found, verdict)


def _spans(found: Message) -> None:
    """Every byte has its place: header, empty line, body; fields one after the other; parts in order, in their part."""
    root = found.root
    holds(root.header_span[0] == 0 and root.body_span[1] == len(found.raw), "the root is the whole")
    for part in found.parts:
        gap = found.raw[part.header_span[1] : part.body_span[0]]
        holds(gap in (b"", b"\r\n", b"\n"), "between header and body is an empty line")
        holds(part.header_span[0] <= part.header_span[1] <= part.body_span[0] <= part.body_span[1], "spans are ordered")
        _in_a_row([each.span for each in part.fields], part.header_span, "fields stand in the header, in order")
        children = found.children(part)
        spans = [(each.header_span[0], each.body_span[1]) for each in children]
        _in_a_row(spans, part.body_span, "parts stand in their part, in order")
    starts = [0, *(each.span[1] for each in found.headers)]
    whole = [each.span[0] for each in found.headers] + [root.header_span[1]]
    holds(starts == whole, "the outermost fields leave no gap")


def _in_a_row(spans: Iterable[tuple[int, int]], within: tuple[int, int], promise: str) -> None:
    at = within[0]
    for start, end in spans:
        holds(at <= start <= end <= within[1], promise)
        at = end


def _word(found: Message, verdict: Verdict) -> None:
    """VALID stands over the very entity that was signed, and in no other name."""
    if verdict.signature is not SignatureState.VALID:
        return
    holds(_signed_entity(found) in ENTITIES, "valid is what was signed")
    holds("header.differs:From" not in verdict.findings, "the author outside is the one inside")
    if verdict.signer is Signer.MAILBOX:
        holds([str(each) for each in found.authors] == [FROM], "the author is who signed")


def _signed_entity(found: Message) -> bytes:
    """What lies inside all layers, each of which was signed or encrypted as a whole."""
    entity = b""
    for _ in range(coverage.LAYERS_MOST + 1):
        inside = _layer(found)
        if inside is None:
            return entity
        entity, found = inside, message.scan(inside)
    return entity


def _layer(found: Message) -> bytes | None:
    root: Part = found.root
    if root.type == "multipart/signed":
        return found.children(root)[0].raw
    if not coverage.is_pkcs7(root):
        return None
    data = root.decode()
    if cms.kind(data) == "signed-data":
        return cms.encapsulated(data)
    answer = envelope.decrypt(data, (world().reader, world().rsa_reader))
    return answer.content if isinstance(answer, envelope.Opened) else None


def _opening(found: Message, verdict: Verdict) -> None:
    answer = opening.opened(found, verdict, (world().reader, world().rsa_reader), world().store, NOW)
    holds(answer is None or opening.may_be_encrypted(found.raw), "what opens may be encrypted, at first sight")
    if answer is None or answer.shown is opening.Shown.CLOSED:
        holds(answer is None or answer.letter == found.raw, "a closed letter stays as it came")
        return
    cbc = "cbc" in answer.algorithm
    valid = answer.verdict.signature is SignatureState.VALID
    holds(not cbc or valid or answer.shown is opening.Shown.TEXT_ONLY, "CBC without a word is text only")
    printable = all(each.isprintable() or each == "\n" for each in answer.text)
    holds(printable, "text only is text")


DOORS: dict[str, Door] = {
    "ber": ber_reader, "cms": cms_reader, "mime": mime_tree,
    "commands": lines.command_lines, "addresses": lines.addresses,
    "zip": dossier.zip_reader, "metadata": dossier.metadata, "cda": dossier.cda_reader, "symbols": dossier.symbols,
    "hl7": bus.messages, "identities": identities.feed, "mtom": frames.messages,
    "finess": feed.finess_reader, "ldif": feed.ldif_reader, "table": feed.table_reader,
    "extraction": feed.extraction_reader, "html": reading.html, "letter": reading.letter,
}  # fmt: skip
