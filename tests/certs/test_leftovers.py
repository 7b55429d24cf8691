"""OpenSSL keeps a list of errors for each thread: what one question leaves there must not change the next answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cryptography.hazmat.bindings.openssl.binding import Binding

from certs import envelope, profiles
from certs.chain import TrustStore
from certs.model import Untrusted
from certs.openers import LocalOpener
from certs.throwaway import Issued


def _forged(issued: Issued) -> bytes:
    """The certificate with its signature spoilt."""
    return issued.der[:-1] + bytes([issued.der[-1] ^ 1])


def test_a_refused_chain_leaves_no_error_behind(store: TrustStore, doctor: Issued, moment: datetime) -> None:
    """The path search fails inside OpenSSL, and takes its errors away with it."""
    library = Binding().lib
    library.ERR_clear_error()
    answer = store.judge(_forged(doctor), doctor.chain, profiles.SMIME, moment)
    assert isinstance(answer, Untrusted)
    assert library.ERR_peek_error() == 0


def test_a_broken_tag_is_one_answer_whatever_came_before(doctor: Issued, correspondents: Mapping[str, object]) -> None:
    """A stale error makes the library call a wrong tag something else: the answer is the same."""
    reader = correspondents["rsa"]
    opener: LocalOpener = reader.opener  # type: ignore[attr-defined]
    sealed = envelope.encrypt(b"contenu", [opener.certificate])
    broken = sealed[:-1] + bytes([sealed[-1] ^ 1])
    library = Binding().lib
    library.ERR_put_error(6, 0, 101, b"elsewhere.c", 1)
    try:
        assert library.ERR_peek_error() != 0
        assert envelope.decrypt(broken, [opener]) == envelope.CANNOT_OPEN
    finally:
        library.ERR_clear_error()
