"""The sentences of signing in elsewhere than with a password, and of leaving: French, English.

Promises: one key, both languages; a test compares. Does not: choose (gateway.web.wording does).
"""

from __future__ import annotations

SIGNING: dict[str, tuple[str, str]] = {
    "provider-go": ("Se connecter avec {name}", "Sign in with {name}"),
    "provider-go-of": ("Se connecter avec {name} ({tenants})", "Sign in with {name} ({tenants})"),
    "provider-down": (
        "{name} ne répond pas en ce moment. Réessayez dans quelques minutes, ou connectez-vous autrement.",
        "{name} does not answer at the moment. Try again in some minutes, or sign in another way.",
    ),
    "provider-again": (
        "Cette connexion n’a pas pu être vérifiée, ou elle a trop tardé. Recommencez depuis cette page.",
        "This sign-in could not be verified, or took too long. Begin again from this page.",
    ),
    "provider-not-there": (
        "Vous n’avez pas été identifié par {name} : la connexion a été abandonnée ou refusée.",
        "{name} did not identify you: signing in was given up or refused.",
    ),
    "provider-acr": (
        "{name} ne vous a pas identifié assez fortement. Utilisez votre carte CPS ou l’application e-CPS.",
        "{name} did not identify you strongly enough. Use your CPS card or the e-CPS application.",
    ),
    "provider-unbound": (
        "{name} vous a identifié, mais aucune boîte d’ici n’est liée à votre identité. Demandez-le à l’administrateur.",
        "{name} identified you, but no mailbox here is bound to your identity. Ask the administrator for it.",
    ),
    "locked-title": ("Session verrouillée", "Session locked"),
    "locked-what": (
        "La session de {account} est verrouillée, faute d’activité. Reconnectez-vous pour la reprendre : la lettre en "
        "cours est gardée. Si vous êtes quelqu’un d’autre, connectez-vous à votre nom : elle sera effacée.",
        "The session of {account} is locked, since nobody used it. Sign in again to go on: the letter that was being "
        "written is kept. If you are somebody else, sign in as yourself: it will be erased.",
    ),
    "which-title": ("Choisir une boîte", "Choose a mailbox"),
    "which-help": ("Plusieurs boîtes sont liées à votre identité.", "Several mailboxes are bound to your identity."),
    "left-title": ("Vous êtes déconnecté de Pli", "You are signed out of Pli"),
    "left-there": ("Déconnexion de {name} en cours.", "Signing out of {name}."),
    "left-go": ("Se déconnecter aussi de {name}", "Sign out of {name} too"),
    "on-title": ("Un instant", "One moment"),
    "on-go": ("Continuer", "Continue"),
}
