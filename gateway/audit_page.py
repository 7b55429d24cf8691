"""What `pli audit` shows: a page for people, in French or English, and the same as JSON for programs and for the seal.

Promises: each domain's line says what a letter would meet and whether that is what is expected; what a stranger
wrote is shown without control characters. Does not: look at anything (audit does).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from gateway.audit import Audit, DomainLook, DoorLook, HostLook, Seen, Step
from gateway.certs_words import FAULTS, said
from relay.model import Reason

_GOES = {"fr": "une lettre y est remise", "en": "a letter is handed over"}
_MEETS: dict[str, tuple[str, str]] = {
    Reason.NOT_LISTED: ("domaine absent de la liste blanche", "the domain is not in the white list"),
    Reason.WHITE_LIST_STALE: ("notre liste blanche est trop ancienne", "our white list is too old"),
    Reason.DNS_DOWN: ("le serveur de noms ne répond pas", "the name server gives no answer"),
    Reason.DOMAIN_UNKNOWN: ("le domaine n'existe pas", "the domain does not exist"),
    Reason.DOMAIN_NO_MAIL: ("le domaine ne reçoit pas de courrier", "the domain takes no mail"),
    Reason.DOMAIN_NO_HOST: ("aucun serveur de courrier", "no mail host"),
    Reason.DOMAIN_LOOPS: ("le domaine désigne notre propre serveur", "the domain names our own host"),
    Reason.PEER_UNREACHABLE: ("serveur injoignable", "the host cannot be reached"),
    Reason.PEER_DELAYED: ("le serveur demande d'attendre", "the host asks to wait"),
    Reason.TLS_REQUIRED: ("refusé : pas de STARTTLS", "refused: no STARTTLS"),
    Reason.PEER_REFUSED_TLS: ("le serveur refuse notre certificat", "the host refuses our certificate"),
    Reason.PEER_NO_CERTIFICATE: ("refusé : pas de certificat", "refused: no certificate"),
    Reason.PEER_UNTRUSTED: ("refusé : certificat non valable", "refused: the certificate does not hold"),
    Reason.PEER_CANNOT_TELL: (
        "la validité du certificat est inconnue",
        "nobody can tell whether it holds",
    ),
    Reason.PEER_NOT_LISTED: (
        "refusé : la liste blanche donne un autre certificat pour ce domaine",
        "refused: the white list gives another certificate for this domain",
    ),
}
_STEPS: dict[Step, tuple[str, str]] = {
    Step.WHITE_LIST_NAMES: ("liste blanche, domaine", "white list, domain"),
    Step.LOOK_UP: ("recherche MX", "MX look-up"),
    Step.CONNECT: ("connexion", "connection"),
    Step.STARTTLS: ("STARTTLS", "STARTTLS"),
    Step.HANDSHAKE: ("négociation TLS", "TLS handshake"),
    Step.CERTIFICATE: ("certificat", "certificate"),
    Step.WHITE_LIST: ("liste blanche, certificat", "white list, certificate"),
}
_DOOR: dict[str, tuple[str, str]] = {
    "white-list-age": ("liste blanche de", "white list of"),
    "door": ("notre porte offre STARTTLS", "our door offers STARTTLS"),
    "shows-its-certificate": ("elle montre tls.certificate", "it shows tls.certificate"),
    "certificate": ("notre certificat", "our certificate"),
    "expires": ("il expire", "it expires"),
    "listed": ("la liste blanche nous donne", "the white list gives us"),
}
_WHY: dict[str, tuple[str, str]] = {
    "another-listed": ("elle en donne un autre", "it gives another one"),
    "domain-not-listed": ("le domaine n'y est pas", "the domain is not in it"),
    "not-configured": ("n'est pas configurée", "is not configured"),
    "no-session": ("aucune session TLS", "no session in TLS"),
    "another-shown": ("un autre est montré, redémarrez le nœud", "another one is shown: restart the node"),
}
_HEADS = {
    "fr": ("", "domaine, puis ses serveurs", "ce qu'y rencontre une lettre, puis le certificat présenté"),
    "en": ("", "domain, then its hosts", "what a letter meets there, then the certificate presented"),
}
_EXPECTED = {"fr": "attendu : ", "en": "expected: "}
_END = {
    ("fr", True): "Tout est comme attendu.",
    ("fr", False): "Tout n'est pas comme attendu.",
    ("en", True): "All is as expected.",
    ("en", False): "Not all is as expected.",
}


def page(audit: Audit, language: str) -> Iterator[Table | str]:
    """Two tables, then the answer."""
    yield f"{audit.node}, {audit.at:%Y-%m-%d %H:%M:%S} UTC"
    table = Table(box=box.SIMPLE, pad_edge=False)
    for head in _HEADS[language]:
        table.add_column(head, overflow="fold")
    for each in audit.domains:
        for row in _rows(each, language):
            table.add_row(*map(_plain, row))
    if audit.domains:
        yield table
    ours = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    for look in audit.door:
        ours.add_row(*map(_plain, (_mark(look.ok), _asked(look, language), _told(look, language))))
    yield ours
    yield _END[language, audit.ok]


def _rows(look: DomainLook, language: str) -> Iterator[tuple[str, str, str]]:
    step = f" [{_word(_STEPS[look.step], language)}]" if look.step else ""
    yield _mark(look.ok), look.domain, _met(look.reason, look.detail, language) + step
    if not look.ok:
        yield "", "", _EXPECTED[language] + _met(look.case.reason, look.case.detail, language)
    for host in look.hosts:
        seen = host.certificate
        presented = f"{seen.subject} → {seen.until:%Y-%m-%d}" if seen else ""
        yield "", f"  {host.name} [{host.address or host.name}]:{host.port} {host.tls}".rstrip(), presented


def _plain(text: str) -> Text:
    """A stranger's certificate says nothing to the terminal, and nothing to the table's own markup."""
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def _mark(ok: bool) -> str:
    return "+" if ok else "-"


def _word(pair: tuple[str, str], language: str) -> str:
    return pair[0] if language == "fr" else pair[1]


def _met(reason: str, detail: str, language: str) -> str:
    if not reason:
        return _GOES[language]
    because = f" ({said(FAULTS, detail, language)})" if detail in FAULTS else f" ({detail})" if detail else ""
    return _word(_MEETS.get(reason, (reason, reason)), language) + because


def _asked(look: DoorLook, language: str) -> str:
    name, _, rest = look.name.partition(" ")
    return f"{_word(_DOOR[name], language)} {rest}".strip()


def _told(look: DoorLook, language: str) -> str:
    why = _word(_WHY[look.why], language) if look.why in _WHY else said(FAULTS, look.why, language)
    return f"{why} : {look.detail}" if why and look.detail else why or look.detail


# --- the same for programs --------------------------------------------------------------------------------------------


def as_json(audit: Audit) -> dict[str, Any]:
    return {
        "report": "pli audit",
        "version": version("pli-gateway"),
        "node": audit.node,
        "at": _moment(audit.at),
        "ok": audit.ok,
        "domains": [_domain(each) for each in audit.domains],
        "door": [{"name": look.name, "ok": look.ok, "detail": look.detail, "why": look.why} for look in audit.door],
    }


def _domain(look: DomainLook) -> dict[str, Any]:
    return {
        "domain": look.domain,
        "ok": look.ok,
        "expected": {"reason": look.case.reason, "detail": look.case.detail},
        "met": {
            "reason": look.reason,
            "detail": look.detail,
            "step": look.step.value if look.step else "",
            "permanent": look.permanent,
        },
        "hosts": [_host(each) for each in look.hosts],
    }


def _host(look: HostLook) -> dict[str, Any]:
    return {
        "name": look.name,
        "address": look.address,
        "port": look.port,
        "tls": look.tls,
        "reason": look.reason,
        "detail": look.detail,
        "certificate": _certificate(look.certificate) if look.certificate else None,
    }


def _certificate(seen: Seen) -> dict[str, str]:
    return {
        "subject": seen.subject,
        "issuer": seen.issuer,
        "until": _moment(seen.until),
        "fingerprint": seen.fingerprint,
        "judged": seen.judged,
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
