"""The sentences of the operator's pages and of the handbook: French, English.

Promises, does not: as gateway.web.sentences, which joins them.
"""

from __future__ import annotations

HANDBOOK: dict[str, tuple[str, str]] = {
    "help-all": ("Toutes les pages d’aide", "All pages of the handbook"),
    "help-english": ("Les pages d’exploitation sont en anglais.", "The pages for operators are in English."),
}

QUEUE: dict[str, tuple[str, str]] = {
    "queue-menu": ("File d’attente", "Queue"),
    "queue-title": ("File d’attente par destination", "Queue by destination"),
    "queue-caption": (
        "Ce qui attend, par destination et par état",
        "What waits, by destination and state",
    ),
    "queue-empty": ("Rien n’attend.", "Nothing waits."),
    "queue-target": ("Destination", "Destination"),
    "queue-state": ("État", "State"),
    "queue-count": ("Lettres", "Letters"),
    "queue-since": ("Depuis", "Since"),
    "queue-next": ("Prochain essai", "Next try"),
    "queue-reason": ("Motif", "Reason"),
    "queue-acts": ("Actions", "Acts"),
    "queue-queued": ("en attente", "waiting"),
    "queue-running": ("en cours d’envoi", "being sent"),
    "queue-held": ("retenue", "held"),
    "queue-failed": ("non remise", "not delivered"),
    "queue-other": ("Agir sur une destination", "Act on a destination"),
    "queue-act": ("Action", "Act"),
    "queue-foresee": ("Voir ce qui serait touché", "See what it would touch"),
    "queue-hold": ("Retenir", "Hold"),
    "queue-release": ("Libérer", "Release"),
    "queue-resend": ("Renvoyer", "Send again"),
    "queue-hold-long": ("Retenir ce qui attend", "Hold what waits"),
    "queue-release-long": ("Libérer ce qui est retenu", "Release what is held"),
    "queue-resend-long": ("Renvoyer ce qui a échoué", "Send again what failed"),
    "queue-nothing": ("Rien de tel pour « {target} ».", "Nothing of that kind for “{target}”."),
    "queue-would-hold": ("{count} destinataire(s) seraient retenus.", "{count} recipient(s) would be held."),
    "queue-would-release": (
        "{count} destinataire(s) seraient libérés, et essayés tout de suite.",
        "{count} recipient(s) would be released, and tried now.",
    ),
    "queue-would-resend": (
        "{count} destinataire(s) repartiraient pour cinq jours.",
        "{count} recipient(s) would begin anew, for five days.",
    ),
    "queue-more": ("… et {count} autre(s).", "… and {count} more."),
    "queue-why": ("Pourquoi ?", "Why?"),
    "queue-why-help": (
        "Inscrit au journal à votre nom : un ticket, quelques mots ; jamais le nom d’un patient.",
        "Written to the journal in your name: a ticket, a few words; never a patient’s name.",
    ),
    "queue-why-missing": ("Dites pourquoi.", "Say why."),
    "queue-confirm-hold": ("Retenir {count} destinataire(s)", "Hold {count} recipient(s)"),
    "queue-confirm-release": ("Libérer {count} destinataire(s)", "Release {count} recipient(s)"),
    "queue-confirm-resend": ("Renvoyer à {count} destinataire(s)", "Send again to {count} recipient(s)"),
    "queue-back": ("Revenir à la file, sans rien faire", "Back to the queue, without doing anything"),
    "queue-done-hold": ("{count} destinataire(s) retenus pour {target}.", "{count} recipient(s) held for {target}."),
    "queue-done-release": (
        "{count} destinataire(s) libérés pour {target}.",
        "{count} recipient(s) released for {target}.",
    ),
    "queue-done-resend": (
        "{count} destinataire(s) repartent pour {target}.",
        "{count} recipient(s) begin anew for {target}.",
    ),
    "queue-refused": (
        "{count} n’étaient plus dans cet état : rien n’y a été fait.",
        "{count} had moved meanwhile: nothing was done to them.",
    ),
}

NODE: dict[str, tuple[str, str]] = {
    "peers-menu": ("Opérateurs", "Operators"),
    "peers-title": ("Les autres opérateurs", "The other operators"),
    "peers-list": ("Liste blanche", "White list"),
    "peers-list-fault": ("Aucune liste blanche utilisable :", "No white list can be used:"),
    "peers-fresh": ("à jour", "fresh"),
    "peers-stale": ("trop ancienne", "too old"),
    "peers-age": (
        "Elle a {hours} h ({most} h au plus) et nomme {domains} domaines.",
        "It is {hours} h old ({most} h at most) and names {domains} domains.",
    ),
    "peers-none": ("Aucun n’a été rencontré récemment.", "None was met lately."),
    "peers-caption": (
        "Dernières sessions avec chacun, certificat vérifié dans la liste blanche",
        "Last sessions with each, its certificate allowed by the white list",
    ),
    "peers-domain": ("Domaine", "Domain"),
    "peers-sent": ("Dernier envoi accepté", "Last letter it took"),
    "peers-came": ("Dernière réception", "Last letter that came"),
    "peers-waiting": ("En attente", "Waiting"),
    "peers-state": ("État", "State"),
    "peers-never": ("pas récemment", "not lately"),
    "peers-called": ("appelé normalement", "called as usual"),
    "peers-not-called": ("pas appelé avant {until}", "not called before {until}"),
    "node-menu": ("État du nœud", "State of the node"),
    "node-title": ("État du nœud", "State of the node"),
    "node-processes": ("Processus", "Processes"),
    "node-process": ("Processus", "Process"),
    "node-parts": ("Ce dont une lettre a besoin", "What a letter needs"),
    "node-part": ("Élément", "Part"),
    "node-files": ("Fichiers nommés par la configuration", "Files that the configuration names"),
    "node-file": ("Réglage", "Key"),
    "node-state": ("État", "State"),
    "node-detail": ("Détail", "Detail"),
    "node-well": ("en ordre", "well"),
    "node-bad": ("à corriger", "to mend"),
    "node-connectors": ("Boîtes relevées chez d’autres opérateurs", "Mailboxes collected from other operators"),
    "node-connector": ("Boîte", "Mailbox"),
    "node-no-connector": ("Aucune boîte n’est relevée ailleurs.", "No mailbox is collected from elsewhere."),
    "node-since": ("Depuis", "Since"),
    "node-well-at": ("Bien allé pour la dernière fois", "Last well"),
    "node-entered": ("Lettres entrées", "Letters in"),
    "node-refused": ("Refusées", "Refused"),
    "node-watching": ("à l’écoute", "watching"),
    "node-waiting": ("attend un service d’ici", "waits for a part of ours"),
    "node-failing": ("en échec", "failing"),
    "configuration-menu": ("Configuration", "Configuration"),
    "configuration-title": ("Configuration et provenance", "Configuration and where it comes from"),
    "configuration-file": ("Fichier : {file}.", "File: {file}."),
    "configuration-help": ("Ce que veut dire chaque réglage", "What each key means"),
    "configuration-caption": (
        "Chaque valeur en vigueur, et d’où elle vient. Un secret tient dans un fichier : seul son nom est montré.",
        "Each value in force, and where it comes from. A secret lies in a file: its name alone is shown.",
    ),
    "configuration-key": ("Réglage", "Key"),
    "configuration-value": ("Valeur", "Value"),
    "configuration-source": ("Provenance", "Comes from"),
    "configuration-from-environment": ("l’environnement :", "the environment:"),
    "configuration-from-file": ("le fichier", "the file"),
    "configuration-from-factory": ("valeur d’usine", "the factory"),
}

OPERATORS: dict[str, tuple[str, str]] = {**HANDBOOK, **QUEUE, **NODE}
