"""Entries as LDIF (RFC 2849), for offline loading.

Promises: any value survives, bytes included. Does not: read LDIF, nor check a schema.
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Mapping, Sequence

# Stricter than RFC 2849's SAFE-STRING: printable ASCII without a blank at either end.
_SAFE = re.compile(rb"[!-9;=-~](?:[ -~]*[!-~])?")
_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}@.-_".encode())


def record(dn: str, attributes: Mapping[str, Sequence[str | bytes]]) -> str:
    """One entry and the blank line that ends it; attributes without values are left out."""
    lines = [_line("dn", dn)]
    lines += [_line(name, value) for name, values in attributes.items() for value in values]
    return "\n".join(lines) + "\n\n"


def escaped(value: str) -> str:
    """One attribute value inside a distinguished name (RFC 4514 §2.4); all that is unusual as hex pairs."""
    octets = value.encode()
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:02x}" for octet in octets)


def _line(name: str, value: str | bytes) -> str:
    raw = value.encode() if isinstance(value, str) else value
    if _SAFE.fullmatch(raw):
        return f"{name}: {raw.decode('ascii')}"
    return f"{name}:: {base64.b64encode(raw).decode('ascii')}"
