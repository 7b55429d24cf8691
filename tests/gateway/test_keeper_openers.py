"""The keeper opens what was encrypted to a mailbox: asked over its socket, by whom, and what it writes down."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)

from certs import envelope, openers
from certs.keys import KeeperClient, KeeperDown, KeeperRefused, to_text
from certs.openers import CannotOpen, Padding
from certs.throwaway import Issued, Pki, Shape
from gateway.keeper import OPENERS_MOST, Keeper

MOMENT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
DOCTOR = "marie.martin@lilas.mssante.example"
KEY = bytes(range(32))
UIDS = frozenset({os.geteuid()})


@pytest.fixture(scope="module")
def authority() -> Pki:
    return Pki.create(MOMENT)


def encrypts(authority: Pki, address: str = DOCTOR, key: str = "rsa", **window: datetime) -> Issued:
    shape = Shape(
        usage=frozenset({"key_encipherment" if key == "rsa" else "key_agreement"}),
        names=(x509.RFC822Name(address),),
        key=key,
        **window,  # type: ignore[arg-type]
    )
    return authority.issue(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "MARIE MARTIN")]), shape)


@pytest.fixture(scope="module")
def rsa_pair(authority: Pki) -> Issued:
    """Ended long ago."""
    return encrypts(authority, not_before=MOMENT - timedelta(days=900), not_after=MOMENT - timedelta(days=30))


@pytest.fixture(scope="module")
def ec_pair(authority: Pki) -> Issued:
    return encrypts(authority, key="p384")


@pytest.fixture
def folder(tmp_path: Path, rsa_pair: Issued, ec_pair: Issued) -> Path:
    rsa_pair.write(tmp_path / "decrypt", "martin-2024")
    ec_pair.write(tmp_path / "decrypt", "martin-2026")
    key = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "body.key").write_bytes(key)
    return tmp_path


@pytest.fixture
def journal() -> list[tuple[str, dict[str, str]]]:
    return []


@contextmanager
def serving(keeper: Keeper, path: Path) -> Iterator[KeeperClient]:
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=keeper.serve, args=(stop, ready.set))
    thread.start()
    assert ready.wait(10)
    client = KeeperClient(path)
    try:
        yield client
    finally:
        client.close()
        stop.set()
        thread.join()


@pytest.fixture
def client(folder: Path, journal: list[tuple[str, dict[str, str]]]) -> Iterator[KeeperClient]:
    keeper = Keeper(folder, folder / "s", UIDS, lambda event, facts: journal.append((event, facts)))
    with serving(keeper, folder / "s") as client:
        yield client


def test_openers_of_a_mailbox_newest_first(client: KeeperClient, rsa_pair: Issued, ec_pair: Issued) -> None:
    """Current and ended keys of a mailbox are offered, the newest first; another mailbox has none."""
    found = client.openers_for((DOCTOR.replace("lilas", "LILAS"),), "l")
    assert [each.certificate for each in found] == [ec_pair.der, rsa_pair.der]
    assert client.openers_for(("autre@lilas.mssante.example",), "l") == ()


def test_letters_to_a_current_and_an_ended_certificate_open(
    client: KeeperClient, rsa_pair: Issued, ec_pair: Issued, journal: list[tuple[str, dict[str, str]]]
) -> None:
    """A letter to either certificate opens through the keeper, and each release is journalled with its letter."""
    for issued, name in ((rsa_pair, "martin-2024"), (ec_pair, "martin-2026")):
        sealed = envelope.encrypt(b"lettre", [issued.der])
        opened = envelope.decrypt(sealed, client.openers_for((DOCTOR,), "01letter"))
        assert isinstance(opened, envelope.Opened)
        assert opened.content == b"lettre"
        facts = {"key": f"decrypt/{name}", "letter": "01letter", "uid": str(os.geteuid())}
        assert journal.pop() == ("key-opened", facts)
    assert journal == []


def test_bad_padding_answers_random_bytes(client: KeeperClient, rsa_pair: Issued) -> None:
    """RFC 3218: PKCS #1 v1.5 that does not fit is answered like one that does, by bytes of the size asked for."""
    opener = client.openers_for((DOCTOR,), "l")[1]
    public = rsa_pair.certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    v15 = Padding("pkcs1v15")
    good = public.encrypt(KEY, padding.PKCS1v15())
    assert opener.transport(good, v15, 32) == KEY
    spoilt = [bytes(256), good[:-1] + bytes([good[-1] ^ 1]), b"\xff" * 256, b"short"]
    answers = [opener.transport(each, v15, 32) for each in (*spoilt, bytes(256))]
    assert {len(each) for each in answers} == {32}
    assert KEY not in answers
    assert len(opener.transport(good, v15, 16)) == 16, "another size than the one inside"


def test_other_failures_have_one_answer(client: KeeperClient, ec_pair: Issued) -> None:
    """OAEP that does not fit, a key of another kind, a point off the curve: CannotOpen, one text."""
    curve, transport = client.openers_for((DOCTOR,), "l")
    point = ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(
        Encoding.X962, PublicFormat.UncompressedPoint
    )  # fmt: skip
    assert len(curve.agree(point)) == 48
    said = set()
    for ask in (
        lambda: transport.transport(bytes(256), Padding("oaep"), 32),
        lambda: transport.agree(point),
        lambda: curve.agree(point[:-1] + bytes([point[-1] ^ 1])),
        lambda: curve.transport(bytes(256), Padding("oaep"), 32),
    ):
        with pytest.raises(CannotOpen) as caught:
            ask()
        said.add(str(caught.value))
    assert len(said) == 1


ASKED = {"ask": "transport", "ciphertext": to_text(bytes(256)), "scheme": "oaep", "hash": "sha256", "mgf": "sha256",
         "label": "", "size": "32", "letter": "l"}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"key": "0" * 64}, {"size": "65"}, {"size": "-1"}, {"size": "0x10"}, {"size": "²"}, {"scheme": "raw"},
     {"hash": "md5"}, {"mgf": "md5"}, {"letter": ""}, {"ciphertext": "?"}, {"label": 7}, {"ask": "agree"}],
    ids=str,
)  # fmt: skip
def test_a_request_that_asks_for_too_much_is_refused(
    folder: Path, rsa_pair: Issued, journal: list[tuple[str, dict[str, str]]], change: dict[str, Any]
) -> None:
    """An unknown key, size, padding, no letter, no bytes: refused, and nothing is released; without them it opens."""
    keeper = Keeper(folder, folder / "s", UIDS, lambda event, facts: journal.append((event, facts)))
    asked = ASKED | {
        "key": keeper.answer({"ask": "openers", "address": DOCTOR, "after": "0"}, 0)["ok"]["openers"][1]["key"]
    }
    assert set(keeper.answer(asked | change, os.geteuid())) == {"refused"}
    assert journal == []
    assert keeper.answer(asked, os.geteuid()) == {"ok": None}
    assert len(journal) == 1, "an attempt counts as a release"


def test_a_signing_key_opens_nothing(folder: Path, authority: Pki) -> None:
    """Keys of the mailbox folder sign and do not open; those of the decrypt folder open and do not sign."""
    authority.smime(DOCTOR, "MARIE MARTIN", "LILAS", "1").write(folder / "mailbox", "martin")
    keeper = Keeper(folder, folder / "s", UIDS, lambda *_: None, lambda: MOMENT)
    signs = keeper.answer({"ask": "mailbox", "address": DOCTOR}, 0)["ok"]["key"]
    opens = keeper.answer({"ask": "openers", "address": DOCTOR, "after": "0"}, 0)["ok"]["openers"][0]["key"]
    assert keeper.answer(ASKED | {"key": signs}, 0) == {"refused": "no such key"}
    sign = {"ask": "sign", "digest": to_text(bytes(32)), "hash": "sha256", "letter": "l"}
    assert keeper.answer(sign | {"key": opens}, 0) == {"refused": "no such key"}
    assert "ok" in keeper.answer(sign | {"key": signs}, 0)


def test_nothing_opens_without_the_journal(folder: Path) -> None:
    """A journal that cannot be written: KeeperDown."""

    def full(event: str, facts: dict[str, str]) -> None:
        raise OSError("disk full")

    with serving(Keeper(folder, folder / "s", UIDS, full), folder / "s") as client, pytest.raises(KeeperDown):
        client.openers_for((DOCTOR,), "l")[1].transport(bytes(256), Padding("pkcs1v15"), 32)


def test_another_user_gets_no_opener(folder: Path) -> None:
    """A process of a user who is not allowed is not answered."""
    keeper = Keeper(folder, folder / "s", frozenset({os.geteuid() + 1}), lambda *_: None)
    with serving(keeper, folder / "s") as client, pytest.raises((KeeperDown, KeeperRefused)):
        client.openers_for((DOCTOR,), "l")


def test_many_keys_of_one_mailbox_still_fit_one_answer(folder: Path, authority: Pki) -> None:
    """All are offered, however many are kept, in as many answers as it takes."""
    for year in range(20):
        encrypts(authority, key="p256", not_before=MOMENT - timedelta(days=365 * year)).write(
            folder / "decrypt", f"y{year}"
        )
    keeper = Keeper(folder, folder / "s", UIDS, lambda *_: None, lambda: MOMENT)
    with serving(keeper, folder / "s") as client:
        assert len(client.openers_for((DOCTOR,), "l")) == 22 > OPENERS_MOST


def test_a_pkcs12_with_its_passphrase(folder: Path, authority: Pki) -> None:
    """A NAME.p12 with NAME.pass opens and signs like two files do, and brings its chain."""
    issued = authority.smime("p12@lilas.mssante.example", "P", "LILAS", "1", key="p256")
    issuer = [x509.load_der_x509_certificate(each) for each in issued.chain]
    bag = pkcs12.serialize_key_and_certificates(
        b"x", issued.key, issued.certificate, issuer, BestAvailableEncryption(b"secret")
    )
    (folder / "mailbox").mkdir()
    (folder / "mailbox" / "p.p12").write_bytes(bag)
    (folder / "mailbox" / "p.pass").write_text("secret\n")
    (folder / "mailbox" / "p.pass").chmod(0o600)
    with serving(Keeper(folder, folder / "s", UIDS, lambda *_: None, lambda: MOMENT), folder / "s") as client:
        signer = client.signer_for("p12@lilas.mssante.example", "l")
        assert signer is not None
        assert (signer.certificate, signer.chain) == (issued.der, issued.chain)
    (folder / "mailbox" / "p.pass").write_text("other\n")
    with pytest.raises(ValueError, match=r"p\.p12"):
        Keeper(folder, folder / "s", UIDS, lambda *_: None)


def test_the_answer_for_v15_draws_its_spare_first(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """With the countermeasure switched off, bad padding would show: the test above depends on this one function."""
    monkeypatch.setattr(
        openers, "_whatever_fits", lambda key, ciphertext, size: key.decrypt(ciphertext, padding.PKCS1v15())
    )
    keeper = Keeper(folder, folder / "s", UIDS, lambda *_: None, lambda: MOMENT)
    key = keeper.answer({"ask": "openers", "address": DOCTOR, "after": "0"}, 0)["ok"]["openers"][1]["key"]
    asked = ASKED | {"key": key, "scheme": "pkcs1v15", "ciphertext": to_text(b"short")}
    assert set(keeper.answer(asked, 0)) == {"down"}
