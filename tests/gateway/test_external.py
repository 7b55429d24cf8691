"""Applications that log in by client certificate: AUTH EXTERNAL after a handshake in which one was shown."""

from __future__ import annotations

import contextlib
import shutil
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import RFC822Name
from cryptography.x509.oid import ExtendedKeyUsageOID
from structlog.testing import capture_logs

from certs import chain, tls
from certs.chain import TrustStore
from certs.throwaway import Issued, Pki, Shape, subject
from gateway.accounts import Accounts, BadAccount
from relay.peering import Unsure

OpenDoors = Callable[..., Any]
LAB, RIS = "laboratoire@lilas.example", "ris@lilas.example"
NOW = datetime.now(UTC)


def application(pki: Pki, cn: str, **more: Any) -> Issued:
    shape = Shape(eku=(ExtendedKeyUsageOID.CLIENT_AUTH,), key="p256", **more)
    return pki.issue(subject(cn, "IMAGERIE DES LILAS", "1750000001"), shape)


@dataclass(frozen=True)
class Applications:
    """What applications hold: the bound one, its successor, and those that may not enter."""

    folder: Path
    files: dict[str, tuple[Path, Path]]
    bound: Issued
    addressed: Issued

    def trust(self) -> TrustStore:
        return TrustStore.load(self.folder)


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> Applications:
    folder = tmp_path_factory.mktemp("applications")
    pki, elsewhere = Pki.create(NOW, kind="p256"), Pki.create(NOW, "AUTRE", kind="p256")
    past = NOW - timedelta(days=10)
    made = {
        "bound": application(pki, "labo.lilas.example"),
        "renewed": application(pki, "labo.lilas.example"),
        "addressed": application(pki, "adresse.lilas.example", names=(RFC822Name(RIS.upper()),)),
        "unbound": application(pki, "inconnu.lilas.example"),
        "revoked": application(pki, "labo.lilas.example"),
        "expired": application(pki, "labo.lilas.example", not_before=past, not_after=NOW - timedelta(hours=1)),
        "another issuer": application(elsewhere, "labo.lilas.example"),
        "another use": pki.issue(
            subject("labo.lilas.example", "IMAGERIE DES LILAS", "1750000001"),
            Shape(eku=(ExtendedKeyUsageOID.EMAIL_PROTECTION,), key="p256"),
        ),
    }
    pki.revoke(made["revoked"])
    pki.write_trust(folder, NOW)
    files = {name: each.write(folder / "held", name.replace(" ", "-")) for name, each in made.items()}
    return Applications(folder, files, made["bound"], made["addressed"])


@pytest.fixture
def accounts(tmp_path: Path, applications: Applications) -> Accounts:
    made = Accounts(tmp_path / "passwd")
    made.bind_certificate(LAB, applications.bound.der)
    made.bind_certificate(RIS, applications.addressed.der, by_address=True)
    return made


@pytest.fixture
def opened(
    open_door: OpenDoors, applications: Applications, accounts: Accounts, trust_space: Any
) -> Callable[..., Any]:
    """opened(trust=None, unsure=DEFER): a submission door that asks for certificates of `applications`."""

    def start(trust: TrustStore | None = None, unsure: Unsure = Unsure.DEFER) -> Any:
        believed = trust or applications.trust()
        context = tls.context(tls.APPLICATION_IN, trust_space.host, believed)
        return open_door(trust=believed, unsure=unsure, accounts=accounts, contexts=lambda: context)

    return start


def external(user: str = "") -> str:
    return f"AUTH EXTERNAL {b64encode(user.encode()).decode() or '='}"


@pytest.mark.parametrize(("shown", "account"), [("bound", LAB), ("renewed", LAB), ("addressed", RIS)])
@pytest.mark.parametrize("said", ["nothing", "itself", "after a challenge"])
def test_a_bound_certificate_logs_in(
    opened: Callable[..., Any], applications: Applications, shown: str, account: str, said: str
) -> None:
    """By its subject, so that its successor goes on, or by the address in it; the letter is the account's."""
    door = opened()
    client = door.secure(applications.files[shown])
    assert "EXTERNAL" in client.say("EHLO client.example")
    if said == "after a challenge":
        assert client.say("AUTH EXTERNAL") == "334 "
        assert client.say("").startswith("235 2.7.0")
    else:
        assert client.say(external(account.upper() if said == "itself" else "")).startswith("235 2.7.0")
    client.envelope(sender=account)
    assert [proof.account for _, proof in door.intake.senders] == [account]


@pytest.mark.parametrize(
    ("shown", "user", "why"),
    [
        ("unbound", "", "certificate-unbound"),
        ("unbound", LAB, "certificate-unbound"),
        ("bound", RIS, "certificate-unbound"),
        ("revoked", "", "certificate-revoked"),
    ],
)
def test_one_that_may_not_is_refused(
    opened: Callable[..., Any], applications: Applications, shown: str, user: str, why: str
) -> None:
    """A name that nobody bound, another account than its own, one that was revoked: 535, and counted."""
    client = opened().secure(applications.files[shown])
    with capture_logs() as lines:
        assert client.say(external(user)).startswith("535-5.7.8")
    assert [line["why"] for line in lines if line["event"] == "login-refused"] == [why]
    assert client.say(f"MAIL FROM:<{LAB}>").startswith("530")


@pytest.mark.parametrize("shown", ["expired", "another issuer", "another use"])
def test_one_that_is_not_ours_ends_the_handshake(
    opened: Callable[..., Any], applications: Applications, shown: str
) -> None:
    """Beyond its end, from an authority that we do not know, or made for something else."""
    door = opened()
    client = door.client()
    client.say("EHLO client.example")
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        client.start_tls(door.context(applications.files[shown]))
        assert client.say("EHLO client.example") == ""
    assert opened().secure(applications.files["bound"]).say(external()).startswith("235")


def test_without_a_certificate_nothing_is_offered(
    opened: Callable[..., Any], open_door: OpenDoors, accounts: Accounts, applications: Applications
) -> None:
    """People's mail clients show none: they go on by password, and EXTERNAL is unknown; nor does a door that asks for
    no certificate see one."""
    accounts.add(LAB, "un mot de passe")
    for door, shown in ((opened(), None), (open_door(accounts=accounts), applications.files["bound"])):
        client = door.secure(shown)
        assert "EXTERNAL" not in client.say("EHLO client.example")
        assert client.say(external()).startswith("504-5.5.4")
        assert client.log_in(LAB, "un mot de passe").startswith("235")


@pytest.mark.parametrize(
    ("unsure", "answer", "doubt"),
    [
        (Unsure.DEFER, "454-4.7.0", None),
        (Unsure.REFUSE, "535-5.7.8", None),
        (Unsure.ACCEPT_MARKED, "235 2.7.0", "revocation-unknown"),
    ],
)
def test_a_standing_that_cannot_be_told_is_policy(
    opened: Callable[..., Any], applications: Applications, tmp_path: Path, unsure: Unsure, answer: str, doubt: str
) -> None:
    """Without a list of what is revoked: later, never, or in with a mark that stays with the letter."""
    shutil.copytree(applications.folder, tmp_path / "trust")
    shutil.rmtree(tmp_path / "trust" / "crls")
    door = opened(TrustStore.load(tmp_path / "trust"), unsure)
    client = door.secure(applications.files["bound"])
    assert client.say(external()).startswith(answer)
    assert client.say(f"MAIL FROM:<{LAB}>").startswith("250" if doubt else "530")
    assert [proof.doubt for _, proof in door.intake.senders] == ([doubt] if doubt else [])


def test_with_the_check_off_a_revoked_one_gets_in(
    opened: Callable[..., Any], applications: Applications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the list that keeps it out, and nothing by chance."""
    monkeypatch.setattr(chain, "not_revoked", lambda answer, certificate: None)
    assert opened().secure(applications.files["revoked"]).say(external()).startswith("235")


def test_a_response_that_cannot_be_read(opened: Callable[..., Any], applications: Applications) -> None:
    """Syntax, not a failed login."""
    client = opened().secure(applications.files["bound"])
    for said in (b"\xff", b"a\0b", b"a\r\nb"):
        assert client.say(f"AUTH EXTERNAL {b64encode(said).decode()}").startswith("501-5.5.2")
    assert client.say("AUTH EXTERNAL !").startswith("501-5.5.2")


# --- what is bound -------------------------------------------------------------------------------------------------


def test_a_binding_outlives_a_password(accounts: Accounts, applications: Applications, tmp_path: Path) -> None:
    """It is kept in Dovecot's own format beside password and subjects; gone with its account."""
    accounts.add(LAB, "un mot de passe")
    accounts.bind(LAB, "899700000001")
    (line,) = (each for each in accounts.lines() if each.name == LAB)
    assert line.certificates == (applications.bound.certificate.subject.rfc4514_string(),)
    assert line.subjects == ("899700000001",)
    assert accounts.verify(LAB, "un mot de passe") == LAB
    assert all(text.count(":") == 7 and "\n" not in text for text in (tmp_path / "passwd").read_text().splitlines())
    assert accounts.certificate(applications.bound.der) == LAB
    assert accounts.remove(LAB)
    assert accounts.certificate(applications.bound.der) is None


def test_a_certificate_of_two_accounts_says_which(accounts: Accounts, applications: Applications) -> None:
    """Alone it names neither."""
    accounts.bind_certificate(RIS, applications.bound.der)
    assert accounts.certificate(applications.bound.der) is None
    assert accounts.certificate(applications.bound.der, RIS) == RIS
    assert accounts.certificate(applications.bound.der, "anna@lilas.example") is None


def test_what_cannot_be_bound(accounts: Accounts, applications: Applications) -> None:
    """No address to bind by, no certificate, no account's name; and rubbish opens nothing."""
    with pytest.raises(BadAccount, match="0 addresses"):
        accounts.bind_certificate(LAB, applications.bound.der, by_address=True)
    with pytest.raises(ValueError, match="unreadable"):
        accounts.bind_certificate(LAB, b"rubbish")
    with pytest.raises(BadAccount, match="address of its mailbox"):
        accounts.bind_certificate("pas une adresse", applications.bound.der)
    assert accounts.certificate(b"rubbish") is None
