"""`pli certs inspect`: what an object is made of, without judging it and without its content.

Promises: algorithms, names and dates of any letter, CMS object, certificate, list, OCSP answer or question and
certificate request; a part that cannot be read says so in its place. Does not: use a key, show content, or say whether
anything is to be believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp

from certs import algorithms, asn1, cms, crl, envelope, identities, signed
from gateway.certs_answer import named, named_algorithm, scanned
from gateway.certs_files import Kind, Thing
from relay.coverage import SIGNATURES, is_pkcs7
from relay.fields import Malformed
from relay.message import Message, Part

Told = dict[str, Any]
_MOST = 50
"""Entries of one kind that are shown; the rest is counted."""


def looked_at(thing: Thing) -> list[Told]:
    """One description for each object of the file."""
    return [_described(each) for each in (thing, *thing.more)]


def _described(thing: Thing) -> Told:
    told: Told = {"kind": thing.kind.value, "bytes": len(thing.data)}
    reads = _READERS.get(thing.kind)
    if reads is None:
        return told
    try:
        return told | reads(thing.data)
    except identities.UNREADABLE as error:
        return told | {"unreadable": type(error).__name__}


# --- CMS -----------------------------------------------------------------------------------------------------


def _cms(data: bytes) -> Told:
    kind = cms.kind(data)
    told: Told = {"content_type": kind, "encoding": "BER" if data[1] == 0x80 else "DER"}
    if kind in ("signed-data", "certs-only"):
        return told | _signed_data(data)
    if kind in ("enveloped-data", "authEnveloped-data"):
        recipients = [_recipient(each) for each in envelope.recipients(data)]
        return told | {"algorithm": envelope.algorithm(data), "recipients": recipients}
    return told


def _signed_data(data: bytes) -> Told:
    read = signed.read(data)
    return {
        "of": read.content_type,
        "content": "detached" if read.inside is None else f"{read.inside.size} bytes inside",
        "signers": [_readable(_signer, each) for each in read.signers],
        "certificates": [_readable(_named, each) for each in read.certificates],
    }


def _readable(reads: Callable[[bytes], Told], der: bytes) -> Told:
    try:
        return reads(der)
    except identities.UNREADABLE as error:
        return {"unreadable": type(error).__name__}


def _named(der: bytes) -> Told:
    return named(identities.identity(der))


def _signer(der: bytes) -> Told:
    info = asn1.decode_der(asn1.SignerInfo, der)
    attributes = [each.parse(asn1.Attribute).kind.dotted_string for each in info.signed_attributes or ()]
    return {
        "by": _holder(info.signer),
        "digest": algorithms.name(asn1.algorithm(info.digest_algorithm)),
        "signature": named_algorithm(asn1.algorithm(info.signature_algorithm)),
        "signed_attributes": [_ATTRIBUTES.get(each, each) for each in attributes],
    }


def _holder(by: asn1.IssuerAndSerialNumber | bytes) -> Told:
    if isinstance(by, bytes):
        return {"key_identifier": by.hex()}
    return {"issuer": identities.name(asn1.whole(by.issuer)), "serial": f"{by.serial:x}"}


_ATTRIBUTES = {
    "1.2.840.113549.1.9.3": "contentType",
    "1.2.840.113549.1.9.4": "messageDigest",
    "1.2.840.113549.1.9.5": "signingTime",
    "1.2.840.113549.1.9.15": "smimeCapabilities",
    "1.2.840.113549.1.9.16.2.11": "encrypKeyPref",
    "1.2.840.113549.1.9.16.2.12": "signingCertificate",
    "1.2.840.113549.1.9.16.2.47": "signingCertificateV2",
    "1.2.840.113549.1.9.52": "cmsAlgorithmProtection",
}


def _recipient(name: envelope.RecipientName) -> Told:
    told: Told = {"kind": name.kind, "algorithm": name.algorithm}
    if name.issuer:
        return told | {"issuer": name.issuer, "serial": f"{name.serial:x}"}
    return told | ({"key_identifier": name.key_identifier.hex()} if name.key_identifier else {})


# --- a letter ------------------------------------------------------------------------------------------------


def _letter(data: bytes) -> Told:
    message = scanned(data)
    return {"parts": [_part(message, each) for each in message.parts], "defects": list(message.defects)}


def _part(message: Message, part: Part) -> Told:
    told: Told = {"part": part.path, "type": part.type, "bytes": len(part.body)}
    if part.type not in SIGNATURES and not is_pkcs7(part):
        return told
    try:
        return told | {"cms": _described(Thing(Kind.CMS, part.decode()))}
    except Malformed as error:
        return told | {"unreadable": str(error)}


# --- certificates, lists, answers, requests ------------------------------------------------------------------


def _certificate(der: bytes) -> Told:
    read = identities.read(der)
    told = _named(der) | {
        "valid_from": _time(read.not_valid_before_utc),
        "valid_until": _time(read.not_valid_after_utc),
        "key": _key(read.public_key()),
        "signature": _signature(read),
        "sha256": hashlib.sha256(der).hexdigest(),
    }
    return told | {"extensions": _extensions(read.extensions)}


def _key(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def _signature(signed_by: Any) -> str:
    oid = signed_by.signature_algorithm_oid
    return str(getattr(oid, "_name", oid.dotted_string))


def _extensions(extensions: x509.Extensions) -> Told:
    return {
        f"{each.oid._name} ({each.oid.dotted_string})" + (" critical" if each.critical else ""): _value(each.value)
        for each in extensions
    }


def _value(value: object) -> Any:
    """In words where a person asks for it; else only that it is there."""
    if isinstance(value, x509.KeyUsage):
        return [name for name in _USAGES if getattr(value, name)]
    if isinstance(value, x509.ExtendedKeyUsage):
        return [each._name for each in value]
    if isinstance(value, x509.BasicConstraints):
        return {"ca": value.ca, "path_length": value.path_length}
    if isinstance(value, x509.SubjectAlternativeName | x509.IssuerAlternativeName):
        return [_general(each) for each in value]
    if isinstance(value, x509.CertificatePolicies):
        return [each.policy_identifier.dotted_string for each in value]
    if isinstance(value, x509.CRLDistributionPoints | x509.FreshestCRL):
        return [_general(name) for point in value for name in point.full_name or ()]
    if isinstance(value, x509.AuthorityInformationAccess):
        return [f"{each.access_method._name} {_general(each.access_location)}" for each in value]
    if isinstance(value, x509.SubjectKeyIdentifier):
        return value.digest.hex()
    if isinstance(value, x509.AuthorityKeyIdentifier):
        return (value.key_identifier or b"").hex()
    if isinstance(value, x509.CRLNumber | x509.DeltaCRLIndicator):
        return value.crl_number
    return "present"


_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign",
)  # fmt: skip


def _general(name: x509.GeneralName) -> str:
    value = name.value
    return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)


def _crl(der: bytes) -> Told:
    listing = x509.load_der_x509_crl(der)
    return {
        "issuer": listing.issuer.rfc4514_string(),
        "this_update": _time(listing.last_update_utc),
        "next_update": _time(listing.next_update_utc),
        "entries": len(listing),
        "signature": _signature(listing),
        "doubt": crl.read(der).doubt,
        "extensions": _extensions(listing.extensions),
    }


def _ocsp_answer(der: bytes) -> Told:
    read = ocsp.load_der_ocsp_response(der)
    told: Told = {"status": read.response_status.name.lower()}
    if read.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return told
    responder = read.responder_name.rfc4514_string() if read.responder_name else (read.responder_key_hash or b"").hex()
    return told | {
        "responder": responder,
        "produced_at": _time(read.produced_at_utc),
        "signature": _signature(read),
        "answers": [_single(each) for each in read.responses],
        "certificates": [each.subject.rfc4514_string() for each in read.certificates],
    }


def _single(each: ocsp.OCSPSingleResponse) -> Told:
    return {
        "serial": f"{each.serial_number:x}",
        "status": each.certificate_status.name.lower(),
        "this_update": _time(each.this_update_utc),
        "next_update": _time(each.next_update_utc),
    }


def _ocsp_question(der: bytes) -> Told:
    read = ocsp.load_der_ocsp_request(der)
    return {"serial": f"{read.serial_number:x}", "extensions": _extensions(read.extensions)}


def _request(der: bytes) -> Told:
    read = x509.load_der_x509_csr(der)
    return {
        "subject": read.subject.rfc4514_string(),
        "key": _key(read.public_key()),
        "signature": _signature(read),
        "signature_holds": read.is_signature_valid,
        "extensions": _extensions(read.extensions),
    }


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else ""


_READERS: dict[Kind, Callable[[bytes], Told]] = {
    Kind.LETTER: _letter,
    Kind.CMS: _cms,
    Kind.CERTIFICATE: _certificate,
    Kind.CRL: _crl,
    Kind.OCSP_ANSWER: _ocsp_answer,
    Kind.OCSP_QUESTION: _ocsp_question,
    Kind.REQUEST: _request,
}


# --- for people ----------------------------------------------------------------------------------------------


def lines(told: object, indent: str = "") -> Iterator[str]:
    """A description as indented lines."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield from _entry(f"{indent}{name}:", value, indent)
    elif isinstance(told, list):
        for value in told[:_MOST]:
            yield from _entry(f"{indent}-", value, indent)
        if len(told) > _MOST:
            yield f"{indent}- … {len(told) - _MOST} more"


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from lines(value, indent + "  ")
    elif value not in ("", [], {}, None):
        yield f"{head} {value}"
