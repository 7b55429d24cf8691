"""Why a document is not filed, in words: a row for each FilingReason, as replies has one for each Reason.

Promises: a French and an English sentence each. Does not: decide.
"""

from __future__ import annotations

from dmp_bridge.model import FilingReason
from gateway.doors.reply import Reply

FILINGS: dict[FilingReason, Reply] = {
    FilingReason.NOT_A_DOCUMENT: Reply(
        554, "5.6.1", "La pièce n'est pas un document de santé.", "The attachment is not a health document."
    ),
    FilingReason.ARCHIVE_REFUSED: Reply(
        554, "5.6.0", "L'archive IHE_XDM est refusée.", "The IHE_XDM archive is refused."
    ),
    FilingReason.DOCUMENT_REFUSED: Reply(554, "5.6.0", "Le document CDA est refusé.", "The CDA document is refused."),
    FilingReason.TYPE_UNKNOWN: Reply(
        554, "5.6.1", "Le type du document est inconnu.", "The document's type is unknown."
    ),
    FilingReason.PATIENT_UNKNOWN: Reply(
        550, "5.7.0", "Le patient n'est pas connu de notre registre.", "The patient is not in our register."
    ),
    FilingReason.INS_ABSENT: Reply(550, "5.7.0", "Le document ne porte pas d'INS.", "The document carries no INS."),
    FilingReason.INS_DIFFERS: Reply(
        550,
        "5.7.0",
        "L'INS du document n'est pas celui de notre registre.",
        "The document's INS differs from our register's.",
    ),
    FilingReason.INS_INCOMPLETE: Reply(
        550,
        "5.7.0",
        "Les traits stricts de l'identité sont incomplets.",
        "The strict traits of the identity are incomplete.",
    ),
    FilingReason.INS_NOT_QUALIFIED: Reply(
        550, "5.7.0", "L'INS du patient n'est pas qualifiée.", "The patient's INS is not qualified."
    ),
    FilingReason.PATIENT_NOT_UNIQUE: Reply(
        550, "5.7.0", "Plusieurs patients correspondent.", "Several patients match."
    ),
    FilingReason.NOT_OURS: Reply(
        550,
        "5.7.1",
        "L'auteur du document n'est pas des nôtres.",
        "The document's author is not one of ours.",
    ),
    FilingReason.OPPOSED: Reply(
        550,
        "5.7.1",
        "Le patient s'oppose au dépôt, ou n'a pas encore été informé.",
        "The patient objects to the filing, or has not been told yet.",
    ),
    FilingReason.SIGNATURE: Reply(
        550, "5.7.7", "La signature du document n'est pas sûre.", "The document's signature is not trusted."
    ),
    FilingReason.HOST_FORBIDS: Reply(
        550,
        "5.7.1",
        "Les règles de cet hébergeur ne permettent pas ce dépôt.",
        "This host's rules do not allow this deposit.",
    ),
    FilingReason.PRINTED: Reply(
        550,
        "5.7.0",
        "Une identité est imprimée sur le document : à confirmer par une personne.",
        "An identity is printed on the document: a person must confirm it.",
    ),
    FilingReason.MASKED: Reply(550, "5.7.1", "Le document est masqué.", "The document is masked."),
    FilingReason.OLD_VERSION: Reply(
        554,
        "5.6.0",
        "Ce n'est pas la dernière version du document.",
        "This is not the document's latest version.",
    ),
    FilingReason.RULE_CANNOT_TELL: Reply(
        451, "4.7.0", "Une règle ne peut pas encore conclure.", "A rule cannot conclude yet."
    ),
    FilingReason.HOST_DOWN: Reply(
        451, "4.4.1", "L'hébergeur du dossier ne répond pas.", "The dossier host does not answer."
    ),
    FilingReason.HOST_REFUSED: Reply(
        550, "5.0.0", "L'hébergeur du dossier a refusé le document.", "The dossier host refused the document."
    ),
    FilingReason.HOST_WRONG: Reply(
        451, "4.5.0", "L'hébergeur du dossier se contredit.", "The dossier host contradicts itself."
    ),
    FilingReason.NO_DOSSIER: Reply(
        550,
        "5.1.1",
        "Le patient n'a pas de dossier chez cet hébergeur.",
        "The patient has no dossier at this host.",
    ),
    FilingReason.DOSSIER_CLOSED: Reply(
        550, "5.2.1", "Le dossier du patient est fermé.", "The patient's dossier is closed."
    ),
    FilingReason.NOT_IN_DOSSIER: Reply(
        550, "5.0.0", "Le document n'est pas au dossier.", "The document is not in the dossier."
    ),
}
