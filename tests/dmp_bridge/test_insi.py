"""INSi, played by a stand-in over real TLS that can be told to misbehave: what counts as an answer, what does not."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from certs import tls
from certs.throwaway import Pki
from dmp_bridge import insi
from dmp_bridge.insi import Identity, Insi, Unsure
from dmp_bridge.model import Ins, InsStatus, Traits
from gateway.demo.sample import PATIENT
from relay.model import Later, Never

ASKED = PATIENT.traits
NUMBER = "2790351215189"
ANSWER = """<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>
<INSiResultat xmlns="http://www.cnamts.fr/INSiResultat"><RESULTAT><CR><CodeCR>{code}</CodeCR><LibelleCR>{name}</LibelleCR>
</CR></RESULTAT>{people}</INSiResultat></s:Body></s:Envelope>"""
PERSON = """<INDIVIDU><INSACTIF><IdIndividu><NumIdentifiant>{number}</NumIdentifiant><Cle>{key}</Cle></IdIndividu>
<OID>{root}</OID></INSACTIF><TIQ><NomNaissance>{name}</NomNaissance><Prenom>{first}</Prenom><Sexe>{sex}</Sexe>
<DateNaissance>{born}</DateNaissance><LieuNaissance>51215</LieuNaissance></TIQ></INDIVIDU>"""
HIM = {"number": NUMBER, "key": "89", "root": "1.2.250.1.213.1.4.10", "name": "PAT-TROIS",
       "first": "DOMINIQUE MARIE-LOUISE", "sex": "F", "born": "1979-03-28"}  # fmt: skip


def answer(code: str = "00", people: int = 1, **change: str) -> bytes:
    person = PERSON.format(**{**HIM, **change})
    return ANSWER.format(code=code, name="PAT-TROIS", people=person * people).encode()


class Service:
    """The stand-in: one answer, whatever is asked; what was asked is kept."""

    def __init__(self) -> None:
        self.answer: bytes = answer()
        self.status = 200
        self.asked: list[bytes] = []


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pki, Path]:
    made, folder = Pki.create(datetime.now(UTC)), tmp_path_factory.mktemp("insi")
    made.write_trust(folder / "trust", datetime.now(UTC))
    pems = (
        path for path in sorted((folder / "trust").rglob("*.pem")) if path.parent.name in ("anchors", "intermediates")
    )
    (folder / "known.pem").write_bytes(b"".join(path.read_bytes() for path in pems))
    return made, folder


@pytest.fixture
def played(pki: tuple[Pki, Path]) -> Iterator[tuple[Service, Callable[..., Insi]]]:
    made, folder = pki
    service, authorities = Service(), folder / "known.pem"

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(service.status)
            self.send_header("Content-Length", str(len(service.answer)))
            self.end_headers()
            self.wfile.write(service.answer)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    theirs = made.tls_server("localhost", "GIE", "1750000026").write(folder, "insi")
    role = tls.Role("stand-in", serves=True, theirs=ssl.CERT_REQUIRED)
    server.socket = tls.context(role, theirs, None, authorities).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    ours = made.auth_client("pli", "Tilleuls", "1750000018").write(folder, "pli")

    def client(**told: Any) -> Insi:
        context = tls.context(insi.INSI_OUT, ours, None, told.pop("authorities", authorities))
        usual = {"url": f"https://localhost:{server.server_address[1]}/insi", "timeout_s": 5.0}
        return Insi(context=context, software="PLI", clock=lambda: datetime.now(UTC), **{**usual, **told})

    yield service, client
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_one_identity_is_an_answer(played: Any) -> None:
    """Matricule, OID and traits as the service has them; the question is as the public samples have it."""
    service, client = played
    found = client(assertion=lambda: b"<a:Assertion xmlns:a='urn:oasis:names:tc:SAML:2.0:assertion'/>").ask(ASKED)
    assert isinstance(found, Identity)
    assert found.ins == Ins(f"{NUMBER}89", "1.2.250.1.213.1.4.10")
    assert found.traits == replace(ASKED, given_names="DOMINIQUE MARIE-LOUISE")
    asked = etree.fromstring(service.asked[-1])
    told = {etree.QName(each).localname: each.text for each in asked.iter(f"{{{insi._ASKED}}}*")}
    assert told == {
        "RECSANSVITALE": None,
        "NomNaissance": "PAT-TROIS",
        "Prenom": "DOMINIQUE",
        "Sexe": "F",
        "DateNaissance": "1979-03-28",
    }
    assert [each.get("Version") for each in asked.iter("ContexteBAM", "ContexteLPS")] == ["01_02", "01_00"]
    (security,) = asked.iter(f"{{{insi._WSSE}}}Security")
    assert [etree.QName(each).localname for each in security] == ["Assertion"]


@pytest.mark.parametrize(("code", "several"), [("01", False), ("02", True)])
def test_none_and_several_are_no_identity(played: Any, code: str, several: bool) -> None:
    """Return codes 01 and 02."""
    service, client = played
    service.answer = answer(code, 0)
    assert client().ask(ASKED) == Unsure(several)


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        (answer(name="AUTRE"), "birth_name"),
        (answer(first="DELPHINE"), "first_given_name"),
        (answer(born="1980-03-28"), "birth_date"),
        (answer(sex="M"), "sex"),
        (answer(key="88"), "matricule"),
        (answer(root="1.2.3"), "matricule"),
    ],
)
def test_an_answer_about_somebody_else_is_none(played: Any, told: bytes, detail: str) -> None:
    """Other traits, a key that does not hold, an OID that is no INS's: refused, and the reason names no value."""
    service, client = played
    service.answer = told
    found = client().ask(ASKED)
    assert found == Never("insi.contradicts", detail)
    assert "PAT-TROIS" not in repr(found)


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"<html>",
        answer(people=2),
        answer(people=0),
        answer(born="28/03/1979"),
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
    ],
)
def test_what_is_no_answer_is_never_one(played: Any, told: bytes) -> None:
    """Nothing, a page, two people, nobody under code 00, another date, a DTD."""
    service, client = played
    service.answer = told
    assert client().ask(ASKED) == Never("insi.unreadable")


def test_a_code_of_theirs_is_kept_and_their_words_are_not(played: Any) -> None:
    """The words may name the patient."""
    service, client = played
    service.answer = answer("E1", 0)
    assert client().ask(ASKED) == Never("insi.refused", "E1")
    service.answer = answer("PAT TROIS", 0)
    assert client().ask(ASKED) == Never("insi.refused", "")


def test_a_service_that_is_down_wrong_or_endless_is_asked_later(
    played: Any, pki: tuple[Pki, Path], tmp_path: Path
) -> None:
    """An error, more than we read, nobody at the port, another authority's certificate: nothing is told to the last."""
    service, client = played
    service.status = 500
    assert isinstance(client().ask(ASKED), Later)
    service.status, service.answer = 200, b" " * (insi.MAX_BYTES + 1)
    assert isinstance(client().ask(ASKED), Later)
    assert isinstance(client(url="https://localhost:9/insi").ask(ASKED), Later)
    told = len(service.asked)
    other = Pki.create(datetime.now(UTC), "ELSEWHERE")
    other.write_trust(tmp_path / "trust", datetime.now(UTC))
    stranger = next(path for path in (tmp_path / "trust").rglob("*.pem") if path.parent.name == "anchors")
    assert isinstance(client(authorities=stranger).ask(ASKED), Later)
    assert len(service.asked) == told


def test_an_identity_that_is_not_whole_is_not_asked_about(played: Any) -> None:
    """Fewer traits would find more people."""
    service, client = played
    assert client().ask(Traits("PAT-TROIS", "DOMINIQUE", "", date(1979, 3, 28))) == Never("insi.incomplete")
    assert service.asked == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (InsStatus.PROVISIONAL, InsStatus.RETRIEVED),
        (InsStatus.UNSTATED, InsStatus.RETRIEVED),
        (InsStatus.RETRIEVED, InsStatus.RETRIEVED),
        (InsStatus.VALIDATED, InsStatus.QUALIFIED),
        (InsStatus.QUALIFIED, InsStatus.QUALIFIED),
    ],
)
def test_retrieved_is_not_qualified(before: InsStatus, after: InsStatus) -> None:
    """Only who was validated by a person becomes qualified by the answer."""
    found = Identity(Ins(f"{NUMBER}89", "1.2.250.1.213.1.4.10"), ASKED)
    changed = insi.learned(replace(PATIENT, ins=None, ins_status=before), found)
    assert (changed.ins, changed.ins_status, changed.local_ids) == (found.ins, after, PATIENT.local_ids)
