"""The turns of the SMTP conversation that are no refusal of a letter: their codes and words.

Promises: one row for each turn, French first; sent by the same rules as every reply (replies.Reply.wire).
Does not: speak; session does.
"""

from __future__ import annotations

from enum import StrEnum

from gateway.doors.replies import Reply, ascii_only


class Turn(StrEnum):
    """A turn of the protocol that is no refusal of a letter."""

    BUSY = "busy"
    HELLO_FIRST = "hello-first"
    HELLO_SYNTAX = "hello-syntax"
    TLS_GO = "tls-go"
    TLS_FAILED = "tls-failed"
    TLS_ALREADY = "tls-already"
    AUTH_DONE = "auth-done"
    AUTH_ALREADY = "auth-already"
    AUTH_UNKNOWN = "auth-unknown"
    AUTH_ABORTED = "auth-aborted"
    AUTH_SYNTAX = "auth-syntax"
    AUTH_LATER = "auth-later"
    AUTH_UNSURE = "auth-unsure"
    AUTH_PUT_OFF = "auth-put-off"
    AUTH_TOO_OFTEN = "auth-too-often"
    AUTH_GOODBYE = "auth-goodbye"
    SENDER_DONE = "sender-done"
    RECIPIENT_DONE = "recipient-done"
    DATA_GO = "data-go"
    LETTER_KEPT = "letter-kept"
    CHUNK_TAKEN = "chunk-taken"
    CHUNKS_BEGUN = "chunks-begun"
    NOTHING_DONE = "nothing-done"
    WILL_NOT_SAY = "will-not-say"
    HELP = "help"
    GOODBYE = "goodbye"
    SYNTAX = "syntax"
    UNKNOWN_COMMAND = "unknown-command"
    TOO_MANY_UNKNOWN = "too-many-unknown"
    TOO_OFTEN = "too-often"
    LETTERS_TOO_OFTEN = "letters-too-often"
    NOT_HERE = "not-here"
    LINE_TOO_LONG = "line-too-long"
    LINE_END = "line-end"
    MAIL_FIRST = "mail-first"
    MAIL_ALREADY = "mail-already"
    NO_RECIPIENT = "no-recipient"
    PARAMETER_SYNTAX = "parameter-syntax"
    PARAMETER_UNKNOWN = "parameter-unknown"
    SLOW = "slow"
    CLOSING = "closing"


TURNS: dict[Turn, Reply] = {
    Turn.BUSY: Reply(421, "4.3.2", "Trop de sessions en cours, réessayez plus tard.", "Too many sessions, try later."),
    Turn.HELLO_FIRST: Reply(503, "5.5.1", "Commencez par EHLO.", "Send EHLO first."),
    Turn.HELLO_SYNTAX: Reply(501, "5.5.4", "EHLO attend un nom d'hôte.", "EHLO takes a host name."),
    Turn.TLS_GO: Reply(220, "2.0.0", "Prêt pour TLS, ready to start TLS"),
    Turn.TLS_FAILED: Reply(454, "4.7.0", "La négociation TLS a échoué.", "The TLS handshake failed."),
    Turn.TLS_ALREADY: Reply(503, "5.5.1", "TLS est déjà en place.", "TLS is already in place."),
    Turn.AUTH_DONE: Reply(235, "2.7.0", "Identification réussie, authentication succeeded"),
    Turn.AUTH_ALREADY: Reply(503, "5.5.1", "Vous êtes déjà identifié.", "You are already authenticated."),
    Turn.AUTH_UNKNOWN: Reply(504, "5.5.4", "Mécanisme d'identification inconnu.", "Unknown mechanism."),
    Turn.AUTH_ABORTED: Reply(501, "5.7.0", "Identification abandonnée.", "Authentication abandoned."),
    Turn.AUTH_SYNTAX: Reply(501, "5.5.2", "Réponse d'identification illisible.", "Unreadable authentication response."),
    Turn.AUTH_LATER: Reply(
        454,
        "4.7.0",
        "Le fournisseur d'identité ne répond pas ; réessayez plus tard.",
        "The identity provider does not answer; try again later.",
    ),
    Turn.AUTH_UNSURE: Reply(
        454,
        "4.7.0",
        "L'état de votre certificat ne peut pas être vérifié maintenant ; réessayez plus tard.",
        "The standing of your certificate cannot be told now; try again later.",
    ),
    Turn.AUTH_PUT_OFF: Reply(
        454,
        "4.7.0",
        "Trop d'identifications refusées pour ce compte ; réessayez dans quelques minutes.",
        "Too many failed logins for this account; try again in a few minutes.",
    ),
    Turn.AUTH_TOO_OFTEN: Reply(
        454,
        "4.7.0",
        "Trop d'identifications refusées depuis votre adresse ; réessayez dans quelques minutes.",
        "Too many failed logins from your address; try again in a few minutes.",
    ),
    Turn.AUTH_GOODBYE: Reply(
        421,
        "4.7.0",
        "Trop d'identifications refusées, fin de la session.",
        "Too many failed logins, the session ends.",
    ),
    Turn.SENDER_DONE: Reply(250, "2.1.0", "Expéditeur accepté, sender accepted"),
    Turn.RECIPIENT_DONE: Reply(250, "2.1.5", "Destinataire accepté, recipient accepted"),
    Turn.DATA_GO: Reply(354, "", "Terminez par, end with <CR><LF>.<CR><LF>"),
    Turn.LETTER_KEPT: Reply(250, "2.6.0", "Lettre acceptée, letter accepted:"),
    Turn.CHUNK_TAKEN: Reply(250, "2.0.0", "Morceau reçu, chunk received"),
    Turn.CHUNKS_BEGUN: Reply(
        503, "5.5.1", "La lettre a commencé par BDAT ; RSET l'abandonne.", "The letter began with BDAT; RSET drops it."
    ),
    Turn.NOTHING_DONE: Reply(250, "2.0.0", "OK"),
    Turn.WILL_NOT_SAY: Reply(
        252, "2.7.0", "Nous ne disons pas si une adresse existe.", "We do not say whether an address exists."
    ),
    Turn.HELP: Reply(214, "2.0.0", "RFC 5321: EHLO STARTTLS AUTH MAIL RCPT DATA RSET NOOP VRFY HELP QUIT"),
    Turn.GOODBYE: Reply(221, "2.0.0", "Au revoir, goodbye"),
    Turn.SYNTAX: Reply(501, "5.5.2", "Commande mal formée.", "Malformed command."),
    Turn.UNKNOWN_COMMAND: Reply(500, "5.5.1", "Commande inconnue.", "Unknown command."),
    Turn.TOO_MANY_UNKNOWN: Reply(421, "4.7.0", "Trop de commandes inconnues.", "Too many unknown commands."),
    Turn.TOO_OFTEN: Reply(421, "4.7.0", "Commande trop répétée.", "Command repeated too often."),
    Turn.LETTERS_TOO_OFTEN: Reply(
        451,
        "4.7.1",
        "Trop de lettres de votre réseau en une minute ; réessayez bientôt.",
        "Too many letters from your network within a minute; try again soon.",
    ),
    Turn.NOT_HERE: Reply(502, "5.5.1", "Cette commande n'est pas servie ici.", "This command is not served here."),
    Turn.LINE_TOO_LONG: Reply(500, "5.5.6", "Ligne de commande trop longue.", "Command line too long."),
    Turn.LINE_END: Reply(
        500,
        "5.5.2",
        "Chaque commande finit par CRLF ; fin de la session.",
        "Each command ends with CRLF; the session ends.",
    ),
    Turn.MAIL_FIRST: Reply(503, "5.5.1", "Commencez par MAIL.", "Send MAIL first."),
    Turn.MAIL_ALREADY: Reply(503, "5.5.1", "L'expéditeur est déjà donné.", "The sender is already given."),
    Turn.NO_RECIPIENT: Reply(554, "5.5.1", "Aucun destinataire accepté.", "No accepted recipient."),
    Turn.PARAMETER_SYNTAX: Reply(501, "5.5.4", "Paramètre mal formé ou répété.", "Malformed or repeated parameter."),
    Turn.PARAMETER_UNKNOWN: Reply(555, "5.5.4", "Paramètre non reconnu.", "Parameter not recognised."),
    Turn.SLOW: Reply(421, "4.4.2", "Délai d'attente dépassé.", "Waited too long for you."),
    Turn.CLOSING: Reply(
        421, "4.3.2", "Le service s'arrête, réessayez bientôt.", "The service is stopping, try again soon."
    ),
}


def said(which: Turn, detail: str = "") -> str:
    """The wire lines of a turn of the protocol; `detail` ends its only sentence (a letter's id)."""
    reply = TURNS[which]
    if not reply.english and detail:
        return f"{reply.wire()} {ascii_only(detail)}"
    return reply.wire(detail)
