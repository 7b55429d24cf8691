"""One cell: a row, a tool and a direction, run for real, with what came of it in words.

Promises: YES is said only where the object has the row's very algorithms (read by another parser than ours), its
content came out, and its twin, changed by one letter, was refused. Does not: know what was to be expected (table).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from certs import cms, envelope, profiles
from certs.envelope import Opened, Recipe
from tests.vectors.laboratory import Laboratory, Person
from tests.vectors.rows import LETTER, SEED, Row, Sealing, Signing
from tests.vectors.tools import Refused, Tool, shortened

YES = "yes"
REFERENCE = "openssl"
FORGED = LETTER.replace(b"Bonjour", b"Bonsoir")


class Direction(StrEnum):
    OURS = "ours read by it"
    ITS = "its own read by us"


def outcome(lab: Laboratory, tools: Mapping[str, Tool], name: str, direction: Direction, row: Row) -> str:
    """YES, or why not: the tool's own words, or what came out instead.

    What it refuses of ours it must refuse of openssl's too, in the same words: then it is the algorithm.
    """
    said = _in_words(lambda: _crossed(lab, tools[name], direction, row))
    if said == YES or direction is Direction.ITS or name == REFERENCE:
        return said
    of_openssl = _in_words(lambda: _read_by(lab, tools[name], row, _made_by(tools[REFERENCE], row)))
    return said if of_openssl == said else f"ours: {said}; openssl's: {of_openssl}"


def _in_words(work: Callable[[], str]) -> str:
    try:
        return work()
    except Refused as refused:
        return shortened(str(refused))


def _crossed(lab: Laboratory, tool: Tool, direction: Direction, row: Row) -> str:
    made = _ours(lab, row) if direction is Direction.OURS else _made_by(tool, row)
    if odd := _other(made, row):
        return odd
    return _read_by(lab, tool, row, made) if direction is Direction.OURS else _read_by_us(lab, row, made)


def _made_by(tool: Tool, row: Row) -> bytes:
    return tool.sign(row) if isinstance(row, Signing) else tool.encrypt(row)


def _other(made: bytes, row: Row) -> str:
    """What was made instead of the row; empty if it is the row."""
    return _other_signature(made, row) if isinstance(row, Signing) else _other_envelope(made, row)


def _ours(lab: Laboratory, row: Row) -> bytes:
    people = [lab.people[name] for name in row.people]
    return _signed(lab, people[0], row) if isinstance(row, Signing) else _encrypted(people, row)


def _read_by(lab: Laboratory, tool: Tool, row: Row, made: bytes) -> str:
    """By the tool: the content comes out, and the twin is refused."""
    if isinstance(row, Signing):
        tool.verify(row, made, LETTER)
        return YES if _refuses(lambda: tool.verify(row, _forged(made), FORGED)) else "it believes a forgery"
    opened = [tool.decrypt(row, made, lab.people[name]) for name in row.people]
    return YES if set(opened) == {SEED} else "another content came out"


def _read_by_us(lab: Laboratory, row: Row, made: bytes) -> str:
    if isinstance(row, Signing):
        said = _verified(lab, row, made, None if row.inside else LETTER)
        forged = _verified(lab, row, _forged(made), None if row.inside else FORGED)
        return said if said != YES or forged != YES else "we believe a forgery"
    opened = [_decrypted(made, lab.people[name]) for name in row.people]
    return YES if set(opened) == {SEED} else "another content came out"


# --- signatures ----------------------------------------------------------------------------------------------


def _signed(lab: Laboratory, person: Person, row: Signing) -> bytes:
    return cms.sign(LETTER, person.signer(), lab.now, row.hash_name, pss=row.pss, inside=row.inside)


def _verified(lab: Laboratory, row: Signing, data: bytes, content: bytes | None) -> str:
    policy = cms.STRICT if row.attributes else cms.Policy(without_attributes=True)
    at = lab.now + timedelta(seconds=30)
    proofs = cms.proofs(data, content, lab.store, profiles.SMIME, at, policy=policy)
    doubts = [f"{each.trust.check}: {each.trust.detail}" for each in proofs if not each.valid]  # type: ignore[union-attr]
    if doubts or len(proofs) != len(row.people):
        return f"we refuse it: {'; '.join(doubts) or f'{len(proofs)} signers'}"
    return YES


def _forged(data: bytes) -> bytes:
    """The same signature around another content, where the content is inside."""
    return data.replace(b"Bonjour", b"Bonsoir")


def _refuses(work: Callable[[], object]) -> bool:
    try:
        work()
    except Refused:
        return True
    return False


def _other_signature(data: bytes, row: Signing) -> str:
    """What `data` is instead of the row; empty if it is the row. Read by asn1crypto."""
    from asn1crypto import cms as other

    signed: Any = other.ContentInfo.load(data)["content"]
    signers = list(signed["signer_infos"])
    found = {
        "signers": len(signers),
        "hashes": {each["digest_algorithm"]["algorithm"].native for each in signers},
        "PSS": any(each["signature_algorithm"]["algorithm"].native == "rsassa_pss" for each in signers),
        "content inside": signed["encap_content_info"]["content"].native is not None,
        "key identifier": any(each["sid"].name == "subject_key_identifier" for each in signers),
        "attributes": all(len(each["signed_attrs"]) > 0 for each in signers),
    }
    wanted = {
        "signers": len(row.people),
        "hashes": {row.hash_name},
        "PSS": row.pss,
        "content inside": row.inside,
        "key identifier": row.by_key_identifier,
        "attributes": row.attributes,
    }
    if row.indefinite:
        found["indefinite length"], wanted["indefinite length"] = data[1] == 0x80, True
    return _difference(found, wanted)


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    odd = [f"{name}: {_plain(found[name])}" for name in wanted if found[name] != wanted[name]]
    return f"it makes another one: {', '.join(odd)}" if odd else ""


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(sorted(value)) if isinstance(value, set) else str(value)


# --- encryption ----------------------------------------------------------------------------------------------


def _encrypted(people: list[Person], row: Sealing) -> bytes:
    recipe = Recipe(
        row.content,
        "oaep" if row.transport == "oaep" else "pkcs1v15",
        row.hash_name,
        row.kdf,
        cofactor=row.cofactor,
        by_key_identifier=row.by_key_identifier,
    )
    return envelope.encrypt(SEED, [each.der for each in people], recipe)


def _decrypted(data: bytes, person: Person) -> bytes:
    opened = envelope.decrypt(data, [person.opener()])
    if not isinstance(opened, Opened):
        raise Refused(f"we refuse it: {opened.check}: {opened.detail}")
    return opened.content


def _other_envelope(data: bytes, row: Sealing) -> str:
    recipients = envelope.recipients(data)
    found: dict[str, Any] = {
        "content": envelope.algorithm(data),
        "recipients": len(recipients),
        "algorithms": {_family(each.algorithm, row, data) for each in recipients},
        "key identifier": all(bool(each.key_identifier) for each in recipients),
    }
    wanted = {
        "content": row.content,
        "recipients": len(row.people),
        "algorithms": {_wanted(name, row) for name in row.people},
        "key identifier": row.by_key_identifier,
    }
    if row.cofactor:  # RFC 5753 §7.1.5: its numbers end in 1.3.132.1.14.x
        found["cofactor"], wanted["cofactor"] = bytes.fromhex("06062b8104010e") in data, True
    return _difference(found, wanted)


def _wanted(name: str, row: Sealing) -> str:
    if name == "rsa":
        return "rsa-pkcs1v15" if row.transport == "pkcs1v15" else f"rsa-oaep-{row.hash_name}"
    return f"ecdh-{row.kdf}kdf, {row.wrap}-wrap" if row.kdf else "ecdh"


_HASHES = {"sha256": "6086480165030402 01", "sha384": "6086480165030402 02", "sha512": "6086480165030402 03"}


def _family(algorithm: str, row: Sealing, data: bytes) -> str:
    """Where the row leaves derivation and wrap to the writer, that it is ECDH is all there is to say."""
    if algorithm == "rsa-oaep":  # SHA-1 is its default and has no number there
        return f"rsa-oaep-{next((name for name, oid in _HASHES.items() if bytes.fromhex(oid) in data), 'sha1')}"
    return "ecdh" if algorithm.startswith("ecdh") and not row.kdf else algorithm
