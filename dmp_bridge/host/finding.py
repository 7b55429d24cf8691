"""Answers stored queries from the tables (ITI-18): one function per query, in one table.

Promises: values of a query are bound or compared, never put into SQL as text; answers are bounded; entries of several
patients are answered together only to the query that names each of them; a masked entry is answered to who wrote it
only (MASQUE_PS). Does not: change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lxml import etree
from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, or_, select

from certs.xml import parse
from dmp_bridge.host import names, objects, tables
from dmp_bridge.host.checks import patient_key
from dmp_bridge.host.names import Code, refuse
from dmp_bridge.host.query import CODES, TIMES, Query

MAX_LEAVES = 500
MAX_REFERENCES = 5000

entries, lots, links = tables.entries, tables.lots, tables.links


@dataclass(frozen=True)
class Answer:
    """Objects found: ids always; whole elements, and whose they are."""

    id: str
    element: etree._Element
    patient: str = ""
    hidden_but_from: str | None = None
    """Of a masked entry: who wrote it, between bars."""

    def visible(self, structure: str) -> bool:
        return self.hidden_but_from is None or f"|{structure}|" in self.hidden_but_from


def find(engine: Engine, query: Query, structure: str = "") -> list[Answer]:
    """What the structure that asks may see. Raises Refused."""
    with engine.connect() as connection:
        found = list(_unique(ANSWERS[query.name](connection, query)))
    found = [each for each in found if each.visible(structure)]
    if len(found) > (MAX_LEAVES if query.leaf else MAX_REFERENCES):
        raise refuse(Code.TOO_MANY, "narrow the query")
    if query.leaf and not query.several and len({each.patient for each in found if each.patient}) > 1:
        raise refuse(Code.SEVERAL_PATIENTS, "entries of several patients")
    return found


def _unique(answers: Iterable[Answer]) -> Iterable[Answer]:
    return {each.id: each for each in answers}.values()


# --- from rows to objects ------------------------------------------------------------------------------


def _objects(connection: Connection, table: Table, *where: ColumnElement[bool]) -> list[Answer]:
    return [_answer(row) for row in connection.execute(select(table).where(*where).order_by(table.c.id))]


def _answer(row: Row[tuple[object, ...]]) -> Answer:
    held = row._mapping
    element = parse(held["xml"])
    if "status" in held:
        element.set("status", held["status"])
    hidden = held["institutions"] if held.get("masked") else None
    return Answer(held["id"], element, patient_key(held.get("patient_id", "")), hidden)


def _of_documents(query: Query) -> ColumnElement[bool]:
    """Entries named by entryUUID, uniqueId or logical id, whichever the query gives."""
    columns = {
        "$XDSDocumentEntryEntryUUID": entries.c.id,
        "$XDSDocumentEntryUniqueId": entries.c.unique_id,
        "$XDSDocumentEntryLogicalID": entries.c.lid,
    }
    return or_(*(column.in_(query.any(name)) for name, column in columns.items() if query.any(name)))


def _of_patient(table: Table, cx: str) -> ColumnElement[bool]:
    key = patient_key(cx)
    return or_(table.c.patient_id == key, table.c.patient_id.startswith(f"{key}^", autoescape=True))


# --- filters -------------------------------------------------------------------------------------------


def _matches(query: Query, element: etree._Element) -> bool:
    return (
        all(_has_codes(element, scheme, query.parameters.get(name, ())) for name, scheme in CODES.items())
        and all(_in_time(query, element, name, slot) for name, slot in TIMES.items())
        and _has_references(query, element)
    )


def _has_codes(element: etree._Element, scheme: str, groups: tuple[tuple[str, ...], ...]) -> bool:
    """Every slot must be met (AND), by one of its values (OR)."""
    held = {f"{code}^^{system}" for code, system in objects.codes(element, scheme)} if groups else set()
    return all(held & set(group) for group in groups)


def _in_time(query: Query, element: etree._Element, name: str, slot: str) -> bool:
    """From is inclusive, To is not (IHE ITI TF-2 §3.18.4.1.2.3.7.1); times may have fewer digits."""
    start, stop = query.one(f"{name}From"), query.one(f"{name}To")
    if not start and not stop:
        return True
    held = "".join(objects.slot(element, slot))
    return bool(held) and _full(start) <= _full(held) and (not stop or _full(held) < _full(stop))


def _full(time: str) -> str:
    return time + "00000101000000"[len(time) :]


def _has_references(query: Query, element: etree._Element) -> bool:
    groups = query.parameters.get("$XDSDocumentEntryReferenceIdList", ())
    held = set(objects.slot(element, names.REFERENCE_IDS)) if groups else set()
    return all(held & set(group) for group in groups)


# --- the queries ---------------------------------------------------------------------------------------


def _find_documents(connection: Connection, query: Query) -> list[Answer]:
    whose = or_(*(_of_patient(entries, each) for each in query.any("$XDSDocumentEntryPatientId")))
    status = entries.c.status.in_(query.any("$XDSDocumentEntryStatus"))
    found = _objects(connection, entries, whose, status)
    return [each for each in found if _matches(query, each.element)]


def _find_lots(connection: Connection, query: Query) -> list[Answer]:
    if names.APPROVED not in query.any("$XDSSubmissionSetStatus"):
        return []
    where = [_of_patient(lots, query.one("$XDSSubmissionSetPatientId"))]
    if query.one("$XDSSubmissionSetSourceId"):
        where.append(lots.c.source_id == query.one("$XDSSubmissionSetSourceId"))
    return [each for each in _objects(connection, lots, *where) if _matches(query, each.element)]


def _get_all(connection: Connection, query: Query) -> list[Answer]:
    whose = query.one("$patientId")
    documents = _objects(
        connection,
        entries,
        _of_patient(entries, whose),
        entries.c.status.in_(query.any("$XDSDocumentEntryStatus")),
    )
    packages = _objects(connection, lots, _of_patient(lots, whose))
    return [*documents, *packages, *_touching(connection, [*documents, *packages])]


def _get_documents(connection: Connection, query: Query) -> list[Answer]:
    return _objects(connection, entries, _of_documents(query))


def _touching(connection: Connection, found: Iterable[Answer]) -> list[Answer]:
    ids = [each.id for each in found]
    if len(ids) > MAX_REFERENCES:
        raise refuse(Code.TOO_MANY, "narrow the query")
    return _objects(connection, links, or_(links.c.source.in_(ids), links.c.target.in_(ids)))


def _get_links(connection: Connection, query: Query) -> list[Answer]:
    ids = query.any("$uuid")
    return _objects(connection, links, or_(links.c.source.in_(ids), links.c.target.in_(ids)))


def _get_documents_and_links(connection: Connection, query: Query) -> list[Answer]:
    found = _get_documents(connection, query)
    return [*found, *_touching(connection, found)]


def _get_lots(connection: Connection, query: Query) -> list[Answer]:
    member = (links.c.kind == names.HAS_MEMBER) & links.c.target.in_(query.any("$uuid"))
    membership = _objects(connection, links, member)
    owners = [str(each.element.get("sourceObject")) for each in membership]
    return [*_objects(connection, lots, lots.c.id.in_(owners)), *membership]


def _get_lot_and_contents(connection: Connection, query: Query) -> list[Answer]:
    name = query.one("$XDSSubmissionSetEntryUUID")
    which = lots.c.id == name if name else lots.c.unique_id == query.one("$XDSSubmissionSetUniqueId")
    found = _objects(connection, lots, which)
    ids = [each.id for each in found]
    held = [*_objects(connection, entries, entries.c.lot_id.in_(ids))]
    members = _objects(connection, links, links.c.source.in_(ids), links.c.kind == names.HAS_MEMBER)
    return [*found, *(each for each in held if _matches(query, each.element)), *members]


def _get_related(connection: Connection, query: Query) -> list[Answer]:
    start = _get_documents(connection, query)
    kinds = query.any("$AssociationTypes")
    related = [each for each in _touching(connection, start) if each.element.get("associationType") in kinds]
    if not related:
        return []
    ends = {str(each.element.get(end)) for each in related for end in ("sourceObject", "targetObject")}
    return [*_objects(connection, entries, entries.c.id.in_(ends)), *related]


def _nothing(connection: Connection, query: Query) -> list[Answer]:
    return []


ANSWERS: Mapping[str, Callable[[Connection, Query], list[Answer]]] = {
    "FindDocuments": _find_documents,
    "FindDocumentsByReferenceId": _find_documents,
    "FindDocumentsForMultiplePatients": _find_documents,
    "FindSubmissionSets": _find_lots,
    "GetAll": _get_all,
    "GetDocuments": _get_documents,
    "GetAssociations": _get_links,
    "GetDocumentsAndAssociations": _get_documents_and_links,
    "GetSubmissionSets": _get_lots,
    "GetSubmissionSetAndContents": _get_lot_and_contents,
    "GetRelatedDocuments": _get_related,
    "FindFolders": _nothing,
    "FindFoldersForMultiplePatients": _nothing,
    "GetFolders": _nothing,
    "GetFolderAndContents": _nothing,
    "GetFoldersForDocument": _nothing,
}
