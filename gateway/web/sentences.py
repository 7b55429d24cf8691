"""The sentences of the pages: French, English.

Promises: one key, both languages; a test compares. Does not: choose (gateway.web.wording does).
"""

from __future__ import annotations

from gateway.web.keeping_sentences import KEEPING
from gateway.web.operator_sentences import OPERATORS
from gateway.web.reading_sentences import READING
from gateway.web.region_sentences import REGION
from gateway.web.signing_sentences import SIGNING
from gateway.web.worklist_sentences import WORKLIST
from gateway.web.writing_sentences import WRITING

FRAME: dict[str, tuple[str, str]] = {
    "product": ("Pli, messagerie sécurisée de santé", "Pli, secure health messaging"),
    "skip": ("Aller au contenu", "Skip to content"),
    "menu": ("Menu principal", "Main menu"),
    "menu-short": ("Menu", "Menu"),
    "sign-out": ("Se déconnecter", "Sign out"),
    "other-language": ("English", "Français"),
    "help": ("Aide", "Help"),
    "session-ends": (
        "Sans activité de votre part, votre session se verrouille dans {minutes} min.",
        "Unless you do something, your session is locked in {minutes} min.",
    ),
    "session-no-script": (
        "Après {minutes} min sans activité, votre session se verrouille. Ce que vous envoyez ensuite depuis une page "
        "d’écriture est gardé jusqu’à votre prochaine connexion.",
        "After {minutes} min without activity your session is locked. What you send from a writing page after that is "
        "kept until you sign in again.",
    ),
    "session-stay": ("Rester connecté", "Stay signed in"),
    "signing-title": ("Connexion", "Sign in"),
    "signing-login": ("Adresse de votre boîte", "Address of your mailbox"),
    "signing-password": ("Mot de passe", "Password"),
    "signing-code": ("Code à usage unique (6 chiffres)", "One-time code (6 digits)"),
    "signing-code-help": (
        "Affiché par votre application d’authentification.",
        "Shown by your authenticator application.",
    ),
    "signing-go": ("Se connecter", "Sign in"),
    "signing-certificate": ("Se connecter par carte CPS ou certificat", "Sign in with a CPS card or a certificate"),
    "signing-wrong": (
        "Adresse, mot de passe ou code incorrect. Un code ne sert qu’une fois : attendez le suivant.",
        "Wrong address, password or code. A code counts once: wait for the next one.",
    ),
    "signing-too-often": (
        "Trop d’essais. Réessayez dans un quart d’heure.",
        "Too many tries. Try again in a quarter of an hour.",
    ),
    "signing-no-certificate": (
        "Votre navigateur n’a présenté aucun certificat valable qui soit lié à un compte.",
        "Your browser showed no valid certificate that is bound to an account.",
    ),
    "signing-certificate-later": (
        "Pour l’instant, rien ne dit si votre certificat a été révoqué. Réessayez dans quelques minutes.",
        "At the moment nothing says whether your certificate was revoked. Try again in some minutes.",
    ),
    "signing-by-password": ("Avec un mot de passe", "With a password"),
    "signing-by-card": ("Avec une carte", "With a card"),
    "error-400": ("Demande incompréhensible", "Request not understood"),
    "error-400-what": ("Revenez à la page précédente et réessayez.", "Go back and try again."),
    "error-403": ("Accès refusé", "Not allowed"),
    "error-403-what": (
        "Cette page n’est pas pour votre rôle, ou le formulaire n’est plus valable : rechargez-le.",
        "This page is not for your role, or the form is no longer valid: load it again.",
    ),
    "error-404": ("Page introuvable", "No such page"),
    "error-404-what": ("Cette adresse ne mène à rien.", "Nothing is at this address."),
    "error-413": ("Trop volumineux", "Too large"),
    "error-413-what": ("Retirez une pièce, ou réduisez-la.", "Remove a document, or make it smaller."),
    "error-429": ("Trop d’essais", "Too many tries"),
    "error-429-what": ("Attendez un peu.", "Wait a while."),
    "error-500": ("Une erreur est survenue", "Something went wrong"),
    "error-500-what": ("Rien n’a été perdu. Réessayez, ou prévenez l’assistance.", "Nothing was lost. Try again."),
    "error-503": ("Momentanément indisponible", "Not available now"),
    "error-503-what": ("Un service ne répond pas. Réessayez bientôt.", "A service does not answer. Try again soon."),
    "home": ("Retour à l’accueil", "Back to the first page"),
}

LETTERS: dict[str, tuple[str, str]] = {
    "letters-menu": ("Accueil", "Home"),
    "letters-title": ("Accueil", "Home"),
    "letters-sent": ("Envoyées", "Sent"),
    "letters-got": ("Reçues", "Received"),
    "letters-patient": ("un usager (patient)", "a patient"),
    "letters-notice": ("un avis automatique", "an automatic notice"),
    "letters-dossier": ("dossier du patient (hébergeur {host})", "patient’s dossier (host {host})"),
    "letters-none": ("Rien pour l’instant.", "Nothing yet."),
    "letters-at": ("Date", "Date"),
    "letters-from": ("De", "From"),
    "letters-to": ("À", "To"),
    "letters-state": ("État", "State"),
    "letters-where": ("Où en est-elle ?", "Where is it?"),
    "letter-title": ("Lettre du {at}", "Letter of {at}"),
    "letter-steps": ("Étapes", "Steps"),
    "state-queued": ("en cours", "on its way"),
    "state-running": ("en cours", "on its way"),
    "state-held": ("retenue", "held"),
    "state-done": ("remise", "delivered"),
    "state-failed": ("non remise", "not delivered"),
    "search-menu": ("Où est ma lettre", "Where is my letter"),
    "search-title": ("Où est ma lettre ?", "Where is my letter?"),
    "search-audited": (
        "Chaque recherche est inscrite au journal, à votre nom. Aucun contenu n’est montré.",
        "Each search is written to the journal in your name. No content is shown.",
    ),
    "search-sender": ("Adresse de l’expéditeur", "Sender’s address"),
    "search-recipient": ("Adresse du destinataire", "Recipient’s address"),
    "search-message-id": ("Identifiant du message (Message-ID)", "Message-ID"),
    "search-go": ("Chercher", "Search"),
    "search-none": ("Aucune lettre ne correspond.", "No letter answers to that."),
}

SENTENCES: dict[str, tuple[str, str]] = {
    **FRAME,
    **LETTERS,
    **SIGNING,
    **READING,
    **WRITING,
    **WORKLIST,
    **REGION,
    **KEEPING,
    **OPERATORS,
}
