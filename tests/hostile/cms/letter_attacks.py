"""Attacks on the letter around a sound signature: its tree, its header, what it says of itself. Data only."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import cache

from certs import cms, envelope
from relay import coverage, smime
from relay.model import SignatureState
from tests.fuzz.world import CONTENT, FROM, LETTER, NOW
from tests.hostile.cms.lab import Attack, Written, ask_letter, lab

PARTIAL, INVALID, UNKNOWN, NONE = (
    SignatureState.PARTIAL.value, SignatureState.INVALID.value, SignatureState.CANNOT_TELL.value,
    SignatureState.NONE.value,
)  # fmt: skip


@cache
def clear() -> bytes:
    """The valid letter that most attacks begin with."""
    return smime.sign(LETTER, lab().author.signer(), NOW)


@cache
def opaque() -> bytes:
    return smime.sign_opaque(LETTER, lab().author.signer(), NOW)


def boundary() -> bytes:
    found = re.search(rb'boundary="([^"]+)"', clear())
    if found is None:
        raise ValueError("no boundary")
    return found[1]


def of(name: str, check: str, state: str, how: Callable[[], bytes], guard: str = "") -> Attack:
    return Attack(name, how, check, state, ask_letter, guard)


def swapped(old: bytes, new: bytes, times: int = 1) -> Callable[[], bytes]:
    """The valid letter with some octets replaced, which are there."""

    def how() -> bytes:
        if old not in clear():
            raise ValueError("not there")
        return clear().replace(old, new, times)

    return how


def _entity(letter: bytes) -> bytes:
    """Content-* fields and body."""
    return letter[letter.index(b"Content-Type") :]


def _header(*lines: bytes) -> bytes:
    return b"\r\n".join((b"From: <" + FROM.encode() + b">", b"MIME-Version: 1.0", *lines)) + b"\r\n"


def mixed(*parts: bytes) -> bytes:
    head = _header(b"Content-Type: multipart/mixed; boundary=outer", b"")
    return head + b"".join(b"--outer\r\n" + each + b"\r\n" for each in parts) + b"--outer--\r\n"


def carried(message: bytes, kind: str = "signed-data") -> bytes:
    """A letter that is this CMS."""
    said = f"Content-Type: application/pkcs7-mime; smime-type={kind}; name=smime.p7m".encode()
    head = _header(said, b"Content-Transfer-Encoding: base64", b"")
    return head + base64.encodebytes(message).replace(b"\n", b"\r\n")


def _signed_opaque(content: bytes) -> bytes:
    return cms.sign(content, lab().author.signer(), NOW, inside=True)


def _three_parts() -> bytes:
    line = b"--" + boundary() + b"--"
    return clear().replace(line, b"--" + boundary() + b"\r\n" + HTML + b"\r\n" + line)


def _swapped_parts() -> bytes:
    """The signature first, the content second."""
    line = b"--" + boundary()
    head, content, signature, tail = clear().split(line)
    return line.join((head, signature, content, tail))


def _short_boundary() -> bytes:
    """A delimiter of the letter's own inside the signed content: what follows is another reader's letter."""
    inner = LETTER.replace(b"Bonjour\r\n", b"Bonjour\r\n--evil--\r\n" + HTML + b"\r\n")
    letter = smime.sign(inner, lab().author.signer(), NOW)
    return letter.replace(b'boundary="' + boundary_of(letter) + b'"', b"boundary=evil")


def boundary_of(letter: bytes) -> bytes:
    found = re.search(rb'boundary="([^"]+)"', letter)
    return b"" if found is None else found[1]


def _layers(count: int) -> bytes:
    letter = LETTER
    for _ in range(count):
        letter = smime.sign(letter, lab().author.signer(), NOW)
    return letter


def _many_signatures() -> bytes:
    return mixed(*[_entity(clear())] * (coverage.SIGNATURES_MOST + 1))


def around(entity: bytes) -> bytes:
    """The valid letter with another content and the signature over that."""
    _, _, after = clear().split(b"--" + boundary() + b"\r\n")
    head = clear()[: clear().index(b"--" + boundary() + b"\r\n")]
    data = base64.encodebytes(cms.sign(entity, lab().author.signer(), NOW)).replace(b"\n", b"\r\n")
    signature = after[: after.index(b"\r\n\r\n") + 4] + data
    line = b"--" + boundary()
    return b"".join((head, line, b"\r\n", entity, b"\r\n", line, b"\r\n", signature, b"\r\n", line, b"--\r\n"))


def _another_inside() -> bytes:
    """RFC 9788: the header protected beside the content, and another author there."""
    return around(b'Content-Type: text/plain; hp="clear"\r\nFrom: <chief@hopital-a.mssante.fr>\r\n\r\nBonjour\r\n')


def _wrapped() -> bytes:
    """RFC 8551 §3.1: the header protected in a message/rfc822, and another author inside."""
    inner = LETTER.replace(FROM.encode(), b"chief@hopital-a.mssante.fr", 1)
    letter = _header(b"Content-Type: message/rfc822", b"") + inner
    return smime.sign(letter, lab().author.signer(), NOW)


HTML = b"Content-Type: text/html\r\n\r\n<p>Payez ici"
ATTACKS = (
    of("the text changed", "digest-agrees", INVALID, swapped(b"Bonjour", b"Bonsoir"), "digest-agrees"),
    of("the transfer encoding changed", "digest-agrees", INVALID, swapped(b"charset=utf-8", b"charset=utf-7"),
       "digest-agrees"),
    of("a header field put into the signed part", "digest-agrees", INVALID,
       swapped(b"--b\r\nContent-Type: text", b"--b\r\nX-Pli-Verdict: valid\r\nContent-Type: text"), "digest-agrees"),
    of("line ends changed", "digest-agrees", INVALID, swapped(b"Bonjour\r\n", b"Bonjour\n"), "digest-agrees"),
    of("words after a signed part", "smime.covers-a-part", PARTIAL, lambda: mixed(_entity(clear()), HTML)),
    of("words before a signed part", "smime.covers-a-part", PARTIAL, lambda: mixed(HTML, _entity(clear()))),
    of("a signed part alone in a multipart", "smime.covers-a-part", PARTIAL, lambda: mixed(_entity(clear()))),
    of("an opaque signature beside words", "smime.covers-a-part", PARTIAL, lambda: mixed(HTML, _entity(opaque()))),
    of("a third part in a signed one", "mime.two-parts", INVALID, _three_parts),
    of("a signed one with one part", "mime.two-parts", INVALID,
       lambda: clear().rpartition(b"--" + boundary() + b"\r\nContent-Type: application/pkcs7")[0]),
    of("content and signature exchanged", "smime.second-part", UNKNOWN, _swapped_parts),
    of("a boundary that is not there", "mime.two-parts", INVALID,
       lambda: clear().replace(b'boundary="' + boundary(), b'boundary="x' + boundary())),
    of("a boundary from inside the content", "mime.two-parts", INVALID, _short_boundary),
    of("words after the closing delimiter", "smime.after-boundary", PARTIAL, lambda: clear() + HTML,
       "smime.after-boundary"),
    of("a signature of OpenPGP", "smime.second-part", UNKNOWN,
       swapped(b"Content-Type: application/pkcs7-signature", b"Content-Type: application/pgp-signature")),
    of("another protocol than the signature's", "smime.protocol", PARTIAL,
       swapped(b'protocol="application/pkcs7-signature"', b'protocol="application/pgp-signature"'), "smime.protocol"),
    of("a micalg that is a lie", "smime.micalg", PARTIAL, swapped(b"micalg=sha-256", b"micalg=md5"), "smime.micalg"),
    of("a signature that is no base64", "smime.signature-encoding", INVALID,
       lambda: re.sub(rb"(p7s\"\r\n\r\n).*?(?=\r\n--)", rb"\1A\r\n", clear(), flags=re.DOTALL)),
    of("two authors", "from.not-one", PARTIAL,
       swapped(b"To: ", b"From: <chief@hopital-a.mssante.fr>\r\nTo: "), "header-doubts"),
    of("two authors in one field", "from.not-one", PARTIAL,
       swapped(b"From: ", b"From: <chief@hopital-a.mssante.fr>, "), "header-doubts"),
    of("no author", "from.not-one", PARTIAL, swapped(b"From: ", b"X-From: "), "header-doubts"),
    of("an author that may be read in two ways", "from.not-one", PARTIAL,
       swapped(b"From: <", b"From: <chief@hopital-a.mssante.fr><"), "header-doubts"),
    of("two subjects", "header.repeated:Subject", PARTIAL, swapped(b"Subject: ", b"Subject: urgent\r\nSubject: "),
       "header-doubts"),
    of("two content types", "mime.repeated-field", PARTIAL,
       lambda: clear().replace(b"\r\n\r\n--", b"\r\nContent-Type: text/html\r\n\r\n--", 1), "header-doubts"),
    of("another author than the certificate's", "from.differs-from-certificate", PARTIAL,
       swapped(FROM.encode(), b"chief@hopital-a.mssante.fr"), "from-differs"),
    of("an author of the same name elsewhere", "from.differs-from-certificate", PARTIAL,
       swapped(FROM.encode(), b"jeanne.martin@hopital-a.mssante.fr.example"), "from-differs"),
    of("another author inside", "header.differs:From", PARTIAL, _another_inside, "header.differs"),
    of("another author inside, wrapped", "header.differs:From", PARTIAL, _wrapped, "header.differs"),
    of("a signed letter forwarded", "", NONE, lambda: _header(b"Content-Type: message/rfc822", b"") + clear()),
    of("something encrypted, said to be signed", "smime.type-contradicts", NONE,
       lambda: carried(envelope.encrypt(CONTENT, (lab().reader.certificate,)))),
    of("something signed, said to be encrypted", "smime.type-contradicts", PARTIAL,
       lambda: carried(_signed_opaque(_entity(LETTER)), "enveloped-data"), "smime.type-contradicts"),
    of("certificates alone, said to be signed", "smime.certs-only", NONE, lambda: carried(Written(times=0).message())),
    of("an opaque signature without its content", "smime.no-content", INVALID, lambda: carried(Written().message())),
    of("an opaque content that is no MIME", "smime.opaque-content", PARTIAL,
       lambda: carried(_signed_opaque(b"\r\n<p>Payez ici"))),
    of("an opaque signature of junk", "smime.unreadable", INVALID, lambda: carried(b"junk")),
    of("six signatures, one in the other", "smime.too-many-layers", PARTIAL,
       lambda: _layers(coverage.LAYERS_MOST + 1)),
    of("eleven signatures, one after the other", "smime.too-many-signatures", PARTIAL, _many_signatures),
)  # fmt: skip
