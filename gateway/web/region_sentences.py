"""The sentences of the regional directory's pages: French, English.

Promises, does not: as gateway.web.sentences, which joins them.
"""

from __future__ import annotations

SEARCH: dict[str, tuple[str, str]] = {
    "region-menu": ("Annuaire", "Directory"),
    "region-title": ("Annuaire régional", "Regional directory"),
    "region-words": (
        "Nom, spécialité, ville, structure, RPPS, FINESS ou adresse",
        "Name, speciality, town, structure, RPPS, FINESS or address",
    ),
    "region-words-help": (
        "Les fiches qui portent chacun des mots, sans accents ni casse. La liste rouge : par son adresse exacte.",
        "Entries that hold each of the words, without accents or case. The red list: by its exact address alone.",
    ),
    "region-words-missing": ("Écrivez au moins un mot.", "Write at least one word."),
    "region-go": ("Chercher", "Search"),
    "region-none": ("Aucune fiche.", "No entry."),
    "region-count": ("{count} fiche(s)", "{count} entries"),
    "region-more": ("Il y en a d’autres : précisez votre recherche.", "There are more: narrow your search."),
    "region-address": ("Adresse", "Address"),
    "region-holder": ("Titulaire", "Holder"),
    "region-place": ("Structure et ville", "Structure and town"),
    "region-back": ("Revenir à la recherche", "Back to the search"),
}  # fmt: skip

ENTRY: dict[str, tuple[str, str]] = {
    "entry-fields": ("Ce que dit la fiche, et qui le dit", "What the entry says, and who says so"),
    "entry-field": ("Champ", "Field"),
    "entry-value": ("Valeur", "Value"),
    "entry-source": ("Source", "Source"),
    "entry-unsaid": ("non dite", "not said"),
    "entry-red": ("Liste rouge : jamais montrée dans une recherche", "Red list: never shown in a search"),
    "entry-certificates": ("{count} certificat(s) de la boîte", "{count} certificate(s) of the mailbox"),
    "entry-replaced": ("En ce moment, le courrier est lu par {address}.", "The mail is now read by {address}."),
    "entry-ends": ("Plus en vigueur à partir du {at}.", "Not in force from {at} on."),
    "entry-situations": ("Où il ou elle exerce", "Where they practise"),
    "entry-others": ("Autres fiches de la même adresse", "Other entries with the same address"),
    "entry-dn": ("Nom dans l’annuaire", "Name in the directory"),
    "field-display_name": ("Nom affiché", "Displayed name"),
    "field-title": ("Civilité", "Title"),
    "field-family_name": ("Nom d’exercice", "Family name"),
    "field-given_name": ("Prénom", "Given name"),
    "field-rpps": ("RPPS", "RPPS"),
    "field-finess": ("FINESS", "FINESS"),
    "field-structure": ("Structure", "Structure"),
    "field-specialty": ("Spécialité", "Speciality"),
    "field-service": ("Service", "Service"),
    "field-town": ("Ville", "Town"),
    "field-postal_code": ("Code postal", "Postal code"),
    "field-kind": ("Type de boîte", "Kind of mailbox"),
    "field-preferred": ("Rang de préférence", "Rank of preference"),
}  # fmt: skip

REACH: dict[str, tuple[str, str]] = {
    "reach-title": ("Qui voit cette fiche, qui peut la changer", "Who sees this entry, who may change it"),
    "reach-help": (
        "Les actes : selon la table des rôles de Pli. Ce qui est vu : demandé à l’annuaire au nom de chacun.",
        "Acts come from Pli’s table of roles; what is seen was asked of the directory in the name of each, just now.",
    ),
    "reach-who": ("Qui", "Who"),
    "reach-sees": ("Voit la fiche", "Sees the entry"),
    "reach-attributes": ("Attributs montrés", "Attributes shown"),
    "reach-acts": ("Peut", "May"),
    "reach-region": ("Administrateur de l’annuaire régional", "Administrator of the regional directory"),
    "reach-establishment": ("Administrateur de cet établissement", "Administrator of this establishment"),
    "reach-elsewhere": ("Administrateur d’un autre établissement", "Administrator of another establishment"),
    "reach-delegate": ("Délégué au déploiement", "Delegate who follows adoption"),
    "reach-support": ("Assistance", "Support"),
    "reach-readers": ("Professionnels, par leur carnet d’adresses", "Professionals, by their address books"),
    "reach-yes": ("oui", "yes"),
    "reach-no": ("non", "no"),
    "reach-unknown": (
        "ne se dit pas : ce nœud ne peut demander au nom d’autrui ([administration])",
        "cannot be told: this node may not ask for others ([administration])",
    ),
    "reach-nothing": ("rien", "nothing"),
    "act-see": ("voir", "see"),
    "act-count": ("compter", "count"),
    "act-create": ("créer", "create"),
    "act-change": ("changer", "change"),
    "act-suspend": ("suspendre", "suspend"),
    "act-resume": ("rétablir", "resume"),
    "act-close": ("fermer", "close"),
    "act-red-list": ("mettre en liste rouge", "put on the red list"),
    "act-import": ("importer", "import"),
    "act-merge": ("fusionner", "merge"),
    "act-publish": ("publier", "publish"),
}  # fmt: skip

REGION: dict[str, tuple[str, str]] = {**SEARCH, **ENTRY, **REACH}
