"""What comes of each cell: YES everywhere, but for what another tool cannot do, in its own words.

The first line that fits a cell is its reason; a cell that no line fits must be YES. Nothing is left out: a tool that
learns something turns its line red.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.vectors.crossing import YES, Direction, outcome
from tests.vectors.laboratory import Laboratory
from tests.vectors.rows import ROWS, Row
from tests.vectors.tools import Tool, tools

NAMES = ("openssl", "cmsutil", "gpgsm", "pyHanko")
_OURS, _ITS = Direction.OURS, Direction.ITS


@dataclass(frozen=True)
class Reason:
    tool: str
    direction: Direction
    rows: str
    """Shell pattern on the row's name."""
    words: str
    """Regular expression, the whole outcome."""


REASONS = (
    # signatures: what a tool has no word for, it makes otherwise
    Reason("cmsutil", _ITS, "RSA-PSS*", "it makes another one: PSS: no"),
    Reason("cmsutil", _ITS, "several signers*", "it makes another one: signers: 1"),
    Reason("cmsutil", _ITS, "key identifier [do]*", "it makes another one: key identifier: no"),
    Reason("cmsutil", _ITS, "no attributes*", "it makes another one: attributes: yes"),
    Reason("gpgsm", _OURS, "ECDSA p521*", "DSA requires the hash length to be a multiple of 8 bits"),
    Reason("gpgsm", _ITS, "RSA-PSS*", "it makes another one: PSS: no"),
    Reason("gpgsm", _ITS, "key identifier [do]*", "it makes another one: key identifier: no"),
    Reason("gpgsm", _ITS, "no attributes*", "it makes another one: attributes: yes"),
    Reason("pyHanko", _ITS, "several signers*", "it makes another one: signers: 1"),
    Reason("pyHanko", _ITS, "key identifier [do]*", "it makes another one: key identifier: no"),
    Reason("pyHanko", _ITS, "no attributes*", "it makes another one: attributes: yes"),
    Reason("pyHanko", _ITS, "BER indefinite*", "it makes another one: indefinite length: no"),
    # NSS 3.87 opens AES-CBC under RSA v1.5 and nothing else; cmsutil has no word for the cipher
    Reason("cmsutil", _OURS, "*gcm*", "SEC_ERROR_UNRECOGNIZED_OID"),
    Reason("cmsutil", _OURS, "*OAEP*", "SEC_ERROR_UNSUPPORTED_KEYALG"),
    Reason("cmsutil", _OURS, "*ECDH*", "SEC_ERROR_BAD_DER"),
    Reason("cmsutil", _OURS, "several recipients*", "SEC_ERROR_BAD_DER"),
    Reason("cmsutil", _ITS, "*ECDH*", "SEC_ERROR_INVALID_ALGORITHM"),
    Reason("cmsutil", _ITS, "several recipients*", "SEC_ERROR_INVALID_ALGORITHM"),
    Reason("cmsutil", _ITS, "aes-128-cbc RSA v1.5", YES),
    Reason("cmsutil", _ITS, "aes-*", "it makes another one: content: aes-128-cbc.*"),
    Reason("cmsutil", _ITS, "key identifier RSA", "it makes another one: .*key identifier: no"),
    # gpgsm 2.2 reads no AuthEnvelopedData, no OAEP, no key identifier; its agent agrees on no EC key for CMS
    Reason("gpgsm", _OURS, "*gcm*", "error getting IV: Buffer too short"),
    Reason("gpgsm", _OURS, "*OAEP*", "recp 0 - error getting encrypted session key"),
    Reason("gpgsm", _OURS, "key identifier [RE]*", "recp 0 - error getting info: General error"),
    Reason("gpgsm", _OURS, "ECDH*", "decrypting session key failed: Invalid session key"),
    Reason("gpgsm", _ITS, "*ECDH*", "encryption failed .*too short|ksba_cms_set_enc_val failed: Invalid S-expression"),
    Reason("gpgsm", _ITS, "several recipients*", "encryption failed .*too short|ksba_cms_set_enc_val failed: .*"),
    Reason("gpgsm", _ITS, "*gcm*", "it makes another one: content: aes-(128|256)-cbc.*"),
    Reason("gpgsm", _ITS, "*OAEP*", "it makes another one: algorithms: rsa-pkcs1v15"),
    Reason("gpgsm", _ITS, "key identifier RSA", "it makes another one: key identifier: no"),
    # pyHanko encrypts keys of PDF: AES-256-CBC, its own choice of OAEP and ECDH, names by issuer and serial number;
    # it wants the curve named with the sender's key, which RFC 5753 §3.1.1 lets everybody leave out
    Reason("pyHanko", _OURS, "*gcm*", "Recipient CMS content type must be enveloped data, not .*"),
    Reason("pyHanko", _OURS, "*cofactor*", ".*Only dhSinglePass-stdDH algorithms .* are supported"),
    Reason("pyHanko", _OURS, "key identifier [RE]*", "Recipient identifier must be of type IssuerAndSerialNumber"),
    Reason("pyHanko", _OURS, "ECDH*", "Failed to decrypt envelope key, Could not deserialize key data"),
    Reason("pyHanko", _OURS, "several recipients*", "Failed to decrypt envelope key, Could not deserialize key data"),
    Reason("pyHanko", _ITS, "aes-256-cbc OAEP sha256", YES),
    Reason("pyHanko", _ITS, "aes-256-cbc RSA v1.5", YES),
    Reason("pyHanko", _ITS, "*OAEP*", "it makes another one: .*(rsa-oaep-sha256|aes-256-cbc)"),
    Reason("pyHanko", _ITS, "aes-* RSA v1.5", "it makes another one: content: aes-256-cbc"),
    Reason("pyHanko", _ITS, "ECDH p256 kdf sha256 wrap 128 under aes-256", YES),
    Reason("pyHanko", _ITS, "ECDH p384 kdf sha384 wrap 192", YES),
    Reason("pyHanko", _ITS, "ECDH p521 kdf sha512 wrap 256", YES),
    Reason("pyHanko", _ITS, "several recipients cbc, each in its way", YES),
    Reason("pyHanko", _ITS, "*ECDH*", "it makes another one: .*"),
    Reason("pyHanko", _ITS, "several recipients*", "it makes another one: .*"),
    Reason("pyHanko", _ITS, "key identifier*", "it makes another one: .*key identifier: no"),
)


@dataclass(frozen=True)
class Cell:
    row: Row
    tool: str
    direction: Direction

    @property
    def expected(self) -> str:
        """A regular expression."""
        return next((reason.words for reason in REASONS if self._fits(reason)), YES)

    def _fits(self, reason: Reason) -> bool:
        here = (reason.tool, reason.direction) == (self.tool, self.direction)
        return here and fnmatchcase(self.row.name, reason.rows)

    def fits(self, said: str) -> bool:
        return re.fullmatch(self.expected, said) is not None


def cells() -> Iterator[Cell]:
    """Every one that there is: a row that Pli never writes has one direction only."""
    for row in ROWS:
        for tool in NAMES:
            if row.ours:
                yield Cell(row, tool, Direction.OURS)
            yield Cell(row, tool, Direction.ITS)


def run(lab: Laboratory) -> Iterator[tuple[Cell, str]]:
    asked: Mapping[str, Tool] = tools(lab)
    for cell in cells():
        yield cell, outcome(lab, asked, cell.tool, cell.direction, cell.row)


# --- for people ----------------------------------------------------------------------------------------------


def printed(found: Mapping[Cell, str]) -> Iterator[str]:
    """Markdown: a line an algorithm, a column a tool and a direction; reasons below."""
    reasons: dict[str, int] = {}
    yield "| algorithm | " + " | ".join(f"{tool}: {way.value}" for tool in NAMES for way in Direction) + " |"
    yield "|---" * (1 + 2 * len(NAMES)) + "|"
    for row in ROWS:
        shown = [_mark(found, Cell(row, tool, way), reasons) for tool in NAMES for way in Direction]
        yield f"| {row.name} | {' | '.join(shown)} |"
    yield ""
    yield "— Pli reads this and does not write it."
    yield from (f"{number}. {words}" for words, number in reasons.items())


def _mark(found: Mapping[Cell, str], cell: Cell, reasons: dict[str, int]) -> str:
    said = found.get(cell)
    if said is None:
        return "—"
    return YES if said == YES else f"no ({reasons.setdefault(f'{cell.tool}: {said}', len(reasons) + 1)})"
