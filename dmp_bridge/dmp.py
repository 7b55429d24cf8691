"""The client of a dossier host: submit (ITI-41), find (ITI-18), fetch (ITI-43).

Promises: document bytes are sent untouched; every answer, error and silence of a host becomes a value,
Done, Later or Never, by one table; of what a host says only names of codes are kept, since its words may
name a patient. The host's certificate is checked against name, anchors and CRLs before a byte is sent. Does
not: decide what may be filed, nor remember (courier.py, filings.py).
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import httpx
from lxml import etree

from certs import tls
from certs.chain import TrustStore
from dmp_bridge import ebrim, soap
from dmp_bridge.model import Document, FilingReason, HostProfile, Ins
from relay.model import Done, Later, Never

XDSB = "urn:ihe:iti:xds-b:2007"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
PROVIDE = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
STORED_QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"
_STATUS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:"

MAX_ANSWER = 256 * 1024 * 1024
TOTAL_S = 600.0
"""How long one answer may take as a whole: `timeout` is for each silence, which a trickle never lets pass."""
ALREADY_THERE = "XDSDuplicateUniqueIdInRegistry"

PERMANENT: dict[str, FilingReason] = {
    # spec/dossier.md §1.9: the sender's fault, and will be so tomorrow.
    **dict.fromkeys(
        (
            "XDSMissingDocument",
            "XDSMissingDocumentMetadata",
            "XDSRegistryDuplicateUniqueIdInMessage",
            "XDSRepositoryDuplicateUniqueIdInMessage",
            ALREADY_THERE,
            "XDSNonIdenticalHash",
            "XDSNonIdenticalSize",
            "XDSRegistryMetadataError",
            "XDSRepositoryMetadataError",
            "XDSUnknownRepositoryId",
            "XDSDocumentUniqueIdError",
            "XDSResultNotSinglePatient",
            "XDSUnknownStoredQuery",
            "XDSStoredQueryMissingParam",
            "XDSStoredQueryParamNumber",
            "XDSTooManyResults",
            "InvalidDocumentContent",
            "UnresolvedReferenceException",
        ),
        FilingReason.HOST_REFUSED,
    ),
    "XDSUnknownPatientId": FilingReason.PATIENT_UNKNOWN,
    "XDSPatientIdDoesNotMatch": FilingReason.INS_DIFFERS,
    "XDSRegistryDeprecatedDocumentError": FilingReason.OLD_VERSION,
}
"""Everything else is tried again, but names that start with DMP: those are decisions of a national host."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}\Z")
_RETRIED_STATUS = frozenset({401, 403, 404, 407, 408, 425, 429})

Trouble: TypeAlias = Later | Never


@dataclass(frozen=True)
class Held:
    """What a host says that it holds: never taken for more than its word."""

    entry_id: str
    unique_id: str
    status: str
    sha1: str
    size: int
    patient_id: str = field(repr=False)

    @property
    def approved(self) -> bool:
        return self.status == ebrim.APPROVED


class DossierClient:
    """Safe to share between threads. `trust` is asked for each exchange, so that new CRLs count at once."""

    def __init__(
        self,
        profile: HostProfile,
        client_cert: Path,
        client_key: Path,
        trust: Callable[[], TrustStore],
        timeout: float = 30.0,
        total_s: float = TOTAL_S,
    ) -> None:
        self.profile = profile
        self._total_s = total_s
        self._cert, self._key, self._trust = client_cert, client_key, trust
        self._timeout = timeout
        self._lock = threading.Lock()
        self._contexts: tls.Contexts | None = None
        self._held: tuple[ssl.SSLContext, httpx.Client] | None = None

    def close(self) -> None:
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held[1].close()

    def submit(
        self,
        documents: Sequence[Document],
        submission: ebrim.Submission,
        patient: Ins,
        replacements: Sequence[ebrim.Replacement] = (),
    ) -> Done | Later | Never:
        """ITI-41: one lot, all of it or nothing. Later where nobody knows whether it was stored."""
        try:
            body, attachments = _provide(documents, submission, patient, replacements)
        except ebrim.TypeUnknown:
            return Never(FilingReason.TYPE_UNKNOWN)
        answer = self._exchange("repository", PROVIDE, body, attachments)
        if not isinstance(answer, soap.Soap):
            return answer
        trouble = _trouble(answer.body, f"{{{RS}}}RegistryResponse")
        return trouble or Done(submission.unique_id, "filed")

    def find(self, unique_ids: Sequence[str]) -> tuple[Held, ...] | Later | Never:
        """ITI-18 GetDocuments: the entries of these uniqueIds, whatever their status."""
        return self._query(GET_DOCUMENTS, {"$XDSDocumentEntryUniqueId": _several(unique_ids)})

    def find_by_patient(self, patient: Ins) -> tuple[Held, ...] | Later | Never:
        """ITI-18 FindDocuments: the Approved entries of one patient."""
        slots = {
            "$XDSDocumentEntryPatientId": _quoted(ebrim.patient_cx(patient)),
            "$XDSDocumentEntryStatus": _several([ebrim.APPROVED]),
        }
        return self._query(FIND_DOCUMENTS, slots)

    def fetch(self, unique_id: str) -> bytes | Later | Never:
        """ITI-43: the document's bytes as the host holds them."""
        root = etree.Element(f"{{{XDSB}}}RetrieveDocumentSetRequest", nsmap={"xdsb": XDSB})
        wanted = etree.SubElement(root, f"{{{XDSB}}}DocumentRequest")
        etree.SubElement(wanted, f"{{{XDSB}}}RepositoryUniqueId").text = self.profile.repository_id
        etree.SubElement(wanted, f"{{{XDSB}}}DocumentUniqueId").text = unique_id
        answer = self._exchange("repository", RETRIEVE, root)
        return _document(answer, unique_id) if isinstance(answer, soap.Soap) else answer

    def _query(self, query_id: str, slots: dict[str, str]) -> tuple[Held, ...] | Later | Never:
        answer = self._exchange("registry", STORED_QUERY, _adhoc_query(query_id, slots))
        return _held(answer) if isinstance(answer, soap.Soap) else answer

    def _exchange(
        self, service: str, action: str, body: etree._Element, attachments: Sequence[soap.Attachment] = ()
    ) -> soap.Soap | Trouble:
        message_id, url = soap.new_message_id(), f"{self.profile.url.rstrip('/')}/{service}"
        mtom = service == "repository"
        kind, data = soap.encode(action, body, attachments, mtom=mtom, to=url, message_id=message_id)
        try:
            status, answered, held = self._post(url, kind, data)
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            return Later(FilingReason.HOST_DOWN, type(error).__name__)
        return _read(status, answered, held, message_id)

    def _post(self, url: str, kind: str, data: bytes) -> tuple[int, str, bytes]:
        """(status, Content-Type, body). Raises httpx.HTTPError, ssl.SSLError or OSError."""
        held, until = bytearray(), time.monotonic() + self._total_s
        with self._client().stream("POST", url, content=data, headers={"Content-Type": kind}) as response:
            for chunk in response.iter_bytes():
                held += chunk
                if len(held) > MAX_ANSWER:
                    raise httpx.DecodingError("the answer is too large")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("the answer takes too long")
            return response.status_code, response.headers.get("content-type", ""), bytes(held)

    def _client(self) -> httpx.Client:
        """Name, anchors and CRLs are checked in the handshake: a revoked host learns nothing."""
        with self._lock:
            if self._contexts is None:
                self._contexts = tls.renewed(tls.HOST_OUT, (self._cert, self._key), self._trust)
            context = self._contexts()
            if self._held is None or self._held[0] is not context:
                # A client in use by another thread ends with its last exchange, not under it.
                # trust_env off: no proxy of the environment stands between us and the host.
                self._held = (context, httpx.Client(verify=context, timeout=self._timeout, trust_env=False))
            return self._held[1]


# --- requests ------------------------------------------------------------------------------------------


def _provide(
    documents: Sequence[Document],
    submission: ebrim.Submission,
    patient: Ins,
    replacements: Sequence[ebrim.Replacement],
) -> tuple[etree._Element, list[soap.Attachment]]:
    root = etree.Element(f"{{{XDSB}}}ProvideAndRegisterDocumentSetRequest", nsmap={"xdsb": XDSB})
    root.append(ebrim.submit_objects(documents, submission, patient, replacements=replacements))
    attachments = []
    for number, document in enumerate(documents, 1):
        cid = f"document-{number}@pli"
        held = etree.SubElement(root, f"{{{XDSB}}}Document", id=ebrim.entry_id(number))
        held.append(soap.include(cid))
        attachments.append(soap.Attachment(cid, document.mime_type, document.raw))
    return root, attachments


def _adhoc_query(query_id: str, slots: dict[str, str]) -> etree._Element:
    root = etree.Element(f"{{{QUERY}}}AdhocQueryRequest", nsmap={"query": QUERY, "rim": RIM})
    option = etree.SubElement(root, f"{{{QUERY}}}ResponseOption", returnComposedObjects="true")
    option.set("returnType", "LeafClass")
    query = etree.SubElement(root, f"{{{RIM}}}AdhocQuery", id=query_id)
    for name, value in slots.items():
        slot = etree.SubElement(query, f"{{{RIM}}}Slot", name=name)
        etree.SubElement(etree.SubElement(slot, f"{{{RIM}}}ValueList"), f"{{{RIM}}}Value").text = value
    return root


def _quoted(text: str) -> str:
    """IHE ITI TF-2 §3.18.4.1.2.3.5: in single quotes, a quote is doubled."""
    return "'" + text.replace("'", "''") + "'"


def _several(texts: Sequence[str]) -> str:
    return "(" + ",".join(map(_quoted, texts)) + ")"


# --- answers -------------------------------------------------------------------------------------------


def _read(status: int, kind: str, data: bytes, message_id: str) -> soap.Soap | Trouble:
    try:
        answer = soap.decode(kind, data)
    except soap.SoapRefused:
        return _by_status(status)
    if answer.fault is not None:
        return _by_fault(status, answer.fault)
    if answer.relates_to not in ("", message_id):
        return Later(FilingReason.HOST_WRONG, "an answer to another question")
    return answer if 200 <= status < 300 else _by_status(status)


def _by_status(status: int) -> Trouble:
    """Without words of SOAP: only what can never pass is Never."""
    if 400 <= status < 500 and status not in _RETRIED_STATUS:
        return Never(FilingReason.HOST_REFUSED, f"http {status}")
    return Later(FilingReason.HOST_DOWN, f"http {status}")


def _by_fault(status: int, fault: soap.Fault) -> Trouble:
    """SOAP 1.2 part 1 §5.4.6: Receiver may pass later. A certificate that is not accepted can be renewed."""
    detail = f"fault {_named(fault.code)}, http {status}"
    if fault.code == "Receiver" or status in _RETRIED_STATUS:
        return Later(FilingReason.HOST_DOWN, detail)
    return Never(FilingReason.HOST_REFUSED, detail)


def _named(code: str) -> str:
    """A code as a name; anything else that a host puts in its place is not repeated."""
    return code if _CODE.match(code) else "unnamed"


def _trouble(body: etree._Element | None, tag: str) -> Trouble | None:
    """What a RegistryResponse says against success (spec/dossier.md §3.7); None where it is one."""
    if body is None or body.tag != tag:
        return Later(FilingReason.HOST_WRONG, "not the answer of this transaction")
    status = str(body.get("status", ""))
    codes = [_named(str(each.get("errorCode", ""))) for each in _errors(body)]
    if status == f"{_STATUS}Success":
        # A success may carry warnings; with errors it contradicts itself.
        return Never(FilingReason.HOST_WRONG, f"success with {codes[0]}") if codes else None
    if status.endswith(":PartialSuccess"):
        return Never(FilingReason.HOST_WRONG, "half a success")
    return by_codes(codes)


def _errors(body: etree._Element) -> list[etree._Element]:
    found = body.findall(f"{{{RS}}}RegistryErrorList/{{{RS}}}RegistryError")
    return [each for each in found if not str(each.get("severity", "")).endswith(":Warning")]


def by_codes(codes: Sequence[str]) -> Trouble:
    """One permanent error makes a failure permanent; a failure without a reason is tried again."""
    for code in codes:
        if code in PERMANENT:
            return Never(PERMANENT[code], code)
        # [D-PKG] compares these without case.
        if code.upper().startswith("DMP"):
            return Never(FilingReason.HOST_REFUSED, code)
    return Later(FilingReason.HOST_REFUSED, codes[0] if codes else "failure without an error")


def _held(answer: soap.Soap) -> tuple[Held, ...] | Later | Never:
    trouble = _trouble(answer.body, f"{{{QUERY}}}AdhocQueryResponse")
    if trouble is not None or answer.body is None:
        return trouble or Later(FilingReason.HOST_WRONG, "empty")
    entries = answer.body.findall(f"{{{RIM}}}RegistryObjectList/{{{RIM}}}ExtrinsicObject")
    return tuple(_entry(each) for each in entries)


def _entry(element: etree._Element) -> Held:
    slots = {
        str(slot.get("name")): (slot.findtext(f"{{{RIM}}}ValueList/{{{RIM}}}Value") or "").strip()
        for slot in element.findall(f"{{{RIM}}}Slot")
    }
    identifiers = {
        str(each.get("identificationScheme")): str(each.get("value", "")).strip()
        for each in element.findall(f"{{{RIM}}}ExternalIdentifier")
    }
    size = slots.get("size", "")
    return Held(
        entry_id=str(element.get("id", "")),
        unique_id=identifiers.get(ebrim.ENTRY_SCHEMES["uniqueId"], ""),
        status=str(element.get("status", "")),
        sha1=slots.get("hash", "").lower(),
        size=int(size) if size.isascii() and size.isdigit() and len(size) < 16 else -1,
        patient_id=identifiers.get(ebrim.ENTRY_SCHEMES["patientId"], ""),
    )


def _document(answer: soap.Soap, unique_id: str) -> bytes | Later | Never:
    body = answer.body
    if body is None or body.tag != f"{{{XDSB}}}RetrieveDocumentSetResponse":
        return Later(FilingReason.HOST_WRONG, "not the answer of this transaction")
    trouble = _trouble(body.find(f"{{{RS}}}RegistryResponse"), f"{{{RS}}}RegistryResponse")
    if trouble is not None:
        return trouble
    responses = [
        each.find(f"{{{XDSB}}}Document")
        for each in body.findall(f"{{{XDSB}}}DocumentResponse")
        if each.findtext(f"{{{XDSB}}}DocumentUniqueId", "").strip() == unique_id
    ]
    if len(responses) != 1 or responses[0] is None:
        return Never(FilingReason.HOST_WRONG, "not the one document that was asked for")
    try:
        return soap.content(responses[0], answer.attachments)
    except soap.SoapRefused:
        return Never(FilingReason.HOST_WRONG, "a document that is not in the answer")
