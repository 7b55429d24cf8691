"""Publication by FHIR PATCH as the ANS drafts it (spec/operator.md §3.4): one FHIRPath Patch on who holds the mailbox.

Promises: address and type never change; after a try whose fate is unknown the mailbox is first taken away and then put
there, so that it never stands twice; Done only where the resource that came back holds the mailbox, or no longer does;
never more calls than allowed; no redirect is followed, and the reason of a failure is a name of ours or an issue code,
never what the other side wrote. The draft is marked "not implemented yet" (June 2026): it ships disabled.
Does not: look anything up.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from directory.announcement import Announcement, Fate, Told, Wish, refusal
from directory.fhir import FINESS_SYSTEM, KEY_HEADER, MAX_BYTES
from directory.pace import Pace

MEDIA = "application/fhir+json"
RPPS_SYSTEM = "https://rpps.esante.gouv.fr"
_EMAIL_TYPE = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type"
_METADATA = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata"
_R256 = "https://mos.esante.gouv.fr/NOS/TRE_R256-TypeMessagerie/FHIR/TRE-R256-TypeMessagerie"
_R257 = "https://mos.esante.gouv.fr/NOS/TRE_R257-TypeBAL/FHIR/TRE-R257-TypeBAL"
_CODE = re.compile(r"[a-z][a-z-]{0,40}")

_NEVER = {400: "not-understood", 404: "holder-unknown", 412: "several-holders", 422: "not-accepted"}
"""What asking again does not change; any other status is asked again."""
_STOP = frozenset({401, 403, 429, 503})
"""After these the rest of the round would only hear the same."""


class FhirPatcher:
    """`directory.announcement.Publisher` at `url`, a FHIR R4 base."""

    def __init__(
        self,
        url: str,
        key: str,
        pace: Pace,
        timeout_s: float = 30.0,
        *,
        ticks: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._pace, self._ticks, self._wait, self._limit = url.rstrip("/"), pace, ticks, wait, timeout_s
        headers = {KEY_HEADER: key, "Accept": MEDIA, "Content-Type": MEDIA}
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False, headers=headers)

    def publish(self, wishes: Sequence[Wish]) -> Iterator[Told]:
        for wish in wishes:
            if told := refusal(wish):
                yield told
                continue
            status, told = self._patched(wish)
            yield told
            if status in _STOP:
                return

    def reports(self) -> Iterator[tuple[Told, ...]]:
        """The answer is the report."""
        return iter(())

    def close(self) -> None:
        self._client.close()

    def _patched(self, wish: Wish) -> tuple[int, Told]:
        """The status, 0 where there was none, and what it means."""
        holder, query = target(wish)
        wait_s = self._pace.wait_s(self._ticks(), self._limit)
        if wait_s is None:
            return 0, Told(wish.address, Fate.LATER, "too-many-calls")
        self._wait(wait_s)
        try:
            status, body = self._sent(f"{self._url}/{holder}", query, json.dumps(parameters(wish, holder)).encode())
        except httpx.TimeoutException:
            return 0, Told(wish.address, Fate.LATER, "no-answer-in-time")
        except httpx.HTTPError:
            return 0, Told(wish.address, Fate.LATER, "no-connection")
        return status, _meant(wish, holder, status, body)

    def _sent(self, url: str, query: Mapping[str, str], body: bytes) -> tuple[int, bytes | None]:
        """None: the answer is larger than any that is meant for us, or takes longer than a question may."""
        ended, heard = self._ticks() + self._limit, b""
        with self._client.stream("PATCH", url, params=dict(query), content=body) as answer:
            for piece in answer.iter_bytes():
                heard += piece
                if len(heard) > MAX_BYTES or self._ticks() > ended:
                    return answer.status_code, None
            return answer.status_code, heard


# --- what is asked ------------------------------------------------------------------------------------------------


def target(wish: Wish) -> tuple[str, Mapping[str, str]]:
    """Who holds it: (resource, condition). A person alone, a person at a place, or a structure (§3.4)."""
    said = wish.wanted or wish.published
    if said is None:
        raise ValueError("neither wanted nor published")
    person, place = f"{RPPS_SYSTEM}|{said.rpps}", f"{FINESS_SYSTEM}|{said.finess}"
    if said.kind in ("ORG", "APP") or not said.rpps:
        return "Organization", {"identifier": place}
    if said.finess and said.kind == "PER":
        return "PractitionerRole", {"practitioner.identifier": person, "organization.identifier": place}
    return "Practitioner", {"identifier": person}


def parameters(wish: Wish, holder: str) -> dict[str, Any]:
    """FHIRPath Patch (FHIR R4 §3.1.0.11.1): operations applied in sequence."""
    here = f"{holder}.telecom.where(value = '{_quoted(wish.address)}')"
    away = _operation("delete", ("path", "valueString", here))
    if wish.wanted is None:
        return _body(away)
    point = ("value", "valueContactPoint", contact_point(wish.wanted))
    if wish.published is not None:
        return _body(_operation("replace", ("path", "valueString", here), point))
    there = _operation("insert", ("path", "valueString", f"{holder}.telecom"), ("index", "valueInteger", 0), point)
    # A deletion that finds nothing does nothing; an insertion would make a second one.
    return _body(*([away] if wish.attempts else []), there)


def contact_point(said: Announcement) -> dict[str, Any]:
    """§3.2: telecom with the mailbox's metadata."""
    more: list[dict[str, Any]] = [
        {"url": "type", "valueCodeableConcept": {"coding": [{"system": _R257, "code": said.kind}]}},
        {"url": "listeRouge", "valueBoolean": said.red_list},
    ]
    texts = {"description": said.description, "service": said.service, "responsible": said.responsible}
    more += [{"url": name, "valueString": text} for name, text in texts.items() if text and said.kind != "PER"]
    kind = {"url": _EMAIL_TYPE, "valueCodeableConcept": {"coding": [{"system": _R256, "code": "MSSANTE"}]}}
    point = {"system": "email", "value": said.address, "extension": [kind, {"url": _METADATA, "extension": more}]}
    return point | ({} if said.rank is None else {"rank": said.rank})


def _quoted(text: str) -> str:
    """Inside a FHIRPath string (FHIRPath §4.1.2)."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _operation(kind: str, *parts: tuple[str, str, Any]) -> dict[str, Any]:
    told = [("type", "valueCode", kind), *parts]
    return {"name": "operation", "part": [{"name": name, form: value} for name, form, value in told]}


def _body(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(operations)}


# --- what came back -----------------------------------------------------------------------------------------------


def _meant(wish: Wish, holder: str, status: int, body: bytes | None) -> Told:
    told = _parsed(body)
    if status != 200:
        name = _NEVER.get(status, f"status-{status}")
        code = _issue(told)
        reason = f"{name}:{code}" if code else name
        return Told(wish.address, Fate.NEVER if status in _NEVER else Fate.LATER, reason)
    if told.get("resourceType") != holder:
        return Told(wish.address, Fate.LATER, "answer-not-a-resource")
    return Told(wish.address, Fate.DONE) if confirmed(wish, told) else Told(wish.address, Fate.LATER, "not-confirmed")


def confirmed(wish: Wish, resource: Mapping[str, Any]) -> bool:
    """The resource holds the mailbox once, of its type, or not at all where it was to go."""
    points = resource.get("telecom")
    held = [p for p in points if isinstance(p, dict)] if isinstance(points, list) else []
    ours = [p for p in held if str(p.get("value", "")).lower() == wish.address]
    if wish.wanted is None:
        return not ours
    return len(ours) == 1 and ours[0] == contact_point(wish.wanted)


def _parsed(body: bytes | None) -> Mapping[str, Any]:
    try:
        told = json.loads(body or b"")
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _issue(told: Mapping[str, Any]) -> str:
    """The code of an OperationOutcome: from a fixed list of FHIR's; its text may hold anything."""
    issues = told.get("issue")
    first = issues[0] if isinstance(issues, list) and issues and isinstance(issues[0], dict) else {}
    code = first.get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""
