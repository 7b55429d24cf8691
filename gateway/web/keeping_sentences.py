"""The sentences of those who keep the regional directory: duplicates, imports, freshness. French, English.

Promises, does not: as gateway.web.sentences, which joins them.
"""

from __future__ import annotations

WORK: dict[str, tuple[str, str]] = {
    "work-busy": (
        "Un autre travail est en cours sur l’annuaire. Attendez qu’il finisse.",
        "Another work on the directory is under way. Wait until it is done.",
    ),
    "work-under-way": ("En cours depuis {at}, pour {by}.", "Under way since {at}, for {by}."),
    "work-percent": ("{percent} %.", "{percent} %."),
    "work-count": ("{count} lues.", "{count} read."),
    "work-progress": ("Avancement", "Progress"),
    "work-over": ("Fini à {at}.", "Done at {at}."),
    "work-see": ("Voir le résultat", "See the result"),
    "work-stop": ("Arrêter", "Stop"),
}

DUPLICATES: dict[str, tuple[str, str]] = {
    "duplicates-menu": ("Doublons", "Duplicates"),
    "duplicates-title": ("Doublons de l’annuaire", "Duplicates in the directory"),
    "duplicates-help": (
        "Deux fiches d’un même titulaire : la fusion n’efface rien, les deux adresses reçoivent, et elle se défait.",
        "Two entries of one holder: a merge removes nothing, both addresses still receive, and it can be undone.",
    ),
    "duplicates-look": ("Chercher les doublons", "Look for duplicates"),
    "duplicates-found": (
        "{same} certain(s) par la règle, {candidates} à regarder",
        "{same} certain by the rule, {candidates} to look at",
    ),
    "duplicates-none": ("Aucun doublon.", "No duplicates."),
    "duplicates-same": ("même RPPS, même nom", "one RPPS, one name"),
    "duplicates-candidate": ("à regarder", "to look at"),
    "duplicates-evidence": ("Ce qui le fait penser ({score} points) :", "What speaks for it ({score} points):"),
    "duplicates-would": (
        "La fiche {address} représenterait les deux dans les recherches.",
        "The entry {address} would stand for both in searches.",
    ),
    "duplicates-stands": (
        "Fondues : la fiche {address} représente les deux.",
        "Merged: the entry {address} stands for both.",
    ),
    "duplicates-merge": ("Fusionner", "Merge"),
    "duplicates-part": ("Séparer de nouveau", "Part again"),
    "duplicates-merged": ("Les deux fiches sont fondues.", "The two entries are merged."),
    "duplicates-parted": ("Les deux fiches sont de nouveau séparées.", "The two entries are parted again."),
    "rule-one-number": ("RPPS", "RPPS"),
    "rule-one-name": ("nom", "name"),
    "rule-name-alike": ("nom proche", "name alike"),
    "rule-one-trade": ("spécialité", "speciality"),
    "rule-one-town": ("ville", "town"),
    "rule-one-structure": ("structure", "structure"),
    "rule-one-service": ("service", "service"),
    "rule-one-address": ("adresse", "address"),
    "answer-yes": ("identique", "the same"),
    "answer-no": ("différent", "another"),
    "answer-cannot-tell": ("ne se dit pas", "cannot be told"),
}

KEEPING: dict[str, tuple[str, str]] = {**WORK, **DUPLICATES}
