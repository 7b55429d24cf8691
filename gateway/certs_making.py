"""What `pli certs sign`, `encrypt` and `decrypt` make: a letter's S/MIME form, or a CMS object.

Promises: a letter that is signed already is not signed again; strong algorithms unless another is asked for by name.
Does not: choose keys or recipients, nor write files (certs_files).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from certs import cms, envelope
from certs.envelope import Opened, Recipe
from certs.keys import KeeperClient, Signer
from certs.model import CannotTell, Untrusted
from certs.openers import Opener
from gateway.certs_answer import CANNOT_TELL, EXIT, TRUSTED, UNTRUSTED, scanned
from gateway.certs_files import Kind, Thing, Unreadable, pem
from relay import opening, smime
from relay.coverage import is_pkcs7
from relay.fields import Malformed

LETTER = "pli-certs"
"""What the keeper's record of a release names."""


def signed(thing: Thing, signer: Signer, options: dict[str, Any]) -> bytes:
    """Raises Unreadable, KeeperDown, KeeperRefused."""
    at, hash_name, inside, pss = (options[name] for name in ("at", "hash_name", "opaque", "pss"))
    form = options["form"] or ("smime" if thing.kind is Kind.LETTER else "der")
    try:
        if form != "smime":
            return _formed(cms.sign(thing.data, signer, at, hash_name, pss=pss, inside=inside), form)
        _require_letter(thing)
        if pss:
            raise Unreadable("a letter in its own form is signed without --pss: add --form der")
        return (smime.sign_opaque if inside else smime.sign)(thing.data, signer, at, hash_name)
    except ValueError as error:
        raise Unreadable(f"it is not signed: {error}") from None


def encrypted(thing: Thing, certificates: Sequence[bytes], options: dict[str, Any]) -> bytes:
    """Raises Unreadable naming the certificates that cannot be used."""
    recipe = Recipe("aes-256-cbc" if options["cbc"] else "aes-256-gcm", "pkcs1v15" if options["pkcs1"] else "oaep")
    form = options["form"] or ("smime" if thing.kind is Kind.LETTER else "der")
    try:
        if form != "smime":
            return _formed(envelope.encrypt(thing.data, certificates, recipe), form)
        scanned(thing.data)
        return smime.encrypt(thing.data, certificates, recipe)
    except ValueError as error:
        raise Unreadable(f"it is not encrypted: {error}") from None


def _require_letter(thing: Thing) -> None:
    if smime.already_signed(scanned(thing.data)):
        raise Unreadable("the letter is signed or encrypted by its author, and passes as it is")


def _formed(der: bytes, form: str) -> bytes:
    return pem("CMS", der) if form == "pem" else der


# --- opened --------------------------------------------------------------------------------------------------


Result = Opened | Untrusted | CannotTell


def opened(thing: Thing, openers: Sequence[Opener]) -> Result:
    """Raises Unreadable where there is nothing encrypted, KeeperDown, KeeperRefused."""
    return envelope.decrypt(thing.data if thing.kind is Kind.CMS else _sealed(thing), openers)


def _sealed(thing: Thing) -> bytes:
    """The first part of a letter that is encrypted."""
    if thing.kind is Kind.LETTER:
        for part in scanned(thing.data).parts:
            if is_pkcs7(part) and (data := _decoded(part)) is not None:
                return data
    raise Unreadable("nothing in it is encrypted")


def _decoded(part: Any) -> bytes | None:
    try:
        data: bytes = part.decode()
    except Malformed as error:
        raise Unreadable(f"an encrypted part cannot be read: {error}") from None
    return data if cms.kind(data) not in ("signed-data", "certs-only") else None


def content_of(result: Result, thing: Thing, inner: bool) -> bytes:
    """What is written: the letter as it reads once opened; with `inner`, and of all else, what was encrypted."""
    if not isinstance(result, Opened):
        return b""
    if inner or thing.kind is not Kind.LETTER or not opening.may_be_encrypted(thing.data):
        return result.content
    try:
        return opening.letter_of(thing.data, result.content)
    except Malformed:
        return result.content


def exit_code(result: Result) -> int:
    return EXIT[answer(result)]


def answer(result: Result) -> str:
    return {Opened: TRUSTED, Untrusted: UNTRUSTED, CannotTell: CANNOT_TELL}[type(result)]


# --- the keeper's keys ---------------------------------------------------------------------------------------


def signer_of(keeper: KeeperClient, address: str) -> Signer:
    """Raises Unreadable, KeeperDown."""
    found = keeper.signer_for(address, LETTER)
    if found is None:
        raise Unreadable(f"the keeper holds no signing key of {address} and no seal of its domain")
    return found


def openers_of(keeper: KeeperClient, address: str) -> Sequence[Opener]:
    """Raises Unreadable, KeeperDown."""
    found = keeper.openers_for((address,), LETTER)
    if not found:
        raise Unreadable(f"the keeper holds no decryption key of {address}")
    return found
