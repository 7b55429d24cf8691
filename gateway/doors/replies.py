"""Every refusal that the product can give: a reason as SMTP code, enhanced code (RFC 3463) and words.

Promises: each Reason and each FilingReason has one row, a French and an English sentence; what goes on the
wire is ASCII (RFC 5321 §2.4), in lines of at most 512 octets (§4.5.3.1.5), whatever a detail holds; screens
get the accents. Does not: decide between refusing and accepting, nor hold the turns of the protocol.
"""

from __future__ import annotations

from gateway.doors.filing_replies import FILINGS
from gateway.doors.reply import TEXT_MOST, Reply, ascii_only
from relay.model import Reason, Refusal

__all__ = ["FILINGS", "REASONS", "TEXT_MOST", "Reply", "ascii_only", "of", "refusal", "sentence"]

REASONS: dict[Reason, Reply] = {
    Reason.UNKNOWN_RECIPIENT: Reply(
        550,
        "5.1.1",
        "Destinataire inconnu.",
        "Unknown recipient.",
        tells="Adresses proches, nearest addresses:",
    ),
    Reason.RECIPIENT_SYNTAX: Reply(
        553,
        "5.1.3",
        "L'adresse du destinataire est mal formée.",
        "The recipient's address is malformed.",
        tells="Motif, cause:",
    ),
    Reason.RECIPIENT_CLOSED: Reply(
        550,
        "5.2.1",
        "La boîte du destinataire est fermée ou suspendue.",
        "The recipient's mailbox is closed or suspended.",
        tells="Adresses proches, nearest addresses:",
    ),
    Reason.NOT_LISTED: Reply(
        550,
        "5.7.1",
        "Le domaine du destinataire n'est pas dans la liste blanche MSSanté.",
        "The recipient's domain is not in the MSSanté white list.",
    ),
    Reason.NO_RELAY: Reply(
        550,
        "5.7.1",
        "Ce serveur ne relaie pas vers ce domaine.",
        "This server does not relay to that domain.",
    ),
    Reason.TOO_MANY_RECIPIENTS: Reply(
        452,
        "4.5.3",
        "Trop de destinataires ; envoyez les suivants dans une autre lettre.",
        "Too many recipients; send the others in another letter.",
    ),
    Reason.TOO_LARGE_FOR_ROUTE: Reply(
        552,
        "5.2.3",
        "La lettre est trop grande pour ce destinataire.",
        "The letter is too large for this recipient.",
    ),
    Reason.OPPOSED: Reply(
        550,
        "5.7.1",
        "Le patient s'oppose à cet envoi.",
        "The patient objects to this letter being sent.",
    ),
    Reason.PATIENT_NOT_QUALIFIED: Reply(
        550,
        "5.7.1",
        "Cette adresse n'est pas celle d'un patient dont l'INS est qualifiée ; qualifiez l'identité, puis renvoyez.",
        "This is not the address of a patient whose INS is qualified; qualify the identity, then send again.",
    ),
    Reason.NO_CERTIFICATE: Reply(
        550,
        "5.7.5",
        "Le chiffrement est exigé et aucun certificat du destinataire n'est utilisable.",
        "Encryption is required and no certificate of the recipient can be used.",
    ),
    Reason.ENCRYPTION_NOT_TAKEN: Reply(
        550,
        "5.7.5",
        "Le chiffrement est exigé et le destinataire n'en accepte pas.",
        "Encryption is required and the recipient takes none.",
    ),
    Reason.DIRECTORY_DOWN: Reply(
        451,
        "4.4.3",
        "L'annuaire ne répond pas ; rien n'est perdu, réessayez plus tard.",
        "The directory does not answer; nothing is lost, try again later.",
    ),
    Reason.AUTH_REQUIRED: Reply(530, "5.7.0", "Identifiez-vous d'abord.", "Authenticate first."),
    Reason.AUTH_FAILED: Reply(535, "5.7.8", "Identifiant ou mot de passe refusé.", "User name or password refused."),
    Reason.TLS_REQUIRED: Reply(530, "5.7.0", "Ouvrez d'abord TLS (STARTTLS).", "Start TLS first (STARTTLS)."),
    Reason.SENDER_SYNTAX: Reply(
        553,
        "5.1.7",
        "L'adresse de l'expéditeur est mal formée.",
        "The sender's address is malformed.",
        tells="Motif, cause:",
    ),
    Reason.SENDER_NOT_ALLOWED: Reply(
        550,
        "5.7.1",
        "Vous n'avez pas le droit d'écrire au nom de cet expéditeur.",
        "You may not write in this sender's name.",
    ),
    Reason.FROM_AMBIGUOUS: Reply(
        554,
        "5.6.0",
        "Le champ From doit porter une seule adresse, sans ambiguïté.",
        "The From field must hold one address with one reading.",
    ),
    Reason.FROM_NOT_ALLOWED: Reply(
        550,
        "5.7.1",
        "Vous n'avez pas le droit d'écrire au nom de l'adresse du champ From.",
        "You may not write in the name of the address in From.",
    ),
    Reason.PEER_NO_CERTIFICATE: Reply(
        550,
        "5.7.1",
        "Présentez le certificat IGC-Santé de votre opérateur.",
        "Present your operator's IGC-Santé certificate.",
    ),
    Reason.PEER_UNTRUSTED: Reply(
        550,
        "5.7.1",
        "Votre certificat n'est pas accepté.",
        "Your certificate is not accepted.",
        tells="Motif, cause:",
    ),
    Reason.PEER_CANNOT_TELL: Reply(
        451,
        "4.7.5",
        "La validité de votre certificat ne peut pas être établie pour l'instant.",
        "The validity of your certificate cannot be established at present.",
        tells="Motif, cause:",
    ),
    Reason.PEER_NOT_LISTED: Reply(
        550,
        "5.7.1",
        "Votre certificat n'est pas celui que la liste blanche donne pour ce domaine.",
        "Your certificate is not the one that the white list gives for this domain.",
    ),
    Reason.WHITE_LIST_STALE: Reply(
        451,
        "4.7.0",
        "Notre liste blanche est trop ancienne ; réessayez plus tard.",
        "Our white list is too old; try again later.",
    ),
    Reason.BARE_LINE_END: Reply(
        554,
        "5.6.0",
        "La lettre contient un CR ou un LF isolé ; chaque ligne finit par CRLF.",
        "The letter holds a bare CR or LF; each line ends with CRLF.",
    ),
    Reason.TOO_LARGE: Reply(
        552, "5.3.4", "La lettre dépasse la taille admise.", "The letter is larger than what we take."
    ),
    Reason.MALFORMED: Reply(
        554, "5.6.0", "La lettre n'est pas un message lisible.", "The letter is not a readable message."
    ),
    Reason.LOOP: Reply(554, "5.4.6", "La lettre tourne en rond.", "The letter is looping."),
    Reason.INFECTED: Reply(
        554,
        "5.7.1",
        "La lettre contient un programme malveillant.",
        "The letter holds malware.",
        tells="Signature :",
    ),
    Reason.SCAN_UNABLE: Reply(
        451,
        "4.7.1",
        "L'analyse antivirus n'est pas possible en ce moment ; rien n'est perdu, réessayez plus tard.",
        "The malware scan is not possible now; nothing is lost, try again later.",
    ),
    Reason.DISK_FULL: Reply(
        452,
        "4.3.1",
        "Plus de place pour garder la lettre ; réessayez plus tard.",
        "No room to keep the letter; try again later.",
    ),
    Reason.STORE_DOWN: Reply(
        451,
        "4.3.0",
        "La lettre n'a pas pu être mise en garde ; réessayez plus tard.",
        "The letter could not be taken into custody; try again later.",
    ),
    Reason.KEEPER_DOWN: Reply(
        451, "4.3.0", "Le gardien des clés ne répond pas.", "The keeper of the keys does not answer."
    ),
    Reason.NO_KEY: Reply(
        550,
        "5.7.5",
        "Aucune clé ne permet de signer pour cet expéditeur.",
        "No key can sign for this sender.",
    ),
    Reason.PEER_UNREACHABLE: Reply(
        451,
        "4.4.1",
        "Le serveur du destinataire est injoignable.",
        "The recipient's server cannot be reached.",
    ),
    Reason.DNS_DOWN: Reply(
        451,
        "4.4.3",
        "Le serveur de noms ne répond pas pour le domaine du destinataire ; nouvel essai prévu.",
        "The name server gives no answer for the recipient's domain; it will be tried again.",
    ),
    Reason.DOMAIN_UNKNOWN: Reply(
        550, "5.1.2", "Le domaine du destinataire n'existe pas.", "The recipient's domain does not exist."
    ),
    Reason.DOMAIN_NO_MAIL: Reply(  # RFC 7505 §4.1 and §6
        556, "5.1.10", "Le domaine du destinataire ne reçoit pas de courrier.", "The recipient's domain takes no mail."
    ),
    Reason.DOMAIN_NO_HOST: Reply(
        550,
        "5.4.4",
        "Le domaine du destinataire n'a aucun serveur de courrier joignable.",
        "The recipient's domain has no mail host that can be reached.",
    ),
    Reason.DOMAIN_LOOPS: Reply(
        550,
        "5.4.6",
        "Le domaine du destinataire désigne notre propre serveur, qui ne le sert pas.",
        "The recipient's domain names our own host, which does not serve it.",
    ),
    Reason.PEER_REFUSED_TLS: Reply(
        550,
        "5.7.10",
        "La liaison chiffrée avec le serveur du destinataire a échoué.",
        "The encrypted link with the recipient's server failed.",
    ),
    Reason.PEER_REFUSED: Reply(
        550,
        "5.0.0",
        "Le serveur du destinataire a refusé la lettre.",
        "The recipient's server refused the letter.",
    ),
    Reason.PEER_DELAYED: Reply(
        451,
        "4.0.0",
        "Le serveur du destinataire a demandé d'attendre.",
        "The recipient's server asked to wait.",
    ),
    Reason.PEER_NO_8BIT: Reply(
        554,
        "5.6.3",
        "Le serveur du destinataire ne prend que du 7 bits, et une lettre signée ne se modifie pas.",
        "The recipient's server takes no 8-bit letter and the signed letter may not be changed.",
    ),
    Reason.PEER_NO_REQUIRETLS: Reply(
        550,
        "5.7.30",
        "Le serveur du destinataire ne garantit pas TLS jusqu'au bout (REQUIRETLS).",
        "The recipient's server does not promise TLS to the end (REQUIRETLS).",
    ),
    Reason.PEER_NO_SMTPUTF8: Reply(
        553,
        "5.6.7",
        "Le serveur du destinataire ne prend pas d'adresses internationales (SMTPUTF8).",
        "The recipient's server takes no international addresses (SMTPUTF8).",
    ),
    Reason.UTF8_NOT_ASKED: Reply(
        553,
        "5.6.7",
        "Une adresse internationale demande SMTPUTF8 à la commande MAIL.",
        "An international address needs SMTPUTF8 in the MAIL command.",
    ),
    Reason.NO_ROUTE: Reply(550, "5.4.4", "Aucun chemin vers ce destinataire.", "No route to this recipient."),
    Reason.MAILBOX_REFUSED: Reply(
        550, "5.2.0", "La boîte aux lettres a refusé la lettre.", "The mailbox refused the letter."
    ),
    Reason.MAILBOX_DELAYED: Reply(
        451,
        "4.2.0",
        "La boîte aux lettres n'est pas disponible pour l'instant.",
        "The mailbox is not available at present.",
    ),
    Reason.EXPIRED: Reply(
        554,
        "5.4.7",
        "La lettre n'a pas pu être remise dans le délai prévu.",
        "The letter could not be delivered in the time allowed.",
    ),
    Reason.WITHDRAWN: Reply(
        554,
        "5.7.0",
        "Annulée par son auteur avant l'envoi.",
        "Taken back by its author before it left.",
    ),
    Reason.COLLECTOR_LOST: Reply(
        451,
        "4.4.2",
        "La boîte distante n'est pas joignable ; rien n'est perdu, nouvel essai prévu.",
        "The remote mailbox cannot be reached; nothing is lost, it will be tried again.",
    ),
    Reason.COLLECTOR_DENIED: Reply(
        451,
        "4.7.8",
        "La boîte distante refuse nos identifiants ou notre demande ; vérifiez la configuration du collecteur.",
        "The remote mailbox refuses our credentials or our request; check the collector's configuration.",
    ),
    Reason.SURPRISE: Reply(
        451,
        "4.3.0",
        "Une erreur imprévue chez nous ; rien n'est perdu, réessayez plus tard.",
        "An unforeseen fault of ours; nothing is lost, try again later.",
    ),
}


_BY_NAME: dict[str, Reply] = {
    **{reason.value: reply for reason, reply in REASONS.items()},
    **{reason.value: reply for reason, reply in FILINGS.items()},
}


def of(reason: str) -> Reply:
    """The row of a reason; a name that we do not know is our own surprise."""
    return _BY_NAME.get(reason, REASONS[Reason.SURPRISE])


def sentence(reason: str, language: str = "fr") -> str:
    """For screens and timelines, with accents; `language` is 'fr' or 'en'. An unknown name shows itself."""
    reply = _BY_NAME.get(reason)
    if reply is None:
        return reason
    return reply.french if language == "fr" else reply.english


def refusal(answer: Refusal) -> str:
    """The wire lines of a refusal. Its own permanence wins over the table's usual one (RFC 5321 §4.2.1)."""
    reply = of(answer.reason)
    told = f"{reply.tells} {answer.detail}" if reply.tells and answer.detail else ""
    if answer.permanent != (reply.code >= 500):
        code, first = (554, "5") if answer.permanent else (451, "4")
        reply = Reply(code, first + reply.enhanced[1:], reply.french, reply.english)
    return reply.wire(told)
