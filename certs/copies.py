"""CRLs and OCSP answers as they lie in folders: an operator's trust folder, and the cache of what was fetched.

Promises: an unreadable file of the operator's is a ValueError that names it; one in the cache is left out, for the
refresher fetches it again. Does not: judge them (revocation does), nor write (cache does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from cryptography import x509

from certs import crl, ocsp, sources
from certs.cache import Cache, Resource, State
from certs.crl import Crl
from certs.ocsp import Answer
from certs.revocation import Patience, Revocations

T = TypeVar("T")
CRL_ENDINGS = frozenset({".pem", ".der", ".crl"})
OCSP_ENDINGS = frozenset({".der"})


def load(folder: Path, cache: Path | None, patience: Patience) -> Revocations:
    """All that both folders hold. Raises ValueError for an unreadable file of `folder`."""
    crls, answers = list(_crls(folder, strict=True)), list(_answers(folder, strict=True))
    if cache is None:
        return Revocations(crls, answers, patience)
    fetched = _crls(cache, strict=False), _answers(cache, strict=False)
    return Revocations([*crls, *fetched[0]], [*answers, *fetched[1]], patience, trouble(Cache(cache)))


def trouble(cache: Cache) -> Callable[[x509.Certificate], str]:
    """For Revocations: since when the addresses of a certificate's lists fail, in words."""

    def told(certificate: x509.Certificate) -> str:
        named = sources.of(certificate)
        states: Iterable[State] = (cache.state(Resource("crls", url)) for url in named.crls)
        failing = [f"{state.url} since {state.since}: {state.why}" for state in states if state.failures]
        left = [f"{url} is not followed" for url in named.left]
        return "; ".join((failing + left)[:4])

    return told


def _crls(folder: Path, *, strict: bool) -> Iterator[Crl]:
    return _read(folder / "crls", CRL_ENDINGS, lambda data: crl.read(_der(data)), "CRL", strict=strict)


def _answers(folder: Path, *, strict: bool) -> Iterator[Answer]:
    return _read(folder / "ocsp", OCSP_ENDINGS, ocsp.read, "OCSP answer", strict=strict)


def _read(folder: Path, endings: frozenset[str], read: Callable[[bytes], T], what: str, *, strict: bool) -> Iterator[T]:
    for file in sorted(folder.glob("[!.]*")):
        if file.suffix not in endings:
            continue
        try:
            yield read(file.read_bytes())
        except (ValueError, OSError) as error:
            if strict:
                raise ValueError(f"{file.name} holds no readable {what}") from error


def _der(data: bytes) -> bytes:
    return crl.der(x509.load_pem_x509_crl(data)) if data.lstrip().startswith(b"-----") else data
