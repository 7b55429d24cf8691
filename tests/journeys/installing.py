"""The play of an install: run inside a bare root, as whoever has one, it prints what it saw as one JSON object.

`pli quickstart`, certificates that come back, servers from the generated units, letters, mail brought in, typed again.
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
