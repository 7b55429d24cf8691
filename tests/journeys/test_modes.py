"""How letters go to another operator, as policy says: sealed, signed and encrypted, waiting, or refused; and how an
operator learns why. Two real nodes, a real directory in which certificates appear."""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import ldap
import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.throwaway import Issued, Shape
from directory.model import Entry
from directory.slapd import FEEDER
from gateway.cli import pli
from gateway.demo.cast import PARC, RADIOLOGIST, RIS, SECRETARIAT, SURGEON
from gateway.demo.looks import message_id
from gateway.demo.stage import SUFFIX

pytestmark = pytest.mark.journey

FROM, TO, DESK = (str(each.address) for each in (RADIOLOGIST, SURGEON, SECRETARIAT))
KEYS: dict[str, Issued] = {}
"""Of Parc's two mailboxes, for decryption."""


@pytest.fixture(scope="module")
def own(make_world: Callable[..., Any]) -> Iterator[Any]:
    """Parc's keeper holds a key for decryption of each mailbox; the directory knows none of them yet."""

    def with_keys(stage: Any) -> None:
        for who in (SURGEON, SECRETARIAT):
            shape = Shape(usage=frozenset({"key_agreement"}), names=(x509.RFC822Name(str(who.address)),), key="p256")
            issued = stage.pki.issue(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who.display_name)]), shape)
            issued.write(stage.seats["parc"].folder / "keys" / "decrypt", who.address.local)
            KEYS[str(who.address)] = issued

    with make_world(with_keys) as world:
        yield world


@pytest.fixture
def publish(own: Any) -> Iterator[Callable[[Entry], None]]:
    """Puts a mailbox's certificate into the directory, as its feed would; afterwards all is as it was."""
    stage = own.company.stage
    feed = ldap.initialize(stage.directory_uri)
    feed.simple_bind_s(f"{FEEDER},{SUFFIX}", stage.passwords.feeder)
    before: dict[str, list[bytes]] = {}

    def put(dn: str, certificates: list[bytes]) -> None:
        feed.modify_s(dn, [(ldap.MOD_REPLACE, "userCertificate;binary", certificates or None)])

    def add(who: Entry) -> None:
        ((dn, values),) = feed.search_s(SUFFIX, ldap.SCOPE_SUBTREE, f"(mail={who.address})")
        before[dn] = values.get("userCertificate;binary", [])
        put(dn, [*before[dn], KEYS[str(who.address)].der])

    yield add
    for dn, certificates in before.items():
        put(dn, certificates)
    feed.unbind_s()


@pytest.fixture
def policy(own: Any) -> Iterator[Callable[..., None]]:
    """Sets values at Lilas, as its operator types them; afterwards each is taken back."""
    done: list[tuple[str, ...]] = []

    def set_(level: str, key: str, value: str, *more: str) -> None:
        said = typed(own.lilas, "policy", "set", level, key, value, *more)
        assert (said.exit_code, said.stderr) == (0, "")
        done.append((level, key, *more))

    yield set_
    for each in done:
        assert typed(own.lilas, "policy", "unset", *each).exit_code == 0


def typed(seat: Any, *arguments: str) -> Result:
    """`pli` in this process: it asks the running node like any other, and need not start an interpreter each time."""
    return CliRunner().invoke(pli, ["--config", str(seat.config), *arguments])


def trail(seat: Any, *wanted: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(typed(seat, "trace", "--json", *wanted).stdout.splitlines()[0])
    return found


def submitted(own: Any, raw: bytes, *to: Entry) -> str:
    """Handed in by the radiologist; its id at her node."""
    with own.submission(own.lilas, FROM) as client:
        assert client.sendmail(FROM, [str(each.address) for each in to or (SURGEON,)], raw) == {}
    return str(trail(own.lilas, "--message-id", message_id(raw))["letter"])


def relayed(own: Any, letter: str) -> dict[str, Any]:
    """Its trail, once nothing of it is on its way to another operator."""

    def look() -> dict[str, Any] | None:
        found = trail(own.lilas, letter)
        peers = [row["state"] for row in found["recipients"] if row["mode"].startswith("peer")]
        return found if all(state in ("done", "failed") for state in peers) else None

    found: dict[str, Any] = own.until(look, f"{letter} at its peers")
    return found


def arrived(own: Any, who: Entry, raw: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(own.received(own.parc, who.address, message_id(raw)), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def archive(letter: EmailMessage) -> bytes | None:
    for part in letter.walk():
        if (part.get_filename() or "").upper() == "IHE_XDM.ZIP":
            return bytes(part.get_payload(decode=True))
    return None


def modes(found: dict[str, Any]) -> set[str]:
    """Of its deliveries to people."""
    return {row["mode"] for row in found["recipients"] if row["mode"].startswith("peer")}


def refusal(own: Any, raw: bytes, *to: str) -> tuple[int, str]:
    with own.submission(own.lilas, FROM) as client:
        client.mail(FROM)
        for each in to:
            assert client.rcpt(each)[0] == 250
        code, words = client.data(raw)
        return code, words.decode()


def test_a_letter_is_signed_and_encrypted_and_arrives_opened(own: Any, publish: Any) -> None:
    """Once the directory has a certificate, the factory's policy uses it: nobody on the way reads it, the keeper at the
    other end opens it, its author's signature is valid and the archive is the one that left."""
    publish(SURGEON)
    raw = own.packed(own.report())
    found = relayed(own, submitted(own, raw))
    assert modes(found) == {"peer-encrypted"}
    steps = [step["event"] for step in found["steps"]]
    assert steps.index("signed") < steps.index("encrypted") < steps.index("relayed")
    shown = arrived(own, SURGEON, raw)
    assert (shown["X-Pli-Opened"], shown["X-Pli-Signature"], shown["X-Pli-Signer"]) == (
        "aes-256-gcm",
        "valid",
        "mailbox",
    )
    assert archive(shown) == archive(email.message_from_bytes(raw, policy=email.policy.default))
    assert shown["Subject"] == email.message_from_bytes(raw, policy=email.policy.default)["Subject"]


def test_a_sealed_letter_says_so_at_the_other_end(own: Any, policy: Any) -> None:
    """One mailbox's letters are sealed by its establishment: the trail there says 'scellé', never 'signé par'."""
    policy("mailbox", "sign", "establishment", "--for", FROM)
    raw = own.packed(own.report())
    assert modes(relayed(own, submitted(own, raw))) == {"peer-sealed"}
    shown = arrived(own, SURGEON, raw)
    assert (shown["X-Pli-Signature"], shown["X-Pli-Signer"]) == ("valid", "establishment")
    assert archive(shown) is not None
    trace = typed(own.parc, "trace", "--message-id", message_id(raw)).stdout
    assert "scellé par l'établissement IMAGERIE DES LILAS" in trace
    assert "signé par" not in trace


def test_encryption_that_is_required_is_refused_where_it_is_not_possible(own: Any, policy: Any) -> None:
    """No certificate: 550 5.7.5 after DATA, nothing leaves; the author's other letters, without that policy, do."""
    raw = own.plain(FROM, TO)
    policy("tenant", f"towards.{PARC}.encrypt", "always")
    code, words = refusal(own, raw, TO)
    assert (code, "5.7.5" in words) == (550, True), words
    assert "certificat" in words
    assert own.inbox(own.parc, SURGEON.address, message_id(raw)) == []


def test_one_without_a_certificate_is_told_to_the_author_and_the_other_gets_his(
    own: Any, policy: Any, publish: Any
) -> None:
    """250 for the letter, encrypted for the surgeon; for the secretariat a report with its sentence, and no letter."""
    publish(SURGEON)
    policy("mailbox", "encrypt", "always", "--for", FROM)
    raw = own.plain(FROM, f"{TO}, {DESK}")
    letter = submitted(own, raw, SURGEON, SECRETARIAT)
    rows = {row["address"]: row for row in trail(own.lilas, letter)["recipients"]}
    assert (rows[DESK]["state"], rows[DESK]["reason"]) == ("failed", "encryption.no-certificate")
    assert arrived(own, SURGEON, raw)["X-Pli-Opened"] == "aes-256-gcm"
    own.until(lambda: "noticed" in [s["event"] for s in trail(own.lilas, letter)["steps"]], "the author is told")
    assert own.inbox(own.parc, SECRETARIAT.address, message_id(raw)) == []


def test_a_letter_waits_for_a_certificate_and_then_goes(own: Any, policy: Any, publish: Any) -> None:
    """`without_certificate = wait`: in the queue by name, not in clear; the certificate appears, it arrives opened."""
    policy("tenant", "encrypt", "always")
    policy("tenant", "without_certificate", "wait")
    raw = own.plain(FROM, DESK)
    letter = submitted(own, raw, SECRETARIAT)

    def waiting() -> bool:
        (row,) = trail(own.lilas, letter)["recipients"]
        return bool(row["state"] == "queued" and row["reason"] == "encryption.no-certificate")

    own.until(waiting, "the letter waits")
    assert own.inbox(own.parc, SECRETARIAT.address, message_id(raw)) == []
    publish(SECRETARIAT)
    assert arrived(own, SECRETARIAT, raw)["X-Pli-Opened"] == "aes-256-gcm"


def test_a_bcc_gets_a_letter_of_his_own(own: Any, publish: Any) -> None:
    """Both arrive opened, by two transactions; the surgeon's letter was encrypted to one certificate, his own."""
    publish(SURGEON)
    publish(SECRETARIAT)
    raw = own.plain(FROM, TO)
    steps = relayed(own, submitted(own, raw, SURGEON, SECRETARIAT))["steps"]
    told = {step["recipient"]: step["facts"]["certificates"] for step in steps if step["event"] == "encrypted"}
    assert {who: prints.count(",") for who, prints in told.items()} == {TO: 0, DESK: 0}
    assert told[TO] != told[DESK]
    for who in (SURGEON, SECRETARIAT):
        assert arrived(own, who, raw)["X-Pli-Opened"] == "aes-256-gcm"


# --- what an operator sees --------------------------------------------------------------------------------------


def test_explain_names_the_value_and_its_origin(own: Any, policy: Any, publish: Any) -> None:
    """Each rule asked, the value it looked at, whose it is; another mailbox is told its own."""
    publish(SURGEON)
    policy("mailbox", "encrypt", "always", "--for", FROM)
    told = typed(own.lilas, "explain", TO, "--from", FROM).stdout.replace("\n", "")
    assert f"règles de {FROM}" in told
    assert f"encrypt-always: peer-encrypted → {PARC}  (chiffrement exigé ?; encrypt = always, boîte {FROM}," in told
    assert "mailbox-here: -  (une boîte de ce nœud ?)" in told
    assert "utilisable" in told
    assert "écarté, wrong-usage" in told
    without = typed(own.lilas, "explain", TO).stdout
    assert "encrypt-when-possible: peer-encrypted" in without
    assert "encrypt = when-possible, usine" in without
    desk = typed(own.lilas, "explain", DESK, "--from", FROM, "--lang", "en").stdout
    assert "encrypt-always: encryption.no-certificate : Encryption is required" in desk
    assert typed(own.lilas, "explain", TO, "--from", TO).exit_code == 2


def test_policy_is_shown_with_where_each_value_comes_from(own: Any, policy: Any) -> None:
    """Factory, tenant, mailbox; one line each, and the journal says who changed what."""
    policy("tenant", "receipt", "always")
    policy("mailbox", "sign", "establishment", "--for", FROM)
    said = typed(own.lilas, "policy", "show", "--for", FROM, "--json").stdout
    rows = {row["key"]: row for row in map(json.loads, said.splitlines())}
    origins = {key: (row["value"], row["level"]) for key, row in rows.items()}
    assert origins == {
        "sign": ("establishment", "mailbox"),
        "encrypt": ("when-possible", "factory"),
        "without_certificate": ("refuse", "factory"),
        "receipt": ("always", "tenant"),
        "patient_ins": ("as-stated", "factory"),
        "max_bytes": ("0", "factory"),
        "towards.patient.mssante.fr.max_bytes": ("25000000", "factory"),
    }
    assert rows["sign"]["by"]
    assert "établissement" in own.pli(own.lilas, "policy", "show").stdout  # under the node's own account
    assert typed(own.lilas, "verify").exit_code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("tenant", "encypt", "always"), "did you mean 'encrypt'?"),
        (("tenant", "encrypt", "allways"), "did you mean 'always'?"),
        (("mailbox", "encrypt", "always"), "with --for"),
        (("mailbox", "encrypt", "always", "--for", TO), "is not of this node"),
        (("domain", "encrypt", "always", "--for", FROM), "is no domain"),
    ],
)
def test_what_is_no_policy_is_refused_in_a_sentence(own: Any, words: tuple[str, ...], why: str) -> None:
    """Nothing is set, exit code 2, the nearest is named."""
    done = typed(own.lilas, "policy", "set", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert why in done.stderr


def test_a_letter_too_large_for_its_route_is_refused_by_name(own: Any, policy: Any) -> None:
    """552 5.2.3 towards the domain that policy names; to our own mailbox the same letter goes."""
    raw = own.plain(FROM, TO)
    policy("tenant", f"towards.{PARC}.max_bytes", "10")
    code, words = refusal(own, raw, TO)
    assert (code, "5.2.3" in words, "trop grande" in words) == (552, True, True)
    submitted(own, raw, RIS)
