"""What `pli audit` shows: a page for people, in French or English, and the same as JSON for programs and for the seal.

Promises: each domain's line says what a letter would meet and whether that is what is expected. Does not: look at
anything (audit does).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from rich import box
from rich.table import Table

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
_HEADS = {
    "fr": ("", "domaine", "ce qu'y rencontre une lettre", "attendu"),
    "en": ("", "domain", "what a letter meets there", "expected"),
}
_END = {
    ("fr", True): "Tout est comme attendu.",
    ("fr", False): "Tout n'est pas comme attendu.",
    ("en", True): "All is as expected.",
    ("en", False): "Not all is as expected.",
}


def page(audit: Audit, language: str) -> Iterator[Table | str]:
    """Two tables, then the answer."""
    yield f"{audit.node}, {audit.at:%Y-%m-%d %H:%M:%S} UTC"
    table = Table(*_HEADS[language], box=box.SIMPLE, pad_edge=False)
    for each in audit.domains:
        met = "\n".join([_met(each.reason, each.detail, language), *_facts(each, language)])
        table.add_row(_mark(each.ok), each.domain, met, _met(each.case.reason, each.case.detail, language))
    if audit.domains:
        yield table
    ours = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    for look in audit.door:
        ours.add_row(_mark(look.ok), _asked(look, language), look.detail)
    yield ours
    yield _END[language, audit.ok]


def _mark(ok: bool) -> str:
    return "+" if ok else "-"


def _word(pair: tuple[str, str], language: str) -> str:
    return pair[0] if language == "fr" else pair[1]


def _met(reason: str, detail: str, language: str) -> str:
    if not reason:
        return _GOES[language]
    because = f" ({said(FAULTS, detail, language)})" if detail in FAULTS else f" ({detail})" if detail else ""
    return _word(_MEETS.get(reason, (reason, reason)), language) + because


def _facts(look: DomainLook, language: str) -> Iterator[str]:
    if look.step:
        yield f"→ {_word(_STEPS[look.step], language)}"
    for host in look.hosts:
        yield f"{host.name} [{host.address or host.name}]:{host.port} {host.tls}".strip()
        if seen := host.certificate:
            yield f"{seen.subject} → {seen.until:%Y-%m-%d}"


def _asked(look: DoorLook, language: str) -> str:
    name, _, rest = look.name.partition(" ")
    return f"{_word(_DOOR[name], language)} {rest}".strip()


# --- the same for programs --------------------------------------------------------------------------------------------


def as_json(audit: Audit) -> dict[str, Any]:
    return {
        "report": "pli audit",
        "version": version("pli-gateway"),
        "node": audit.node,
        "at": _moment(audit.at),
        "ok": audit.ok,
        "domains": [_domain(each) for each in audit.domains],
        "door": [{"name": look.name, "ok": look.ok, "detail": look.detail} for look in audit.door],
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
