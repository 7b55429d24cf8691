"""What the host does for each action: ITI-41, ITI-43, ITI-18, ITI-57 and TD0.2.

Promises: an answer for every request, a SOAP fault for what is not one of these; each access leaves one journal row
without identity; documents of a request that is refused are gone when it is answered. Does not: read sockets (door.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from lxml import etree
from sqlalchemy import select

from certs.chain import TrustStore
from dmp_bridge.host import amendment, existence, finding, names, query, seals, submission, tables
from dmp_bridge.host.answers import Retrieved, query_response, registry_response, retrieve_response
from dmp_bridge.host.callers import Assertions, Caller, structure_of
from dmp_bridge.host.contents import Batch
from dmp_bridge.host.names import Code, Problem, Refused, refuse
from dmp_bridge.host.registry import Access, Registry
from dmp_bridge.mtom import Reader
from dmp_bridge.soap import Attachment, Fault, Soap, SoapRefused, encode_fault, opened, pieces

_log = structlog.get_logger(__name__)
MAX_RETRIEVED = 100


@dataclass(frozen=True)
class House:
    """One host with its rules. `assertions`: asked of each request where given; `seals`: who may seal a lot, where
    each lot must be sealed; `update_reply`: the Action of an answer to ITI-57, where profile and WSDL differ."""

    registry: Registry
    assertions: Assertions | None = None
    seals: TrustStore | None = None
    update_reply: str = f"{names.UPDATE}Response"


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    parts: Sequence[bytes]

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


@dataclass(frozen=True)
class _Request:
    """One request on its way: with the documents that came beside it."""

    house: House
    soap: Soap
    body: etree._Element
    batch: Batch
    caller: Caller

    @property
    def access(self) -> Access:
        return Access(self.soap.action, self.caller)


@dataclass(frozen=True)
class _Result:
    """What a service answers: the body, its documents, how it went, how many objects. `noted`: its row is written."""

    body: etree._Element
    attachments: tuple[Attachment, ...] = ()
    outcome: str = "Success"
    objects: int = 0
    noted: bool = False


Service = Callable[[_Request], _Result]


def answer(house: House, service: str, reader: Reader, batch: Batch, certificate: bytes, fingerprint: str) -> Reply:
    """`service`: 'repository', 'registry' or 'patients'; `reader` has taken the whole body, `batch` its documents."""
    try:
        request = _request(house, service, reader, batch, certificate, fingerprint)
        result = _SERVICES[service][request.soap.action](request)
    except SoapRefused as refusal:
        return refused(house, service, refusal, fingerprint)
    finally:
        batch.drop(kept_of(house.registry, batch))
    if not result.noted:
        house.registry.note(request.access, result.outcome, result.objects)
    kind, parts = pieces(
        _reply_action(house, request.soap.action),
        result.body,
        result.attachments,
        # spec/dossier.md §1.3: everything that a repository answers is MTOM.
        mtom=service == "repository",
        relates_to=request.soap.message_id or "urn:uuid:unspecified",
    )
    return Reply(200, kind, parts)


def kept_of(registry: Registry, batch: Batch) -> list[str]:
    """Which documents of a request the store tells of."""
    if not batch.names:
        return []
    held = tables.entries.c
    with registry.engine.connect() as connection:
        return list(connection.scalars(select(held.file).where(held.file.in_(batch.names))))


def _request(
    house: House, service: str, reader: Reader, batch: Batch, certificate: bytes, fingerprint: str
) -> _Request:
    message = opened(reader)
    if message.action not in _SERVICES[service] or message.body is None:
        # WS-Addressing 1.0 SOAP binding §6.4.2
        raise SoapRefused("the body is empty" if message.action in _SERVICES[service] else "no such action here")
    if house.assertions is not None:
        caller = house.assertions.check(message.security, certificate, fingerprint)
    else:
        caller = Caller(fingerprint, structure_of(certificate))
    return _Request(house, message, message.body, batch, caller)


def _reply_action(house: House, action: str) -> str:
    if action == names.UPDATE:
        return house.update_reply
    return existence.REPLY if action == names.EXISTENCE else f"{action}Response"


def refused(house: House, service: str, refusal: SoapRefused, fingerprint: str) -> Reply:
    """The fault for what cannot be read; it is an access too."""
    house.registry.note(Access(service, Caller(fingerprint)), f"fault {refusal.code}")
    fault = Fault(refusal.code, str(refusal))
    # SOAP 1.2 part 2 table 20: 400 where the sender is at fault, else 500
    status = 400 if refusal.code == "Sender" else 500
    kind, data = encode_fault(fault, mtom=service == "repository")
    return Reply(status, kind, [data])


def _outcome(problems: Sequence[Problem]) -> str:
    return ",".join(sorted({problem.code for problem in problems})) or "Success"


def _provide(request: _Request) -> _Result:
    try:
        lot = submission.read(request.body, request.soap.attachments, request.batch)
        _check_author(lot, request)
        _check_seal(lot, request.house)
        request.house.registry.keep(lot, request.batch, request.access)
    except Refused as refusal:
        return _Result(registry_response(refusal.problems), outcome=_outcome(refusal.problems))
    except OSError as error:
        _log.error("dossier-host.disk", error=type(error).__name__, number=error.errno)
        problem = Problem(Code.OUT_OF_RESOURCES, "the repository cannot store at present")
        return _Result(registry_response((problem,)), outcome=problem.code)
    return _Result(registry_response(), objects=len(lot.entries), noted=True)


def _check_author(lot: submission.Lot, request: _Request) -> None:
    """EX_2.1-1140: in indirect mode the structure that asks is the lot's authorInstitution."""
    if request.house.assertions is not None and request.caller.structure not in lot.institutions:
        raise refuse(Code.POLICY, "the structure of the assertion did not write the lot")


def _check_seal(lot: submission.Lot, house: House) -> None:
    if house.seals is None:
        return
    sealed = [entry for entry in lot.entries if entry.is_signature]
    if len(sealed) != 1 or not any(link.kind == names.SIGNS and link.target == lot.id for link in lot.links):
        raise refuse(Code.INVALID_CONTENT, "lot signature: absent, repeated, or not associated with the lot")
    read = house.registry.contents.read
    documents = {each.unique_id: read(each.kept.name) or b"" for each in lot.entries if each is not sealed[0]}
    seal = read(sealed[0].kept.name) or b""
    seals.check(seal, lot.unique_id, documents, house.seals, house.registry.now())


def _amend(request: _Request) -> _Result:
    try:
        lot, change = amendment.read(request.body)
        request.house.registry.amend(lot, change, request.access)
    except Refused as refusal:
        return _Result(registry_response(refusal.problems), outcome=_outcome(refusal.problems))
    return _Result(registry_response(), objects=1, noted=True)


def _exists(request: _Request) -> _Result:
    patient = existence.asked(request.body)
    found, closed = request.house.registry.standing(patient)
    return _Result(existence.reply(patient, found, closed), objects=int(found))


def _stored_query(request: _Request) -> _Result:
    try:
        asked = query.read(request.body)
        if asked.leaf and not request.caller.may_read:
            raise refuse(Code.POLICY, "in indirect mode only references are answered")
        found = finding.find(request.house.registry.engine, asked, request.caller.structure)
    except Refused as refusal:
        return _Result(query_response((), True, refusal.problems), outcome=_outcome(refusal.problems))
    return _Result(query_response(found, asked.leaf), objects=len(found))


def _retrieve(request: _Request) -> _Result:
    registry = request.house.registry
    try:
        asked = _asked(request.body)
        if not request.caller.may_read:
            raise refuse(Code.POLICY, "in indirect mode no document is answered")
    except Refused as refusal:
        response, _ = retrieve_response(registry.repository_id, (), refusal.problems)
        return _Result(response, outcome=_outcome(refusal.problems))
    found: list[Retrieved] = []
    problems: list[Problem] = []
    for repository_id, unique_id in asked:
        each = _document(registry, repository_id, unique_id, request.caller.structure)
        (found if isinstance(each, Retrieved) else problems).append(each)  # type: ignore[arg-type]
    response, attachments = retrieve_response(registry.repository_id, found, problems)
    return _Result(response, tuple(attachments), _outcome(problems), len(found))


def _asked(body: etree._Element) -> list[tuple[str, str]]:
    """(repositoryUniqueId, uniqueId) of each DocumentRequest; its children stand in the schema's order."""
    requests = [each for each in body if isinstance(each.tag, str)]
    asked = []
    for each in requests:
        held = [etree.QName(child).localname for child in each if isinstance(child.tag, str)]
        if held[-2:] != ["RepositoryUniqueId", "DocumentUniqueId"] or held[:-2] not in ([], ["HomeCommunityId"]):
            raise refuse(Code.REPOSITORY, "a DocumentRequest has not the form of the schema")
        values = [each.findtext(f"{{{names.XDSB}}}{name}", "").strip() for name in held[-2:]]
        asked.append((values[0], values[1]))
    if body.tag != f"{{{names.XDSB}}}RetrieveDocumentSetRequest" or not 0 < len(asked) <= MAX_RETRIEVED:
        raise refuse(Code.REPOSITORY, f"not a request for 1 to {MAX_RETRIEVED} documents")
    return asked


def _document(registry: Registry, repository_id: str, unique_id: str, structure: str) -> Retrieved | Problem:
    """The document, unless it is deleted, or masked from who asks."""
    if repository_id != registry.repository_id:
        return Problem(Code.UNKNOWN_REPOSITORY, "this is another repository")
    held = tables.entries.c
    chosen = select(tables.entries).where(held.unique_id == unique_id).order_by(held.version.desc())
    with registry.engine.connect() as connection:
        row = connection.execute(chosen).first()
    hidden = row is None or row.status == names.DELETED or (row.masked and f"|{structure}|" not in row.institutions)
    data = registry.contents.read(row.file) if row is not None and not hidden else None
    if row is None or data is None:
        return Problem(Code.UNKNOWN_DOCUMENT, "no document of that uniqueId here")
    return Retrieved(unique_id, row.mime_type, data)


_SERVICES: dict[str, dict[str, Service]] = {
    "repository": {names.PROVIDE: _provide, names.RETRIEVE: _retrieve},
    "registry": {
        names.STORED_QUERY: _stored_query,
        names.SEVERAL_PATIENTS_QUERY: _stored_query,
        names.UPDATE: _amend,
    },
    "patients": {names.EXISTENCE: _exists},
}
