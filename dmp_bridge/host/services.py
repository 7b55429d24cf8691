"""What the host does for each action: ITI-41, ITI-43 and ITI-18.

Promises: an answer for every request, a SOAP fault for what is not one of these; each access leaves one
journal row without identity. Does not: read sockets (door.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from lxml import etree
from sqlalchemy import select

from dmp_bridge.host import finding, names, query, submission, tables
from dmp_bridge.host.answers import Retrieved, query_response, registry_response, retrieve_response
from dmp_bridge.host.names import Code, Problem, Refused, refuse
from dmp_bridge.host.registry import Registry
from dmp_bridge.soap import Attachment, Fault, Soap, SoapRefused, decode, encode, encode_fault

_log = structlog.get_logger(__name__)
MAX_RETRIEVED = 100


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    data: bytes


@dataclass(frozen=True)
class _Result:
    """What a service answers: the body, its documents, how it went, how many objects."""

    body: etree._Element
    attachments: tuple[Attachment, ...] = ()
    outcome: str = "Success"
    objects: int = 0


Service = Callable[[Registry, Soap, etree._Element], _Result]


def answer(registry: Registry, service: str, content_type: str, data: bytes, certificate: str) -> Reply:
    """`service`: 'repository' or 'registry'; `certificate`: SHA-256 of the client's."""
    try:
        request = decode(content_type, data)
        act = _SERVICES[service].get(request.action)
        if act is None or request.body is None:
            # WS-Addressing 1.0 SOAP binding §6.4.2
            raise SoapRefused("no such action here" if act is None else "the body is empty")
        result = act(registry, request, request.body)
    except SoapRefused as refusal:
        return _refused(registry, service, refusal, certificate)
    registry.note(request.action, certificate, result.outcome, result.objects)
    kind, framed = encode(
        f"{request.action}Response",
        result.body,
        result.attachments,
        # spec/dossier.md §1.3: everything that a repository answers is MTOM.
        mtom=service == "repository",
        relates_to=request.message_id or "urn:uuid:unspecified",
    )
    return Reply(200, kind, framed)


def _refused(registry: Registry, service: str, refusal: SoapRefused, certificate: str) -> Reply:
    registry.note(service, certificate, f"fault {refusal.code}")
    fault = Fault(refusal.code, str(refusal))
    # SOAP 1.2 part 2 table 20: 400 where the sender is at fault, else 500
    status = 400 if refusal.code == "Sender" else 500
    return Reply(status, *encode_fault(fault, mtom=service == "repository"))


def _outcome(problems: tuple[Problem, ...]) -> str:
    return ",".join(sorted({problem.code for problem in problems})) or "Success"


def _provide(registry: Registry, request: Soap, body: etree._Element) -> _Result:
    try:
        lot = submission.read(body, request.attachments)
        registry.keep(lot)
    except Refused as refusal:
        return _Result(registry_response(refusal.problems), outcome=_outcome(refusal.problems))
    except OSError as error:
        _log.error("dossier-host.disk", error=type(error).__name__, number=error.errno)
        problem = Problem(Code.OUT_OF_RESOURCES, "the repository cannot store at present")
        return _Result(registry_response((problem,)), outcome=problem.code)
    return _Result(registry_response(), objects=len(lot.entries))


def _stored_query(registry: Registry, request: Soap, body: etree._Element) -> _Result:
    try:
        asked = query.read(body)
        found = finding.find(registry.engine, asked)
    except Refused as refusal:
        return _Result(query_response((), True, refusal.problems), outcome=_outcome(refusal.problems))
    return _Result(query_response(found, asked.leaf), objects=len(found))


def _retrieve(registry: Registry, request: Soap, body: etree._Element) -> _Result:
    try:
        asked = _asked(body)
    except Refused as refusal:
        response, _ = retrieve_response(registry.repository_id, (), refusal.problems)
        return _Result(response, outcome=_outcome(refusal.problems))
    found: list[Retrieved] = []
    problems: list[Problem] = []
    for repository_id, unique_id in asked:
        each = _document(registry, repository_id, unique_id)
        (found if isinstance(each, Retrieved) else problems).append(each)  # type: ignore[arg-type]
    response, attachments = retrieve_response(registry.repository_id, found, problems)
    return _Result(response, tuple(attachments), _outcome(tuple(problems)), len(found))


def _asked(body: etree._Element) -> list[tuple[str, str]]:
    """(repositoryUniqueId, uniqueId) of each DocumentRequest; its children stand in the schema's order."""
    requests = [each for each in body if isinstance(each.tag, str)]
    asked = []
    for each in requests:
        held = [etree.QName(child).localname for child in each if isinstance(child.tag, str)]
        if held[-2:] != ["RepositoryUniqueId", "DocumentUniqueId"] or held[:-2] not in (
            [],
            ["HomeCommunityId"],
        ):
            raise refuse(Code.REPOSITORY, "a DocumentRequest has not the form of the schema")
        values = [each.findtext(f"{{{names.XDSB}}}{name}", "").strip() for name in held[-2:]]
        asked.append((values[0], values[1]))
    if body.tag != f"{{{names.XDSB}}}RetrieveDocumentSetRequest" or not 0 < len(asked) <= MAX_RETRIEVED:
        raise refuse(Code.REPOSITORY, f"not a request for 1 to {MAX_RETRIEVED} documents")
    return asked


def _document(registry: Registry, repository_id: str, unique_id: str) -> Retrieved | Problem:
    if repository_id != registry.repository_id:
        return Problem(Code.UNKNOWN_REPOSITORY, "this is another repository")
    held = tables.entries.c
    with registry.engine.connect() as connection:
        row = connection.execute(select(held.file, held.mime_type).where(held.unique_id == unique_id)).first()
    data = registry.contents.read(row.file) if row is not None else None
    if row is None or data is None:
        return Problem(Code.UNKNOWN_DOCUMENT, "no document of that uniqueId here")
    return Retrieved(unique_id, row.mime_type, data)


_SERVICES: dict[str, dict[str, Service]] = {
    "repository": {names.PROVIDE: _provide, names.RETRIEVE: _retrieve},
    "registry": {names.STORED_QUERY: _stored_query},
}
