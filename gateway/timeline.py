"""The trail of a letter in plain words, French first: one line per step and recipient.

Promises: every event that relay and dmp_bridge journal has a sentence; an unknown one shows its name rather than
nothing. Does not: show content or a patient's identity; the journal holds none.
"""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, str]] = {
    "accepted": ("accepté, en notre garde", "accepted, in our custody"),
    "verified": ("signature contrôlée à l'entrée", "signature checked on entry"),
    "queued": ("mis en file", "queued"),
    "signed": ("signé", "signed"),
    "attempted": ("essai de remise", "delivery tried"),
    "delivered": ("remis", "delivered"),
    "filed": ("classé au dossier", "filed in the dossier"),
    "already-in-dossier": ("déjà au dossier", "already in the dossier"),
    "to-check": ("à vérifier par une personne", "to be checked by a person"),
    "warning-letter": ("remis comme lettre d'avertissement", "delivered as a warning letter"),
    "delayed": ("retardé, nouvel essai prévu", "delayed, will be tried again"),
    "failed": ("non remis", "not delivered"),
    "held": ("retenu", "held"),
    "released": ("libéré", "released"),
    "resent": ("renvoyé", "sent again"),
    "bounced": ("retourné à l'expéditeur", "returned to its sender"),
    "noticed": ("expéditeur averti", "sender notified"),
    "refused": ("refusé", "refused"),
    "opened": ("lettre déchiffrée pour remise", "opened for delivery"),
    "unsealed": ("ouvert par le gardien des clés", "opened by the keeper"),
}


def sentence(event: str, language: str = "fr") -> str:
    """`language` is 'fr' or 'en'."""
    french, english = SENTENCES.get(event, (event, event))
    return french if language == "fr" else english
