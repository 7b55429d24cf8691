"""Names that the XDS.b profile fixes (spec/dossier.md §1.9, §3.3, §8.2), as this host knows them.

Promises: nothing is shared with the client, so that an error in its constants cannot hide behind ours. Does
not: act.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
XDSB = "urn:ihe:iti:xds-b:2007"

PROVIDE = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
STORED_QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
SEVERAL_PATIENTS_QUERY = "urn:ihe:iti:2009:MultiPatientStoredQuery"
UPDATE = "urn:ihe:iti:2010:UpdateDocumentSet"
EXISTENCE = "urn:hl7-org:v3:PRPA_IN201307UV02"

SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
FAILURE = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"
PARTIAL = "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess"
SEVERITY_ERROR = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
ARCHIVED = "urn:asip:ci-sis:2010:StatusType:Archived"
DELETED = "urn:asip:ci-sis:2010:StatusType:Deleted"
STATUSES = frozenset({APPROVED, DEPRECATED, ARCHIVED, DELETED})

HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
_IHE_LINK = "urn:ihe:iti:2007:AssociationType:"
RPLC, XFRM_RPLC = f"{_IHE_LINK}RPLC", f"{_IHE_LINK}XFRM_RPLC"
DEPRECATING = frozenset({RPLC, XFRM_RPLC})
LINKS = frozenset({HAS_MEMBER, RPLC, XFRM_RPLC, f"{_IHE_LINK}APND", f"{_IHE_LINK}XFRM", f"{_IHE_LINK}signs"})

UPDATE_STATUS = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus"
SIGNS = f"{_IHE_LINK}signs"
MASKED = "MASQUE_PS"
SIGNATURE_FORMAT = "http://www.w3.org/2000/09/xmldsig#"

LOT_NODE = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
STABLE = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"

LOT_AUTHOR = "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d"
LOT_CONTENT = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500"
LOT_PATIENT = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446"
LOT_SOURCE = "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832"
LOT_UNIQUE = "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8"

ENTRY_AUTHOR = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d"
ENTRY_CLASS = "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a"
ENTRY_CONFIDENTIALITY = "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f"
ENTRY_EVENT = "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4"
ENTRY_FORMAT = "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d"
ENTRY_FACILITY = "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"
ENTRY_PRACTICE = "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead"
ENTRY_TYPE = "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983"
ENTRY_PATIENT = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"
ENTRY_UNIQUE = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"

REFERENCE_IDS = "urn:ihe:iti:xds:2013:referenceIdList"


class Code(StrEnum):
    """Error codes (IHE ITI TF-3 table 4.2.4.1-2) that this host answers."""

    MISSING_DOCUMENT = "XDSMissingDocument"
    MISSING_METADATA = "XDSMissingDocumentMetadata"
    DUPLICATE_IN_MESSAGE = "XDSRepositoryDuplicateUniqueIdInMessage"
    DUPLICATE = "XDSDuplicateUniqueIdInRegistry"
    OTHER_HASH = "XDSNonIdenticalHash"
    METADATA = "XDSRegistryMetadataError"
    REPOSITORY_METADATA = "XDSRepositoryMetadataError"
    UNKNOWN_PATIENT = "XDSUnknownPatientId"
    OTHER_PATIENT = "XDSPatientIdDoesNotMatch"
    DEPRECATED_TARGET = "XDSRegistryDeprecatedDocumentError"
    UNRESOLVED = "UnresolvedReferenceException"
    UNKNOWN_REPOSITORY = "XDSUnknownRepositoryId"
    UNKNOWN_DOCUMENT = "XDSDocumentUniqueIdError"
    SEVERAL_PATIENTS = "XDSResultNotSinglePatient"
    UNKNOWN_QUERY = "XDSUnknownStoredQuery"
    MISSING_PARAMETER = "XDSStoredQueryMissingParam"
    PARAMETER_NUMBER = "XDSStoredQueryParamNumber"
    TOO_MANY = "XDSTooManyResults"
    REGISTRY = "XDSRegistryError"
    REPOSITORY = "XDSRepositoryError"
    OUT_OF_RESOURCES = "XDSRepositoryOutOfResources"
    UPDATE = "XDSMetadataUpdateError"
    UPDATE_OPERATION = "XDSMetadataUpdateOperationError"
    VERSION = "XDSMetadataVersionError"
    PATIENT_CHANGES = "XDSPatientIDReconciliationError"
    UNMODIFIABLE = "UnmodifiableMetadataError"
    POLICY = "LocalPolicyRestrictionError"
    CLOSED = "DMPClosed"
    INVALID_CONTENT = "InvalidDocumentContent"


@dataclass(frozen=True)
class Problem:
    code: Code
    context: str
    """For the sender's operator: names what is wrong, never holds a value of the metadata."""


class Refused(Exception):
    """A request is refused for these problems; nothing of it is kept."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(", ".join(problem.code for problem in problems))
        self.problems = problems


def refuse(code: Code, context: str) -> Refused:
    return Refused(Problem(code, context))
