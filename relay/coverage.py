"""What part of a letter is covered by which signature: the walk over its tree, and what is odd on the way.

Promises: every S/MIME signature of the letter itself is found (RFC 8551 §3.5), with the answer about each of its
signers; one is `whole` only if nothing of the content lies outside it; layers are opened within a budget; a
message/rfc822 part is another letter and says nothing about this one. Oddities are names, never content. Does not:
compare addresses or make a verdict of it (relay.smime does), nor decrypt (relay.opening does).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from certs import cms, profiles
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Proof, Untrusted
from relay.fields import Malformed
from relay.message import OWN_FAMILY, Message, Part, scan

LAYERS_MOST = 5
"""Signatures and wraps, one in the other: author, gateway, list, and two more."""
SIGNATURE_MOST = 256 * 1024
SIGNATURES_MOST = 10
"""Judged in one letter: each costs a digest, a key operation and a path."""
ENCRYPTED = frozenset({"enveloped-data", "authEnveloped-data", "encrypted-data"})

SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
PKCS7 = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_NAMED = frozenset({"certs-only", "compressed-data", "digested-data", "authenticated-data", "data"})
# RFC 8551 §3.5.3.2, and the older spellings that it lists
_DIGESTS = {"sha256": "sha256", "sha384": "sha384", "sha512": "sha512", "sha1": "sha1", "md5": "md5"}


class Kind(StrEnum):
    CLEAR = "clear"
    """multipart/signed."""
    OPAQUE = "opaque"
    """application/pkcs7-mime with signed-data."""
    TRIPLE = "triple"
    """Either, over something encrypted (RFC 2634 §1.1): it proves who sent the closed letter, not what is in it."""


@dataclass(frozen=True)
class Covered:
    """One signature, and what it is over."""

    path: str
    """The part that carries it; '/' steps into an opaque content."""
    kind: Kind
    proofs: tuple[Proof, ...]
    """One per signer, in their order; one that is Untrusted where nobody signs."""
    whole: bool
    """Nothing of the letter's content lies outside it."""


@dataclass(frozen=True)
class Coverage:
    covered: tuple[Covered, ...] = ()
    """From the outside in."""
    doubts: tuple[str, ...] = ()
    """Findings that take the word away from every signature: another reader may see another letter."""
    findings: tuple[str, ...] = ()
    """Findings that a person may want to know."""
    payload: Part | None = field(default=None, repr=False)
    """What lies inside all signatures of the whole; the root where there is none."""
    encrypted: Part | None = field(default=None, repr=False)
    """The payload, if it is encrypted."""


def is_pkcs7(part: Part) -> bool:
    """By its type or, RFC 8551 §3.9, by a name that mail gateways leave when they take the type away."""
    named = part.type == "application/octet-stream" and part.filename.lower().endswith((".p7m", ".p7c"))
    return part.type in PKCS7 or named


def of(message: Message, store: TrustStore, at: datetime) -> Coverage:
    """The coverage of a letter. `at`: the moment for which certificates are judged."""
    walk = _Walk(store, at)
    walk.step(message, message.root, "", whole=True, layers=0)
    walk.note_fields(message.parts[1:])  # the outermost block is the courier's
    kinds = [Covered(c.path, walk.kind(c), c.proofs, c.whole) for c in walk.covered]
    return Coverage(tuple(kinds), tuple(walk.doubts), tuple(walk.findings), walk.payload, walk.encrypted)


def encrypted(message: Message) -> Part | None:
    """The one entity that is the whole letter and encrypted, whatever signatures are around it; nothing is judged."""
    walk = _Walk(None, None)
    walk.step(message, message.root, "", whole=True, layers=0)
    return walk.encrypted


@dataclass
class _Walk:
    """One walk, and what it has seen. Without a store it only looks for the payload."""

    store: TrustStore | None
    at: datetime | None
    covered: list[Covered] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    payload: Part | None = None
    encrypted: Part | None = None

    def doubt(self, name: str) -> None:
        if name not in self.doubts:
            self.doubts.append(name)

    def find(self, name: str) -> None:
        if name not in self.findings:
            self.findings.append(name)

    def odd(self, name: str, *, whole: bool) -> None:
        """Beside what is signed as a whole it takes no word away."""
        (self.doubt if whole else self.find)(name)

    def kind(self, covered: Covered) -> Kind:
        return Kind.TRIPLE if covered.whole and self.encrypted is not None else covered.kind

    # --- the tree

    def step(self, message: Message, part: Part, prefix: str, *, whole: bool, layers: int) -> None:
        if layers > LAYERS_MOST:
            self.doubt("smime.too-many-layers")
        elif part.type == "multipart/signed":
            self._clear(message, part, prefix, whole=whole, layers=layers)
        elif is_pkcs7(part):
            self._pkcs7(part, prefix + part.path, whole=whole, layers=layers)
        else:
            if whole:
                self.payload = part
            for child in message.children(part):
                self.step(message, child, prefix, whole=False, layers=layers)

    def _clear(self, message: Message, part: Part, prefix: str, *, whole: bool, layers: int) -> None:
        """RFC 1847 §2.1: exactly two parts, the content and its signature."""
        children, path = message.children(part), prefix + part.path
        if len(children) != 2:
            return self._add(path, Kind.CLEAR, _unreadable("mime.two-parts"), whole=whole)
        content, signature = children
        if signature.type not in SIGNATURES:  # e.g. OpenPGP
            self.find("smime.second-part")
            self._add(path, Kind.CLEAR, (Proof(CannotTell(Fault.UNSUPPORTED, check="smime.second-part")),), whole=whole)
        else:
            proofs = self._proofs_of(signature, content)
            self._add(path, Kind.CLEAR, proofs, whole=whole)
            self._name_oddities(message, part, signature, proofs, whole=whole)
        self.step(message, content, prefix, whole=whole, layers=layers + 1)

    def _proofs_of(self, signature: Part, content: Part) -> tuple[Proof, ...]:
        try:
            data = signature.decode(SIGNATURE_MOST)
        except Malformed:
            return _unreadable("smime.signature-encoding")
        return self._proofs(data, content.raw)

    def _proofs(self, data: bytes, content: bytes) -> tuple[Proof, ...]:
        if self.store is None or self.at is None:
            return ()
        if len(self.covered) >= SIGNATURES_MOST:
            self.doubt("smime.too-many-signatures")
            return (Proof(CannotTell(Fault.TOO_LARGE, check="smime.too-many-signatures")),)
        return cms.proofs(data, content, self.store, profiles.SMIME, self.at)

    def _name_oddities(
        self, message: Message, part: Part, signature: Part, proofs: tuple[Proof, ...], *, whole: bool
    ) -> None:
        for odd in _oddities(message, part, signature, proofs):
            self.odd(odd, whole=whole)
        if signature.type != "application/pkcs7-signature":
            self.find("smime.old-name")

    def _pkcs7(self, part: Part, path: str, *, whole: bool, layers: int) -> None:
        """RFC 8551 §3.5.2: what it is, its bytes say; the smime-type only repeats it."""
        if part.type == "application/x-pkcs7-mime":
            self.find("smime.old-name")
        try:
            data = part.decode()
        except Malformed:
            return self._add(path, Kind.OPAQUE, _unreadable("smime.transfer-encoding"), whole=whole)
        kind = cms.kind(data)
        if contradicts(part, kind):
            self.odd("smime.type-contradicts", whole=whole)
        if kind == "signed-data":
            self._opaque(data, path, whole=whole, layers=layers)
        elif kind in ENCRYPTED:
            self._closed(part, kind, whole=whole)
        elif kind == "unreadable":
            self._add(path, Kind.OPAQUE, _unreadable("smime.unreadable"), whole=whole)
        else:  # certs-only, compressed-data, …: named, and no signature over anything
            self.find(f"smime.{kind}" if kind in _NAMED else "smime.unknown-content")
            self.payload = part if whole else self.payload

    def _closed(self, part: Part, kind: str, *, whole: bool) -> None:
        self.find("smime.encrypted" if whole else "smime.encrypted-part")
        if whole:
            self.payload = part
            self.encrypted = part if kind != "encrypted-data" else None

    def _opaque(self, data: bytes, path: str, *, whole: bool, layers: int) -> None:
        self.find("smime.opaque")
        content = _inside(data)
        if content is None:
            return self._add(path, Kind.OPAQUE, _unreadable("smime.no-content"), whole=whole)
        self._add(path, Kind.OPAQUE, self._proofs(data, content), whole=whole)
        try:
            inner = scan(content)
        except Malformed:
            return self.odd("smime.opaque-content", whole=whole)
        if not inner.headers:  # RFC 8551 §3.1: what is signed is a MIME entity, header and body
            self.odd("smime.opaque-content", whole=whole)
        for defect in inner.defects:
            self.odd(defect, whole=whole and defect == "mime.repeated-field")
        self.note_fields(inner.parts)
        self.step(inner, inner.root, f"{path}/", whole=whole, layers=layers + 1)

    def _add(self, path: str, kind: Kind, proofs: tuple[Proof, ...], *, whole: bool) -> None:
        self.covered.append(Covered(path, kind, proofs, whole))

    def note_fields(self, parts: Iterable[Part]) -> None:
        """CVE-2026-27443: our fields below the outermost block, where no reader of ours looks."""
        if any(each.name.lower().startswith(OWN_FAMILY) for part in parts for each in part.fields):
            self.find("own-field.inside")


# --- what is odd --------------------------------------------------------------------------------------------


def _oddities(message: Message, part: Part, signature: Part, proofs: tuple[Proof, ...]) -> Iterator[str]:
    """What a multipart/signed says of itself and is not so."""
    if wrong_protocol(part, signature):
        yield "smime.protocol"
    if contradicted(part.params.get("micalg", ""), proofs):
        yield "smime.micalg"
    if ends_early(message, part):
        yield "smime.after-boundary"


def wrong_protocol(part: Part, signature: Part) -> bool:
    """RFC 1847 §2.1: the protocol is the type of the second part."""
    return part.params.get("protocol", "").lower() != signature.type


def contradicted(micalg: str, proofs: tuple[Proof, ...]) -> bool:
    """RFC 8551 §3.5.3.2: names that we do not know are passed over; one that is known and not used is a lie."""
    told = {_DIGESTS.get(each.strip().lower().replace("-", "").removeprefix("rsa")) for each in micalg.split(",")}
    used = {each.digest_algorithm for each in proofs if each.digest_algorithm}
    known = told - {None}
    return bool(known and used) and not used <= known


def ends_early(message: Message, part: Part) -> bool:
    """Whether words follow the closing delimiter: some readers show them (RFC 2046 §5.1.1 calls them nothing)."""
    children = message.children(part)
    rest = message.raw[children[-1].body_span[1] : part.body_span[1]].lstrip(b"\r\n")
    return bool(rest.partition(b"\n")[2].strip())


def contradicts(part: Part, kind: str) -> bool:
    """Whether the smime-type says that it is something else (RFC 8551 §3.2.2)."""
    said = part.params.get("smime-type", "").lower()
    known = {"signed-data", "certs-only", "enveloped-data", "authenveloped-data", "compressed-data"}
    return said in known and said != kind.lower() and kind != "unreadable"


def _inside(data: bytes) -> bytes | None:
    try:
        return cms.encapsulated(data)
    except ValueError:
        return None


def _unreadable(check: str) -> tuple[Proof, ...]:
    return (Proof(Untrusted(Fault.UNREADABLE, check=check)),)
