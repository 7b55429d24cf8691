"""The client of a dossier host: does a dossier exist (TD0.2), submit (ITI-41), find (ITI-18), fetch (ITI-43), change
(ITI-57).

Promises: document bytes are sent untouched, from where they lie; every answer, error and silence of a host becomes a
value, Done, Later or Never (verdicts.py). The host's certificate is checked against name, anchors and CRLs before a
byte is sent. Does not: decide what may be filed, nor remember (courier.py, filings.py).
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from lxml import etree

from certs import tls
from certs.chain import TrustStore
from certs.xml import XmlRefused
from dmp_bridge import amendment, ebrim, existence, mtom, soap, verdicts
from dmp_bridge.existence import Dossier
from dmp_bridge.model import Code, Document, FilingReason, HostProfile, Ins
from dmp_bridge.standing import Standing
from dmp_bridge.verdicts import ALREADY_THERE, QUERY, RS, XDSB, Held, Trouble, by_codes
from relay.model import Done, Later, Never

__all__ = ["ALREADY_THERE", "DossierClient", "Held", "by_codes"]

RIM = verdicts.RIM
PROVIDE = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
STORED_QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
UPDATE = "urn:ihe:iti:2010:UpdateDocumentSet"
EXISTENCE = "urn:hl7-org:v3:PRPA_IN201307UV02"
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"
FIND_BY_REFERENCE = "urn:uuid:12941a89-e02e-4be5-967c-ce4bfc8fe492"
LEAF, REFERENCE = "LeafClass", "ObjectRef"
MAX_ANSWER = 256 * 1024 * 1024
TOTAL_S = 600.0
"""How long one answer may take as a whole: `timeout` is for each silence, which a trickle never lets pass."""
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, ssl.SSLError)


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
        standing: Standing | None = None,
    ) -> None:
        """`standing`: in whose name requests are made, where the host's norm asks for an assertion or a seal."""
        self.profile = profile
        self._standing = standing or Standing(profile.norm)
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
        masks: Sequence[Code] = (),
    ) -> Done | Later | Never:
        """ITI-41: one lot, all of it or nothing. Later where nobody knows whether it was stored. Raises KeeperDown."""
        norm = self.profile.norm
        try:
            seal = self._standing.seal(documents, submission)
            lot = ebrim.submit_objects(
                documents,
                submission,
                patient,
                replacements=replacements,
                seal=seal,
                masks=masks,
                self_reference=norm.by_reference,
            )
        except ebrim.TypeUnknown:
            return Never(FilingReason.TYPE_UNKNOWN)
        except XmlRefused:
            return Never(FilingReason.DOCUMENT_REFUSED, "no-canonical-form")
        sent = [(each.mime_type, each.raw) for each in documents] + ([("text/xml", seal.raw)] if seal else [])
        body, attachments = _provide(lot, sent)
        answer = self._exchange("repository", PROVIDE, body, attachments, patient=patient)
        if not isinstance(answer, soap.Soap):
            return answer
        trouble = verdicts.trouble_of(answer.body, f"{{{RS}}}RegistryResponse")
        return trouble or Done(submission.unique_id, "filed")

    def existence(self, patient: Ins) -> Dossier | Later | Never:
        """TD0.2: whether the patient has a dossier here, and whether it is open."""
        profile = self.profile
        question = existence.question(patient, self._standing.clock(), profile.norm.device, profile.source_id)
        answer = self._exchange("patients", EXISTENCE, question, patient=patient)
        return existence.read(answer) if isinstance(answer, soap.Soap) else answer

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

    def locate(self, unique_id: str, patient: Ins) -> tuple[str, ...] | Later | Never:
        """ITI-18 by a reference id, answered by references: the entryUUIDs of an Approved document."""
        slots = {
            "$XDSDocumentEntryPatientId": _quoted(ebrim.patient_cx(patient)),
            "$XDSDocumentEntryStatus": _several([ebrim.APPROVED]),
            "$XDSDocumentEntryReferenceIdList": _several([f"{unique_id}^^^^{ebrim.SELF}"]),
        }
        body = _adhoc_query(FIND_BY_REFERENCE, slots, REFERENCE)
        answer = self._exchange("registry", STORED_QUERY, body, patient=patient)
        return verdicts.references(answer) if isinstance(answer, soap.Soap) else answer

    def set_confidentiality(
        self, held: Held, codes: Sequence[Code], submission: ebrim.Submission, patient: Ins
    ) -> Done | Later | Never:
        """ITI-57: these confidentiality codes instead of those that the entry has (masking, TD3.3a/b)."""
        if held.element is None:
            return Never(FilingReason.RULE_CANNOT_TELL, "the entry was not read")
        return self._change(
            amendment.confidentiality(held.element, held.version, codes, submission, patient), submission, patient
        )

    def set_status(
        self, entry_id: str, old: str, new: str, submission: ebrim.Submission, patient: Ins
    ) -> Done | Later | Never:
        """ITI-57: another availability status (deletion, archive: TD3.3c/d)."""
        return self._change(amendment.status(entry_id, old, new, submission, patient), submission, patient)

    def _change(self, body: etree._Element, submission: ebrim.Submission, patient: Ins) -> Done | Later | Never:
        answer = self._exchange("registry", UPDATE, body, patient=patient)
        if not isinstance(answer, soap.Soap):
            return answer
        if answer.action not in ("", *self.profile.norm.update_replies):
            return Later(FilingReason.HOST_WRONG, "not the answer of this transaction")
        return verdicts.trouble_of(answer.body, f"{{{RS}}}RegistryResponse") or Done(submission.unique_id, "changed")

    def fetch(self, unique_id: str) -> bytes | Later | Never:
        """ITI-43: the document's bytes as the host holds them."""
        root = etree.Element(f"{{{XDSB}}}RetrieveDocumentSetRequest", nsmap={"xdsb": XDSB})
        wanted = etree.SubElement(root, f"{{{XDSB}}}DocumentRequest")
        etree.SubElement(wanted, f"{{{XDSB}}}RepositoryUniqueId").text = self.profile.repository_id
        etree.SubElement(wanted, f"{{{XDSB}}}DocumentUniqueId").text = unique_id
        answer = self._exchange("repository", RETRIEVE, root)
        return verdicts.document(answer, unique_id) if isinstance(answer, soap.Soap) else answer

    def _query(self, query_id: str, slots: dict[str, str], patient: Ins | None = None) -> tuple[Held, ...] | Trouble:
        answer = self._exchange("registry", STORED_QUERY, _adhoc_query(query_id, slots), patient=patient)
        return verdicts.held(answer) if isinstance(answer, soap.Soap) else answer

    def _exchange(
        self,
        service: str,
        action: str,
        body: etree._Element,
        attachments: Sequence[soap.Attachment] = (),
        patient: Ins | None = None,
    ) -> soap.Soap | Trouble:
        message_id, url = soap.new_message_id(), f"{self.profile.url.rstrip('/')}/{service}"
        assertion = self._standing.assertion(ebrim.patient_cx(patient) if patient else "")
        kind, parts = soap.pieces(
            action,
            body,
            attachments,
            mtom=service == "repository",
            to=url,
            message_id=message_id,
            assertion=assertion,
        )
        try:
            return self._post(url, kind, parts, message_id)
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            # Who is not even reached is down for every letter; a silence later may be this letter's own.
            return Later(FilingReason.HOST_DOWN, type(error).__name__, whole=isinstance(error, _UNREACHED))

    def _post(self, url: str, kind: str, parts: Sequence[bytes], message_id: str) -> soap.Soap | Trouble:
        """Raises httpx.HTTPError, ssl.SSLError or OSError."""
        headers = {"Content-Type": kind, "Content-Length": str(sum(map(len, parts)))}
        with self._client().stream("POST", url, content=mtom.cut(parts), headers=headers) as response:
            told = response.headers.get("content-type", "")
            return verdicts.read(response.status_code, lambda: soap.opened(self._taken(response, told)), message_id)

    def _taken(self, response: httpx.Response, kind: str) -> mtom.Reader:
        reader, size, until = mtom.Reader(kind), 0, time.monotonic() + self._total_s
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > MAX_ANSWER:
                raise httpx.DecodingError("the answer is too large")
            if time.monotonic() > until:
                raise httpx.ReadTimeout("the answer takes too long")
            reader.feed(chunk)
        return reader

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
    lot: etree._Element, documents: Sequence[tuple[str, bytes]]
) -> tuple[etree._Element, list[soap.Attachment]]:
    root = etree.Element(f"{{{XDSB}}}ProvideAndRegisterDocumentSetRequest", nsmap={"xdsb": XDSB})
    root.append(lot)
    attachments = []
    for number, (media_type, raw) in enumerate(documents, 1):
        cid = f"document-{number}@pli"
        held = etree.SubElement(root, f"{{{XDSB}}}Document", id=ebrim.entry_id(number))
        held.append(soap.include(cid))
        attachments.append(soap.Attachment(cid, media_type, raw))
    return root, attachments


def _adhoc_query(query_id: str, slots: dict[str, str], returned: str = LEAF) -> etree._Element:
    root = etree.Element(f"{{{QUERY}}}AdhocQueryRequest", nsmap={"query": QUERY, "rim": RIM})
    option = etree.SubElement(root, f"{{{QUERY}}}ResponseOption", returnComposedObjects="true")
    option.set("returnType", returned)
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
