"""The install, as whoever has a bare Debian does it: `pli quickstart`, certificates that come back, servers from the
generated units, and a letter through the node that was left. All of it in a root of its own, with its own network.

Run inside that root, this file plays it and prints one JSON object; the tests look at it from outside.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.demo import fresh_root
from gateway.demo.processes import programs

DOMAIN, HOST = "imagerie-des-lilas.mssante.example", "mss.imagerie-des-lilas.example"
ANNE, PAUL, PEER = f"anne.martin@{DOMAIN}", f"paul.bernard@{DOMAIN}", "clinique-du-parc.mssante.example"
MARK = "Compte-rendu-clair-comme-le-jour"
PLI = "/opt/pli/bin/pli"
ANSWERS = f"""\
white_list_url = ""
white_list_signer = "alb@test.pli.invalid"
[[tenants]]
name = "lilas"
organisation = "IMAGERIE DES LILAS"
establishment = "1930000017"
department = "Seine-Saint-Denis (93)"
domains = ["{DOMAIN}"]
"""
TABLE = f"""\
type;adresse;rpps;finess;service;civilite;nom;prenom;profession;specialite;structure;ville;code_postal
PER;{ANNE};10100000017;930000017;;Dr;MARTIN;Anne;Médecin;Radiodiagnostic;IMAGERIE DES LILAS;Les Lilas;93260
PER;{PAUL};10100000025;930000017;;Dr;BERNARD;Paul;Médecin;Chirurgie;IMAGERIE DES LILAS;Les Lilas;93260
"""

pytestmark = [pytest.mark.root, pytest.mark.journey]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the play saw, each step by its name."""
    log = tmp_path_factory.mktemp("install") / "log"
    command = [sys.executable, str(Path(__file__).resolve())]
    with log.open("w") as errors:
        played = fresh_root.enter(command, programs("dovecot").root, stdout=subprocess.PIPE, stderr=errors)
        said, _ = played.communicate(timeout=200)
    assert played.returncode == 0, log.read_text()[-4000:]
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def test_quickstart_asks_little_and_makes_all_of_it(seen: dict[str, Any]) -> None:
    """Two options and six lines of answers; requests for the five profiles, records, units, servers, accounts."""
    told = seen["quickstart"]
    assert {each["fate"] for each in told["placed"]} == {"made"}
    profiles = [each["profile"].split(" (")[0] for each in told["requests"]]
    assert profiles == ["SERV SSL", "ORG AUTH_CLI", "ORG SIGN", "S/MIME organisation", "ORG CONF"]
    assert f"{DOMAIN}. IN MX 10 {HOST}." in told["records"]
    assert told["administrator"] == ANNE
    assert told["password"]
    assert seen["accounts"] == ["openldap", "pli", "pli-mail"]


def test_what_is_missing_is_said_in_plain_words_before_and_not_after(seen: dict[str, Any]) -> None:
    """Before the certificates came the check fails and names their requests; afterwards it is content."""
    code, said = seen["check-before"]
    assert code == 2
    assert "/etc/pli/requests/server.csr" in said
    assert "white list" in said
    assert "not homologated" in said
    code, said = seen["check-after"]
    assert (code, "BAD" in said) == (0, False), said
    assert "not homologated" in said


def test_the_node_that_was_left_is_ready(seen: dict[str, Any]) -> None:
    """`pli health`: spooler, keeper, doors on 25 and 587, directory, white list."""
    code, said = seen["health"]
    assert code == 0, said
    assert "door of peers" in said
    assert "ldap://127.0.0.1:389 answers" in said


def test_mailboxes_are_kept_through_the_gateways_identity_at_once(seen: dict[str, Any]) -> None:
    """Nothing is to be loaded by hand: its password lies there, its entry in the directory, its rights are slapd's."""
    told = seen["kept"]
    assert (told["delegate delegate"][0], "@" in told["delegate delegate"][1]) == (0, False)
    assert '"number"' in told["delegate delegate"][1]
    assert (told["support support"][0], PAUL in told["support support"][1]) == (0, True)
    assert "may not" in told["delegate support"][1]


def test_the_root_is_alone(seen: dict[str, Any]) -> None:
    """The play shows what it says: no way out of it, nothing of the checkout can be changed, no process of the machine
    is seen."""
    assert seen["alone"] == {"routes": 0, "writes": False, "strangers": []}
    assert not Path("/etc/pli/quickstart.json").exists()


def test_a_letter_goes_through_it(seen: dict[str, Any]) -> None:
    """By swaks with the password that was shown once, and out of the recipient's mailbox by curl over IMAPS."""
    assert seen["submitted"][0] == 0, seen["submitted"][1]
    assert MARK in seen["read"]
    assert "remis dans la boîte" in seen["trace"]


def test_a_wrong_password_sends_nothing(seen: dict[str, Any]) -> None:
    """The twin: swaks' code for a login that failed, and the door's 535."""
    code, said = seen["refused"]
    assert code == 28
    assert "535" in said


def test_an_operator_gets_in_with_a_listed_certificate_alone(seen: dict[str, Any]) -> None:
    """Port 25 from a listed peer, and the same letter without a certificate."""
    assert seen["peer"][0] == 0, seen["peer"][1]
    assert seen["stranger"][0] != 0
    assert "TLS" in seen["stranger"][1]


def test_mail_is_encrypted_at_rest(seen: dict[str, Any]) -> None:
    """What Dovecot keeps does not hold the letter's text, which IMAP gives."""
    assert seen["kept-files"] > 0
    assert seen["in-clear"] == []


def test_typed_again_it_changes_nothing_and_leaves_what_was_edited(seen: dict[str, Any]) -> None:
    """Every file unchanged or kept, no second password; then an edited firewall is left, the new text beside it."""
    fates = {each["fate"] for each in seen["again"]["placed"]}
    assert fates <= {"unchanged", "kept"}
    assert seen["again"]["password"] == ""
    edited = {each["path"]: each["fate"] for each in seen["edited"]["placed"]}
    assert edited["/etc/pli/firewall.nft"] == "left"
    assert list(edited.values()).count("left") == 1
    assert seen["firewall"] == ["# mine", "#!/usr/sbin/nft -f"]


def test_old_mail_is_brought_in_as_the_page_says(seen: dict[str, Any]) -> None:
    """docs/import-mailboxes.md's file, with other names, brings a mailbox into another; typed again it copies nothing
    more. With a wrong password it says so."""
    first, again, wrong = seen["import"]
    assert first == [0, 2], seen["import"]
    assert again == [0, 2]
    assert wrong[0] != 0


def test_secrets_are_their_owners(seen: dict[str, Any]) -> None:
    """No key is readable by another account; Dovecot alone, beside the node, reads the accounts."""
    assert seen["open-keys"] == []
    assert seen["accounts-mode"] == ["pli", "pli", "640"]


# --- the play, inside ------------------------------------------------------------------------------------------


def _run(*words: str, **how: Any) -> tuple[int, str]:
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **how)
    return done.returncode, done.stdout


def _pli(*words: str) -> tuple[int, str]:
    return _run(PLI, *words)


def _quickstart() -> dict[str, Any]:
    options = ["--hostname", HOST, "--administrator", ANNE, "--unattended", "--json"]
    code, said = _pli("quickstart", "--answers", "/root/answers.toml", *options)
    assert code == 0, said
    found: dict[str, Any] = json.loads(said)
    return found


def _until(what: Callable[[], bool], name: str, seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, f"waited in vain: {name}"
        time.sleep(0.1)


def _authority(told: dict[str, Any]) -> None:
    """Plays IGC-Santé and the trust space: answers each request, signs the white list."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

    from certs import throwaway, xml
    from certs.chain import identity
    from relay.partners import Listed, compose

    now = datetime.now(UTC).replace(microsecond=0)
    pki = throwaway.Pki.create(now, kind="p256")
    pki.write_trust(Path("/etc/pli/trust"), now)
    shapes = {
        "SERV": (throwaway.SIGNS, (Eku.SERVER_AUTH, Eku.CLIENT_AUTH)),
        "ORG AUTH_CLI": (throwaway.SIGNS, (Eku.CLIENT_AUTH,)),
        "ORG CONF": (throwaway.TAKES_KEYS, (Eku.EMAIL_PROTECTION,)),
    }
    for each in told["requests"]:
        asked = x509.load_pem_x509_csr(Path(each["request"]).read_bytes())
        usage, eku = next(
            (shape for name, shape in shapes.items() if each["profile"].startswith(name)),
            (throwaway.SIGNS_FOR_GOOD, (Eku.EMAIL_PROTECTION,)),
        )
        names = [name for ext in asked.extensions for name in ext.value]
        shape = throwaway.Shape(usage=usage, eku=eku, names=tuple(names), key=_Public(asked.public_key()))
        issued = pki.issue(asked.subject, shape)
        place = Path(each["certificate"])
        place.write_bytes(throwaway._pem([issued.der, *issued.chain]))
        _give(place, "pli")
    host = x509.load_pem_x509_certificate(Path("/etc/pli/tls/server.pem").read_bytes())
    peer = pki.tls_server(f"mss.{PEER}", "CLINIQUE DU PARC", "1750000028")
    peer.write(Path("/root/peer"), "peer")
    from cryptography.hazmat.primitives.serialization import Encoding

    listed = [
        Listed(DOMAIN, identity(host.public_bytes(Encoding.DER)).subject),
        Listed(PEER, identity(peer.der).subject),
    ]
    signer = pki.white_list_signer()
    signed = xml.sign_enveloped(compose(listed, now), signer.key, [signer.der, *signer.chain])
    Path("/etc/pli/trust/white-list.xml").write_bytes(signed)


class _Public:
    """Stands where the authority's shape wants a key: it knows the applicant's public half alone."""

    def __init__(self, public: Any) -> None:
        self._public = public

    def public_key(self) -> Any:
        return self._public


def _give(path: Path, owner: str) -> None:
    who = pwd.getpwnam(owner)
    os.chown(path, who.pw_uid, who.pw_gid)


def _unit(name: str) -> dict[str, list[str]]:
    """A unit's settings, as far as a machine without systemd as its first process can obey them."""
    found: dict[str, list[str]] = {}
    for line in Path(f"/etc/systemd/system/{name}.service").read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def _start(name: str) -> None:
    unit = _unit(name)
    user = unit.get("User", ["root"])[0]
    for key, above in (
        ("RuntimeDirectory", "/run"),
        ("StateDirectory", "/var/lib"),
        ("ConfigurationDirectory", "/etc"),
    ):
        for folder in unit.get(key, []):
            path = Path(above, folder)
            path.mkdir(exist_ok=True)
            path.chmod(int(unit.get(f"{key}Mode", ["0755"])[0], 8))
            _give(path, user)
    drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user != "root" else []
    if drop and "AmbientCapabilities" in unit:
        drop += ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]
    for before in unit.get("ExecStartPre", []):
        subprocess.run([*drop, *shlex.split(before)], check=True, stdout=sys.stderr)
    subprocess.Popen([*drop, *shlex.split(unit["ExecStart"][0])], stdout=sys.stderr)


def _answers(port: int) -> bool:
    import socket

    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False


def _swaks(*more: str) -> tuple[int, str]:
    body = ["--header", "Subject: essai", "--body", MARK, "--tls-ca-path", "/etc/pli/trust/anchors/root.pem"]
    return _run("swaks", "--server", "127.0.0.1", "--tls", "--to", PAUL, *body, *more)


def _mailbox() -> str:
    """Paul's newest letter, as curl reads it over IMAPS."""
    trust = ["--cacert", "/etc/pli/trust/anchors/root.pem", "--resolve", f"{HOST}:993:127.0.0.1"]
    code, said = _run("curl", "-sS", *trust, "-u", f"{PAUL}:paul-a-son-mot", f"imaps://{HOST}/INBOX;MAILINDEX=1")
    return said if code == 0 else ""


def _files(folder: str) -> Iterator[Path]:
    return (each for each in Path(folder).rglob("*") if each.is_file() and not each.is_symlink())


def _alone() -> dict[str, Any]:
    """What of the machine outside is within reach."""
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    code, _ = _run("touch", str(Path(__file__).resolve()))
    names = {each.read_text().strip() for each in Path("/proc").glob("[0-9]*/comm")}
    return {"routes": len(routes), "writes": code == 0, "strangers": sorted(names - {"python", "python3", "touch"})}


def play() -> dict[str, Any]:
    seen: dict[str, Any] = {"alone": _alone()}
    Path("/root/answers.toml").write_text(ANSWERS)
    told = seen["quickstart"] = _quickstart()
    seen["accounts"] = sorted(
        each.pw_name for each in pwd.getpwall() if each.pw_name in ("pli", "pli-mail", "openldap")
    )
    seen["check-before"] = _pli("config", "check")
    _authority(told)
    _start("pli-annuaire")
    _start("pli-dovecot")
    _start("pli")
    _until(lambda: all(map(_answers, (389, 24, 993, 25, 587, 8443))), "ports")
    Path("/root/table.csv").write_text(TABLE)
    for words in (
        ("plan", "/root/table.csv", "--source", "tableau"),
        ("apply", "/root/table.csv.plan", "--by", "Anne"),
    ):
        code, said = _pli("directory", *words)
        assert code == 0, said
    seen["kept"] = _kept()
    Path("/root/word").write_text("paul-a-son-mot\n")
    code, said = _pli("account", "password", PAUL, "--password-file", "/root/word")
    assert code == 0, said
    seen["accounts-mode"] = _run("stat", "-c", "%U %G %a", f"/etc/pli/accounts/{DOMAIN}")[1].split()
    seen["check-after"] = _pli("config", "check")
    seen["health"] = _pli("health")
    _letters(seen, told["password"])
    seen["import"] = _imported(told["password"])
    seen["again"] = _quickstart()
    firewall = Path("/etc/pli/firewall.nft")
    firewall.write_text("# mine\n")
    seen["edited"] = _quickstart()
    files = (firewall, firewall.with_name("firewall.nft.pli-new"))
    seen["firewall"] = [each.read_text().splitlines()[0] for each in files]
    secret = (each for each in _files("/etc/pli") if each.suffix in (".key", ".password"))
    seen["open-keys"] = [str(each) for each in secret if each.stat().st_mode & 0o077]
    return seen


def _kept() -> dict[str, tuple[int, str]]:
    """Through the gateway's identity, as quickstart left it: a delegate counts, the help desk looks, and neither does
    what the other may."""
    file = Path("/root/keeping.toml")
    people = "".join(f'{name} = {{ role = "{name}" }}\n' for name in ("delegate", "support"))
    told = 'bind_dn = "cn=passerelle,dc=annuaire"\npassword_file = "/etc/pli/passerelle.password"\n'
    more = f"\n[administration]\n{told}[administration.people]\n{people}"
    file.write_text(Path("/etc/pli/pli.toml").read_text() + more)
    words = {"delegate": ("adoption", "--json"), "support": ("list", "--json")}
    return {
        f"{who} {act}": _pli("-c", str(file), "mailbox", *words[act], "--by", who) for who in words for act in words
    }


def _letters(seen: dict[str, Any], password: str) -> None:
    login = ["--port", "587", "--from", ANNE, "--auth", "PLAIN", "--auth-user", ANNE, "--auth-password"]
    seen["refused"] = _swaks(*login, "not-it")
    seen["submitted"] = _swaks(*login, password)
    _until(lambda: MARK in _mailbox(), "the letter in the mailbox")
    seen["read"] = _mailbox()
    seen["trace"] = _pli("trace", "--sender", ANNE)[1]
    peer = ["--port", "25", "--from", f"claire@{PEER}", "--ehlo", f"mss.{PEER}"]
    seen["peer"] = _swaks(*peer, "--tls-cert", "/root/peer/peer.pem", "--tls-key", "/root/peer/peer.key")
    seen["stranger"] = _swaks(*peer)
    kept = list(_files("/var/lib/pli-mail"))
    seen["kept-files"] = len(kept)
    seen["in-clear"] = [str(each) for each in kept if MARK.encode() in each.read_bytes()]


def _imported(password: str) -> list[list[int]]:
    """Paul's mailbox into Anne's, by the page's own mbsyncrc: [exit code, letters in Anne's] of each time."""
    page = (Path(__file__).resolve().parents[2] / "docs/import-mailboxes.md").read_text("utf-8")
    block = re.search(r"(?m)^    # mbsyncrc\n((?:    .*\n|\n)+)", page)
    assert block
    text = textwrap.dedent(block[1]).replace("imap.ancien-operateur.example", HOST)
    text = text.replace("mss.imagerie-des-lilas.example", HOST)
    holder = "claire.moreau@imagerie-des-lilas.mssante.example"
    text = text.replace(holder, PAUL, 1).replace(holder, ANNE, 1)
    folder = Path("/root/import")
    folder.mkdir()
    (folder / "mbsyncrc").write_text(text)
    (folder / "anchors.pem").write_bytes(Path("/etc/pli/trust/anchors/root.pem").read_bytes())
    (folder / "ancien.password").write_text("paul-a-son-mot")
    (folder / "pli.password").write_text(password)
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost {HOST}\n")
    seen = [_mbsync(folder), _mbsync(folder)]
    (folder / "ancien.password").write_text("another")
    return [*seen, _mbsync(folder)]


def _mbsync(folder: Path) -> list[int]:
    code, said = _run("mbsync", "-c", "mbsyncrc", "reprise", cwd=folder)
    print(said, file=sys.stderr)
    conf = "/etc/pli/dovecot/dovecot.conf"
    words = ("-c", conf, "-f", "tab", "mailbox", "status", "-u", ANNE, "messages", "INBOX")
    return [code, int(_run("doveadm", *words)[1].split()[-1])]


if __name__ == "__main__":
    print(json.dumps(play()))
