"""The sentences of those who keep the regional directory: duplicates, imports, freshness. French, English.

Promises, does not: as gateway.web.sentences, which joins them.
"""

from __future__ import annotations

from gateway.web.import_sentences import CHANGES, IMPORTS

WORK: dict[str, tuple[str, str]] = {
    "work-busy": (
        "Un autre travail est en cours sur l’annuaire. Attendez qu’il finisse.",
        "Another work on the directory is under way. Wait until it is done.",
    ),
    "work-under-way": ("En cours depuis {at}, pour {by}.", "Under way since {at}, for {by}."),
    "work-percent": ("{percent} %.", "{percent} %."),
    "work-count": ("{count} lues.", "{count} read."),
    "work-octets": ("{count} octets lus.", "{count} octets read."),
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

FRESHNESS: dict[str, tuple[str, str]] = {
    "feed-none": (
        "Ce nœud ne tient pas d’annuaire : la section [feed] de sa configuration dit qui peut l’écrire.",
        "This node keeps no directory: the section [feed] of its configuration says who may write it.",
    ),
    "fresh-menu": ("Fraîcheur", "Freshness"),
    "fresh-title": ("Fraîcheur de l’annuaire", "Freshness of the directory"),
    "fresh-help": (
        "De chaque source, le dernier fichier appliqué jusqu’au bout.",
        "Of each source, the last file that was applied to its end.",
    ),
    "fresh-state": ("État", "State"),
    "fresh-good": ("à jour", "fresh"),
    "fresh-stale": ("périmée", "stale"),
    "fresh-dated": ("Fait par la source le", "Made by the source at"),
    "fresh-age": ("Âge", "Age"),
    "fresh-limit": ("Limite", "Limit"),
    "fresh-rows": ("Fiches", "Entries"),
    "fresh-applied": ("Appliqué le", "Applied at"),
    "fresh-hours": ("{count} h", "{count} h"),
    "fresh-days": ("{count} jours", "{count} days"),
    "fresh-never": ("Jamais appliquées ici :", "Never applied here:"),
}

KEEPING: dict[str, tuple[str, str]] = {**WORK, **DUPLICATES, **FRESHNESS, **IMPORTS, **CHANGES}
