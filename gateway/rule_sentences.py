"""What the rules answered, for people: filing rules, rules of the way, values of policy. French, English.

Promises: whoever reads a timeline or a recipient's card meets no rule, mode, key or value by its code; a test asks for
each that there is. Does not: decide (dmp_bridge.rules, relay.routing, relay.policy do), nor serve `pli policy explain`,
whose reader knows the codes (gateway.explanation).
"""

from __future__ import annotations

from collections.abc import Mapping

from dmp_bridge import codes, hosts
from dmp_bridge.model import Answer
from relay.model import Mode
from relay.policy import Level, Line, place

Pair = tuple[str, str]

REFUSED: dict[str, Pair] = {
    "type-known": ("ce type de document n'est pas connu", "this type of document is not known"),
    "identifier-plain": ("l'identifiant du document porte une extension", "the document's identifier has an extension"),
    "header-complete": ("l'en-tête du document est incomplet", "the document's header is incomplete"),
    "header-valid": ("l'en-tête du document est faux", "the document's header is wrong"),
    "body-known": ("le contenu est d'une forme inconnue", "the content is of an unknown form"),
    "practice-known": ("le cadre d'exercice n'est pas connu", "the practice setting is not known"),
    "ins-present": ("le document ne porte pas d'INS", "the document bears no INS"),
    "ins-well-formed": ("l'INS est mal formée", "the INS is malformed"),
    "ins-of-this-host": ("une INS de test ne va pas où sont les vraies, ni l'inverse", "a test INS among real ones"),
    "patient-matched": ("aucun patient connu ne répond à ce document", "no known patient answers to this document"),
    "not-opposed": (
        "le patient ne le veut pas, ou doit d'abord être informé",
        "the patient objects, or must hear first",
    ),
    "author-ours": ("écrit par un autre établissement", "written by another establishment"),
    "not-masked": ("le document est masqué", "the document is masked"),
    "latest-version": ("une version aussi récente y est déjà", "a version as recent is there already"),
    "signature-trusted": ("la signature ne vaut pas pour toute la lettre", "the signature does not hold for all of it"),
    "action-files": ("l'envoi ne demande pas un classement", "what was sent does not ask for filing"),
    "host-allows": ("l'hébergeur ne le permet pas", "the dossier host does not allow it"),
    "schema-valid": ("le document ne suit pas les schémas publiés", "the document breaks the published schemas"),
}
"""Filing rule -> what its No means."""

UNSURE: dict[str, Pair] = {
    "author-ours": (
        "impossible de dire si le document est de l'établissement",
        "nobody can tell whether the document is of this establishment",
    ),
    "not-masked": ("impossible de dire si le document est masqué", "nobody can tell whether the document is masked"),
    "signature-trusted": ("la signature n'a pas pu être contrôlée", "the signature could not be checked"),
    "schema-valid": (
        "le document n'a pas été comparé aux schémas publiés",
        "the document was not compared with the published schemas",
    ),
}
"""What its cannot-tell means; only these can."""
UNANSWERED: Pair = ("une vérification est restée sans réponse", "one check gave no answer")

DETAILS: dict[str, Pair] = {
    "unsigned": ("elle n'est pas signée", "it is not signed"),
    "not-fileable": ("un dossier n'en tient pas de cette classe", "no dossier holds any of this class"),
    "deletion": ("c'est une suppression", "it is a deletion"),
    "replaces-nothing": ("un remplacement qui ne dit pas de quoi", "a replacement that does not say of what"),
    "disabled": ("il n'est pas en service", "it is not in use"),
    "incoming": ("ce qui vient d'ailleurs n'y est pas classé", "what comes from elsewhere is not filed there"),
    "not-installed": ("ils ne sont pas installés ici", "they are not installed here"),
    "too-slow": ("trop long", "it took too long"),
    "too-large": ("trop grand", "it is too large"),
    "broken": ("le contrôle s'est arrêté", "the check ended early"),
    "not-started": ("le contrôle n'a pas démarré", "the check did not start"),
    "surprise": ("le contrôle a échoué", "the check failed"),
}

MODES: dict[Mode, Pair] = {
    Mode.PEER_SIGNED: ("signée par la boîte de l'expéditeur", "signed by the sender's mailbox"),
    Mode.PEER_SEALED: ("scellée par l'établissement", "sealed by the establishment"),
    Mode.PEER_PLAIN: ("telle quelle, sur la liaison protégée", "as it is, over the protected connection"),
    Mode.PEER_ENCRYPTED: ("signée et chiffrée", "signed and encrypted"),
    Mode.PEER_SEALED_ENCRYPTED: ("scellée par l'établissement et chiffrée", "sealed by the establishment, encrypted"),
    Mode.MAILBOX: ("pour une boîte de ce nœud", "for a mailbox of this node"),
    Mode.DOSSIER: ("à classer au dossier du patient", "to be filed in the patient's dossier"),
    Mode.DOSSIER_SHOW: ("à chercher au dossier du patient", "to be looked up in the patient's dossier"),
}

WAYS: dict[str, Pair] = {
    "mailbox-here": ("sa boîte est ici", "its mailbox is here"),
    "domain-not-listed": ("son domaine n'est pas dans la liste blanche", "its domain is not in the white list"),
    "encrypted-by-author": ("son auteur l'avait déjà chiffrée", "its author had encrypted it already"),
    "encryption-not-taken": (
        "le chiffrement est exigé, et ce destinataire n'en accepte pas",
        "encryption is required, and this recipient takes none",
    ),
    "patient-space-plain": ("la messagerie d'un patient", "a patient's mailbox"),
    "encrypt-always": ("le chiffrement est exigé", "encryption is required"),
    "encrypt-when-possible": ("ce destinataire a un certificat utilisable", "this recipient has a usable certificate"),
    "signature-declined": ("sa boîte refuse les signatures", "its mailbox declines signatures"),
    "sign-none": ("sans signature, par réglage", "without a signature, as was set"),
    "sign-establishment": ("sceau de l'établissement, par réglage", "the establishment's seal, as was set"),
    "signed-by-default": ("la voie habituelle", "the usual way"),
    "refused": ("aucune voie", "no way"),
    "candidates.cda": ("un document y est joint", "a document is enclosed"),
    "candidates.xdm": ("une archive de documents y est jointe", "an archive of documents is enclosed"),
    "candidates.printed": ("un document imprimé y est joint", "a printed document is enclosed"),
    hosts.BEGUN: ("le dépôt y avait commencé", "the deposit had begun there"),
    hosts.REPLACES: ("le document remplacé s'y trouve", "the document that it replaces is there"),
    hosts.CHOSEN: ("le choix du patient", "the patient's choice"),
    hosts.DEFAULT: ("l'hébergeur habituel", "the usual host"),
    hosts.ONLY: ("le seul hébergeur", "the only host"),
}
"""Rule that chose a way or a host -> why, for people."""

VALUES: dict[tuple[str, str], Pair] = {
    ("sign", "mailbox"): ("signature de la boîte", "signed by the mailbox"),
    ("sign", "establishment"): ("sceau de l'établissement", "sealed by the establishment"),
    ("sign", "none"): ("pas de signature", "no signature"),
    ("encrypt", "never"): ("jamais de chiffrement", "never encrypted"),
    ("encrypt", "when-possible"): ("chiffrement quand il est possible", "encrypted where possible"),
    ("encrypt", "always"): ("chiffrement toujours", "always encrypted"),
    ("without_certificate", "refuse"): ("sans certificat, refus", "without a certificate, refused"),
    ("without_certificate", "wait"): ("sans certificat, attente", "without a certificate, it waits"),
    ("receipt", "as-asked"): ("accusé de lecture s'il est demandé", "a receipt where it is asked for"),
    ("receipt", "always"): ("accusé de lecture toujours demandé", "a receipt is always asked for"),
    ("patient_ins", "as-stated"): ("adresse du patient telle qu'écrite", "the patient's address as it is written"),
    ("patient_ins", "qualified"): ("patient dont l'INS est qualifiée", "a patient whose INS is qualified"),
}
"""Key and value of policy."""

LEVELS: dict[Level, Pair] = {
    Level.FACTORY: ("réglage d'usine", "factory setting"),
    Level.TENANT: ("réglage de l'établissement", "the establishment's setting"),
    Level.DOMAIN: ("réglage du domaine {}", "setting of the domain {}"),
    Level.MAILBOX: ("réglage de la boîte {}", "setting of the mailbox {}"),
}


def _in(pair: Pair, language: str) -> str:
    return pair[language != "fr"]


# --- filing -------------------------------------------------------------------------------------------------------


def rulings(facts: Mapping[str, str], language: str = "fr") -> str:
    """What the filing rules answered: what was refused, what nobody can tell, and how many checks were passed."""
    said: dict[str, list[str]] = {Answer.NO: [], Answer.CANNOT_TELL: []}
    passed = 0
    for rule, told in facts.items():
        answer, _, detail = told.partition(": ")
        passed += answer == Answer.YES
        if answer in said:
            said[answer].append(_ruling(rule, answer, detail, language))
    counted = {"fr": f"vérifications passées : {passed}", "en": f"checks passed: {passed}"}[language]
    return "; ".join([*said[Answer.NO], *said[Answer.CANNOT_TELL], counted])


def _ruling(rule: str, answer: str, detail: str, language: str) -> str:
    pair = REFUSED.get(rule, UNANSWERED) if answer == Answer.NO else UNSURE.get(rule, UNANSWERED)
    more = _detail(rule, detail, language)
    return f"{_in(pair, language)} ({more})" if more else _in(pair, language)


def _detail(rule: str, detail: str, language: str) -> str:
    """Names of types and of published schemas stand as they are: these are what a person would look for."""
    if detail in DETAILS:
        return _in(DETAILS[detail], language)
    if rule == "header-valid":
        return codes.clause_words(detail, language)
    perhaps = {"fr": "peut-être {}", "en": "perhaps {}"}[language] if rule == "type-known" else "{}"
    return perhaps.format(detail) if detail and rule in ("type-known", "schema-valid") else ""


# --- the way ------------------------------------------------------------------------------------------------------


def route(mode: str, rule: str, language: str = "fr") -> str:
    """How a recipient is served and why; '' for what has no words."""
    how = [_in(MODES[Mode(mode)], language)] if mode in set(Mode) else []
    why = [_in(WAYS[rule], language)] if rule in WAYS else []
    return " – ".join([*how, *why])


def why(rule: str, language: str = "fr") -> str:
    """Of one of relay.routing.RULES."""
    return _in(WAYS[rule], language)


def setting(line: Line, language: str = "fr") -> str:
    """A value of policy that chooses a way (every key but max_bytes), and whose it is."""
    name = place(line.key).name
    whose = _in(LEVELS[line.level], language).format(line.holder)
    return f"{_in(VALUES[name, line.value], language)} ({whose})"
