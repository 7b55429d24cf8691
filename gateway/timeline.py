"""The trail of a letter in plain words, French first: one line per step and recipient.

Promises: every event that relay and dmp_bridge journal has a sentence; an unknown one shows its name rather than
nothing. Does not: show content or a patient's identity; the journal holds none.
"""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, str]] = {
    "accepted": ("accepté, en notre garde", "accepted, in our custody"),
    "verified": ("contrôlé à l'entrée", "checked on entry"),
    "queued": ("mis en file", "queued"),
    "signed": ("signé", "signed"),
    "sealed": ("scellé par l'établissement", "sealed by the establishment"),
    "encrypted": ("chiffré pour le destinataire", "encrypted for the recipient"),
    "publication-wanted": (
        "publication à l'annuaire national demandée",
        "publication in the national directory wanted",
    ),
    "published": ("publiée à l'annuaire national", "published in the national directory"),
    "unpublished": ("retirée de l'annuaire national", "taken out of the national directory"),
    "publication-refused": (
        "publication refusée par l'annuaire national",
        "publication refused by the national directory",
    ),
    "policy-set": ("règle d'envoi changée", "policy changed"),
    "policy-unset": ("règle d'envoi retirée", "policy taken back"),
    "peer-unsure": (
        "opérateur du destinataire accepté, révocation inconnue",
        "recipient's operator taken, its revocation is not known",
    ),
    "relayed": ("remis à l'opérateur du destinataire", "handed to the recipient's operator"),
    "delivered": ("remis dans la boîte", "delivered to the mailbox"),
    "filed": ("classé au dossier", "filed in the dossier"),
    "shown": ("recherché au dossier", "looked up in the dossier"),
    "to-check": ("à vérifier par une personne", "to be checked by a person"),
    "delayed": ("retardé, nouvel essai prévu", "delayed, will be tried again"),
    "failed": ("non remis", "not delivered"),
    "lapsed": ("essai interrompu, repris", "attempt interrupted, taken up again"),
    "opened": ("chiffré, ouvert à son arrivée", "encrypted, opened on arrival"),
    "not-opened": ("chiffré, non ouvert", "encrypted, not opened"),
    "quarantined": ("en quarantaine, une personne doit le voir", "in quarantine, a person must look at it"),
    "set-aside": ("mis de côté après plusieurs essais interrompus", "set aside after several interrupted attempts"),
    "held": ("retenu", "held"),
    "released": ("libéré", "released"),
    "resent": ("renvoyé", "sent again"),
    "forgotten": ("adresse effacée des comptes, règles et listes", "address erased from counts, policies and lists"),
    "patient-forgotten": ("patient effacé du registre", "patient erased from the register"),
    "worklist-decided": ("décidé sur la liste de travail", "decided on the work list"),
    "worklist-reopened": ("décision annulée, de nouveau à vérifier", "decision taken back, to be checked again"),
    "filing-withdrawn": ("dépôt annulé avant son départ", "deposit taken back before it left"),
    "withdrawn": ("annulé par son auteur, avant l'envoi", "taken back by its author, before it left"),
    "bounced": ("retourné à l'expéditeur", "returned to its sender"),
    "noticed": ("expéditeur averti", "sender notified"),
    "warned": ("expéditeur averti du retard", "sender warned of the delay"),
    "silent": (
        "sans nouvelle : aucun accusé reçu ; renvoyez, ou prenez une autre voie",
        "no news: no receipt came; send it again, or take another way",
    ),
    "dealt-with": ("marqué comme réglé par son auteur", "marked as dealt with by its author"),
    "taken-up": ("remis à vérifier par son auteur", "to be checked again, says its author"),
    "said-arrived": ("remis, dit l'opérateur du destinataire", "delivered, says the recipient's operator"),
    "said-delayed": ("retardé, dit l'opérateur du destinataire", "delayed, says the recipient's operator"),
    "said-undelivered": ("non remis, dit l'opérateur du destinataire", "not delivered, says the recipient's operator"),
    "said-read": ("lu", "read"),
    "said-deleted": ("supprimé sans être lu", "deleted unread"),
    "said-filed": ("classé par le logiciel du destinataire", "filed by the recipient's software"),
    "said-unfiled": (
        "reçu, mais non classé par le logiciel du destinataire",
        "received, but not filed by the recipient's software",
    ),
    "rerouted": ("voie choisie à nouveau", "route chosen anew"),
    "looked-up": ("consulté", "looked up"),
    "dossier-ruled": ("règles de classement appliquées", "filing rules applied"),
    "dossier-begun": ("dépôt au dossier commencé", "deposit begun"),
    "dossier-filed": ("dépôt confirmé par relecture", "deposit confirmed by reading it back"),
    "dossier-hidden": ("caché au patient jusqu'à son annonce", "hidden from the patient until it is announced"),
    "dossier-announced": ("montré au patient, après son annonce", "shown to the patient, once it was announced"),
    "dossier-found": ("trouvé au dossier", "found in the dossier"),
    "dossier-host": ("hébergeur choisi", "host chosen"),
    "dossier-same": ("même document sous une autre forme", "the same document in another form"),
    "dossier-undone": ("dépôt retiré", "deposit taken back"),
    "dossier-refused": ("dépôt refusé", "deposit refused"),
    "dossier-alarm": ("ALARME : l'hébergeur se contredit", "ALARM: the dossier host contradicts itself"),
    "connected": ("connexion à la boîte", "connection to the mailbox"),
    "key-used": ("clé employée par le gardien", "key used by the keeper"),
    "erased": ("effacé sur demande", "erased on request"),
    "body-erased": ("contenu effacé, au terme de sa conservation", "content erased at the end of its retention"),
    "not-collected": ("laissé dans la boîte distante", "left in the mailbox at the other operator"),
    "key-opened": ("clé de déchiffrement employée par le gardien", "decryption key used by the keeper"),
    "unsealed": ("lettre ouverte par le gardien", "letter opened by the keeper"),
}

QUIET = frozenset({"key-used", "key-opened", "unsealed", "looked-up", "dossier-begun"})
"""Kept in the journal, left out where people read."""

NOTES: dict[str, tuple[str, str]] = {
    "filed": ("", ""),
    "taken-back": ("retiré du dossier", "taken back from the dossier"),
    "already-in-dossier": ("déjà au dossier", "already in the dossier"),
    "nothing-printed": ("aucune identité imprimée n'y est lue", "no printed identity was read in it"),
    "proposed": ("proposé au classement", "proposed for filing"),
    "work-list": ("à vérifier", "to be checked"),
    "peer-unsure": (
        "d'un opérateur dont la révocation n'est pas connue",
        "from an operator whose revocation is not known",
    ),
    "text-only": ("en texte seul, contenu non garanti", "as text only, content not vouched for"),
    "not-opened": ("chiffré, tel quel", "encrypted, as it came"),
    "bounce-closed": ("sa boîte est fermée", "its mailbox is closed"),
    "bounce-unknown": ("personne n'a cette adresse", "nobody has this address"),
    "bounce-bad-address": ("l'adresse n'est pas valide", "the address is not valid"),
    "bounce-too-large": ("la lettre est trop grande", "the letter is too large"),
    "bounce-full": ("sa boîte est pleine", "its mailbox is full"),
    "receipt-by-peer": (
        "son opérateur dira la suite",
        "its operator will tell what follows",
    ),
    "changed": ("mis à jour au dossier", "brought up to date in the dossier"),
    "warning-letter": ("comme lettre d'avertissement", "as a warning letter"),
}

SIGNATURES: dict[tuple[str, str], tuple[str, str]] = {
    ("valid", "mailbox"): ("signé par la boîte de {}", "signed by the mailbox of {}"),
    ("valid", "establishment"): ("scellé par l'établissement {}", "sealed by the establishment {}"),
    ("valid", "author"): ("signé par l'auteur {}", "signed by the author {}"),
    ("invalid", ""): ("signature invalide : la lettre n'est pas remise telle quelle", "invalid signature"),
    ("partial", "author"): (
        "signature de {}, dont le certificat porte une autre adresse",
        "signed by {}, whose certificate names another address",
    ),
    ("partial", ""): (
        "signature qui ne vaut pas pour la lettre entière",
        "a signature that does not hold for the whole letter",
    ),
    ("cannot-tell", ""): ("signature impossible à contrôler pour l'instant", "signature cannot be checked now"),
    ("none", ""): ("non signé", "not signed"),
}


def signature(state: str, signer: str, name: str, language: str = "fr") -> str:
    """Whose name a letter carries, as a sentence (design §7)."""
    row = SIGNATURES.get((state, signer)) or SIGNATURES.get((state, ""), (state, state))
    return row[language != "fr"].format(name)


def note(word: str, language: str = "fr") -> str:
    return NOTES.get(word, (word, word))[language != "fr"]


def sentence(event: str, language: str = "fr") -> str:
    """`language` is 'fr' or 'en'."""
    french, english = SENTENCES.get(event, (event, event))
    return french if language == "fr" else english
