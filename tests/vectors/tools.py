"""The foreign programs: how each is asked to sign, verify, encrypt and decrypt one row, and how it says no.

Promises: a tool that does not do what it was asked raises Refused with its own words; nothing is decided here about
what was to be expected (table).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Protocol

from tests.vectors.laboratory import WORD, Laboratory, Person, gpgsm, run
from tests.vectors.rows import LETTER, SEED, Sealing, Signing


class Refused(Exception):
    """The tool's own words."""


class Tool(Protocol):
    name: str

    def sign(self, row: Signing) -> bytes:
        """LETTER, signed: DER or BER."""
        ...

    def verify(self, row: Signing, data: bytes, content: bytes) -> None:
        """`content`: what lies beside a detached signature; what must lie in an opaque one."""
        ...

    def encrypt(self, row: Sealing) -> bytes:
        """SEED, encrypted."""
        ...

    def decrypt(self, row: Sealing, data: bytes, person: Person) -> bytes: ...


_NUMBERS = count(1)


class _Program:
    """What the three commands share: files for their arguments, words for their failures."""

    def __init__(self, lab: Laboratory) -> None:
        self.lab = lab

    def file(self, data: bytes) -> str:
        return str(self.lab.fresh(f"{next(_NUMBERS)}", data))

    def people(self, names: tuple[str, ...]) -> list[Person]:
        return [self.lab.people[name] for name in names]

    def ask(self, *command: object, data: bytes = b"") -> bytes:
        done = run([str(each) for each in command], data)
        if done.returncode:
            raise Refused(done.stderr.decode(errors="replace").strip() or f"ended with {done.returncode}")
        return done.stdout


class Openssl(_Program):
    name = "openssl"

    def sign(self, row: Signing) -> bytes:
        options: list[object] = ["-md", row.hash_name, "-certfile", self.lab.chain]
        for person in self.people(row.people):
            options += ["-signer", person.pem, "-inkey", person.key_file]
            options += ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest"] if row.pss else []
        options += ["-nodetach"] if row.inside else []
        options += ["-keyid"] if row.by_key_identifier else []
        options += [] if row.attributes else ["-noattr"]
        options += ["-stream"] if row.indefinite else []
        return self.ask("openssl", "cms", "-sign", "-binary", "-outform", "DER", *options, data=LETTER)

    def verify(self, row: Signing, data: bytes, content: bytes) -> None:
        beside = [] if row.inside else ["-content", self.file(content)]
        command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-CAfile", self.lab.anchors, *beside]
        if self.ask(*command, data=data) != content:
            raise Refused("another content came out")

    def encrypt(self, row: Sealing) -> bytes:
        options: list[object] = [f"-{row.content}", *(["-wrap", f"{row.wrap}-wrap"] if row.wrap else [])]
        options += ["-keyid"] if row.by_key_identifier else []
        for person in self.people(row.people):
            options += ["-recip", person.pem, *self._how(row, person)]
        return self.ask("openssl", "cms", "-encrypt", "-binary", "-outform", "DER", *options, data=SEED)

    def _how(self, row: Sealing, person: Person) -> list[str]:
        words = []
        if person.name == "rsa" and row.transport == "oaep":
            words = ["rsa_padding_mode:oaep", f"rsa_oaep_md:{row.hash_name}", f"rsa_mgf1_md:{row.hash_name}"]
        elif person.name != "rsa":
            words = [f"ecdh_kdf_md:{row.kdf}"] if row.kdf else []
            words += ["ecdh_cofactor_mode:1"] if row.cofactor else []
        return [each for word in words for each in ("-keyopt", word)]

    def decrypt(self, row: Sealing, data: bytes, person: Person) -> bytes:
        command = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-recip", person.pem]
        return self.ask(*command, "-inkey", person.key_file, data=data)


class Nss(_Program):
    name = "cmsutil"

    def _cmsutil(self, *arguments: object, data: bytes) -> bytes:
        return self.ask("cmsutil", arguments[0], "-d", self.lab.nss, *arguments[1:], "-i", self.file(data))

    def sign(self, row: Signing) -> bytes:
        # It has no word for PSS or key identifiers, and of several -N it takes the last: what comes out says so
        names: list[object] = [each for person in row.people for each in ("-N", person)]
        options: list[object] = ["-H", row.hash_name.upper(), *names]
        options += ["-G"] if row.attributes else []
        options += [] if row.inside else ["-T"]
        return self._cmsutil("-S", *options, data=LETTER)

    def verify(self, row: Signing, data: bytes, content: bytes) -> None:
        beside = [] if row.inside else ["-c", self.file(content)]
        if self._cmsutil("-D", *beside, data=data) != content:
            raise Refused("another content came out")

    def encrypt(self, row: Sealing) -> bytes:
        names = ",".join(person.address for person in self.people(row.people))
        return self._cmsutil("-E", "-r", names, data=SEED)

    def decrypt(self, row: Sealing, data: bytes, person: Person) -> bytes:
        return self._cmsutil("-D", data=data)


class Gpgsm(_Program):
    name = "gpgsm"

    def _gpgsm(self, *arguments: object) -> bytes:
        return self.ask(*gpgsm(self.lab, "--passphrase-fd", "0", *map(str, arguments)), data=WORD.encode())

    def sign(self, row: Signing) -> bytes:
        users = [each for person in self.people(row.people) for each in ("-u", person.address)]
        how = "--sign" if row.inside else "--detach-sign"
        return self._gpgsm("--digest-algo", row.hash_name, *users, how, self.file(LETTER))

    def verify(self, row: Signing, data: bytes, content: bytes) -> None:
        signature = self.file(data)
        if not row.inside:
            self._gpgsm("--verify", signature, self.file(content))
        elif self._gpgsm("-o", "-", "--verify", signature) != content:
            raise Refused("another content came out")

    def encrypt(self, row: Sealing) -> bytes:
        names = [each for person in self.people(row.people) for each in ("-r", person.address)]
        cipher = "".join(row.content.split("-")[:2]).upper()
        return self._gpgsm("--cipher-algo", cipher, *names, "--encrypt", self.file(SEED))

    def decrypt(self, row: Sealing, data: bytes, person: Person) -> bytes:
        return self._gpgsm("--decrypt", self.file(data))


def _in_words(work: Callable[[], bytes]) -> bytes:
    try:
        return work()
    except Exception as error:  # a library refuses by whatever it raises
        cause = f", {error.__cause__}" if error.__cause__ else ""
        raise Refused(f"{error}{cause}") from error


class Hanko:
    """pyHanko, in this process. Its encryption is that of PDF keys: seeds of 20 bytes in EnvelopedData."""

    name = "pyHanko"

    def __init__(self, lab: Laboratory) -> None:
        self.lab = lab

    def sign(self, row: Signing) -> bytes:
        return _in_words(lambda: self._signed(row))

    def _signed(self, row: Signing) -> bytes:
        from asn1crypto import keys, x509
        from pyhanko.sign.signers import SimpleSigner
        from pyhanko_certvalidator.registry import SimpleCertificateStore

        # It has no word for key identifiers, no attributes, several signers or streams: what comes out says so
        person = self.lab.people[row.people[0]]
        registry = SimpleCertificateStore()
        registry.register(x509.Certificate.load(person.authority))
        key = keys.PrivateKeyInfo.load(_pkcs8(person))
        signer = SimpleSigner(x509.Certificate.load(person.der), key, registry, prefer_pss=row.pss)
        made = signer.async_sign_general_data(LETTER, row.hash_name, detached=not row.inside)
        return bytes(asyncio.run(made).dump())

    def verify(self, row: Signing, data: bytes, content: bytes) -> None:
        _in_words(lambda: self._verified(row, data, content))

    def _verified(self, row: Signing, data: bytes, content: bytes) -> bytes:
        from asn1crypto import cms, pem, x509
        from pyhanko.sign.validation import KeyUsageConstraints, generic_cms
        from pyhanko_certvalidator import ValidationContext

        root = x509.Certificate.load(pem.unarmor(self.lab.anchors.read_bytes())[2])
        moment = self.lab.now + timedelta(seconds=5)
        context = ValidationContext(trust_roots=[root], moment=moment, allow_fetching=False)
        # Its own default asks for nonRepudiation, as signatures of PDF do; our EC certificates state no usage
        usage = KeyUsageConstraints(key_usage=set())
        signed = cms.ContentInfo.load(data)["content"]
        if row.inside:
            asked = generic_cms.async_validate_cms_signature(
                signed, validation_context=context, key_usage_settings=usage
            )
        else:
            asked = generic_cms.async_validate_detached_cms(content, signed, context, key_usage_settings=usage)
        status = asyncio.run(asked)
        if not (status.valid and status.intact and status.trusted):
            raise Refused(status.summary())
        if row.inside and signed["encap_content_info"]["content"].native != content:
            raise Refused("another content came out")
        return b""

    def encrypt(self, row: Sealing) -> bytes:
        return _in_words(lambda: self._encrypted(row))

    def _encrypted(self, row: Sealing) -> bytes:
        from asn1crypto import x509
        from pyhanko.pdf_utils.crypt import pubkey
        from pyhanko.pdf_utils.crypt.permissions import PubKeyPermissions

        policy = pubkey.RecipientEncryptionPolicy(ignore_key_usage=True, prefer_oaep=row.transport == "oaep")
        certificates = [x509.Certificate.load(self.lab.people[name].der) for name in row.people]
        permissions = PubKeyPermissions.allow_everything()
        made = pubkey.construct_recipient_cms(certificates, SEED, permissions, policy, include_permissions=False)
        return bytes(made.dump())

    def decrypt(self, row: Sealing, data: bytes, person: Person) -> bytes:
        return _in_words(lambda: self._decrypted(data, person))

    def _decrypted(self, data: bytes, person: Person) -> bytes:
        from asn1crypto import cms, keys, x509
        from pyhanko.pdf_utils.crypt import pubkey

        key = keys.PrivateKeyInfo.load(_pkcs8(person))
        decrypter = pubkey.SimpleEnvelopeKeyDecrypter(x509.Certificate.load(person.der), key)
        seed, _ = pubkey.read_seed_from_recipient_cms(cms.ContentInfo.load(data), decrypter)
        return bytes(seed or b"")


def _pkcs8(person: Person) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return person.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def tools(lab: Laboratory) -> dict[str, Tool]:
    return {tool.name: tool for tool in (Openssl(lab), Nss(lab), Gpgsm(lab), Hanko(lab))}


_NOISE = re.compile(
    "CRLs not checked|DBG|Signature made|using (?:rsa|nistp)|encrypted to|adding certificates|usage"
    "|message decryption failed"
)
_OPENSSL = re.compile(r":error:[0-9A-F]+:[^:]*:[^:]*:([^:]*):")
_NSS = re.compile(r"[A-Z]{3}_ERROR_[A-Z_]+")


def shortened(words: str) -> str:
    """A tool's words without what differs from run to run: paths, numbers of keys, moments."""
    if found := _NSS.search(words) or None:
        return found.group()
    if reasons := _OPENSSL.findall(words):
        return str(reasons[0])
    lines = [line for line in words.splitlines() if not _NOISE.search(line)]
    told = re.sub(r"/[\w./-]+|\b[0-9A-F]{8,}\b", "…", lines[0] if lines else words)
    return re.split(r"\.(?: |$)(?=[A-Z]|$)", told.removeprefix("gpgsm: "))[0][:120].strip()
