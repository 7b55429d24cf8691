"""The sentences of `pli certs`, French first: checks, faults, and what is missing to tell.

Promises: every check that certs names has its sentence, in the order in which they are asked; an unknown name is shown
as it is. Does not: show content, or decide anything.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    french: str
    english: str
    of_certificates: bool = True
    """Asked of a certificate alone too; the others are about a signature."""

    def said(self, language: str) -> str:
        return self.french if language == "fr" else self.english


CHECKS: dict[str, Row] = {
    "readable": Row("lisible", "readable"),
    # of a signature (cms, signers)
    "signed-data": Row("c'est une signature", "it is a signature", False),
    "few-enough": Row("pas trop de signataires ni de certificats", "not too many signers or certificates", False),
    "signer-there": Row("quelqu'un a signé", "somebody signed", False),
    "content-there": Row("le contenu signé est là", "the signed content is there", False),
    "attributes-once": Row("chaque attribut signé une seule fois", "each signed attribute once only", False),
    "known-algorithms": Row("algorithmes connus et forts", "algorithms known and strong", False),
    "listed-digest": Row(
        "l'empreinte est celle qu'annonce le message", "the hash is one that the message lists", False
    ),
    "version-fits": Row("la version convient", "the version fits", False),
    "content-type-allowed": Row("le type du contenu est admis", "the type of the content is admitted", False),
    "attributes-there": Row("les attributs signés sont là", "the signed attributes are there", False),
    "certificate-there": Row("le certificat du signataire est là", "the signer's certificate is there", False),
    "certificate-single": Row("un seul certificat répond à ce nom", "one certificate answers to that name", False),
    "strong-key": Row("la clé du signataire est forte", "the signer's key is strong", False),
    "key-permits": Row("la clé permet cet algorithme", "the key permits this algorithm", False),
    "hashes-agree": Row("une seule empreinte est nommée", "one hash only is named", False),
    "pss-parameters": Row("les paramètres PSS conviennent", "the PSS parameters fit", False),
    "content-type-agrees": Row("le type signé est celui du contenu", "the signed type is the content's", False),
    "inside-agrees": Row("le contenu joint est celui demandé", "the content inside is the one asked about", False),
    "digest-agrees": Row("le contenu est celui qui a été signé", "the content is what was signed", False),
    "certificate-v2-agrees": Row("l'attribut signé nomme ce certificat", "the attribute names this certificate", False),
    "certificate-v1-agrees": Row("l'ancien attribut aussi, s'il est là", "so does the old one, if it is there", False),
    "protection-agrees": Row("les algorithmes protégés sont ceux-là", "the protected algorithms are these", False),
    "time-plausible": Row("la date annoncée n'est pas future", "the claimed time is not in the future", False),
    "signature-holds": Row("la signature tient", "the signature holds", False),
    # OpenSSL's, in its order (paths)
    "size": Row("pas plus de certificats joints que permis", "no more certificates brought along than permitted"),
    "issuer": Row("la chaîne arrive à une ancre", "the chain reaches an anchor"),
    "basic-constraints": Row("chaque émetteur est une autorité", "each issuer is an authority"),
    "authority-usage": Row("chaque autorité peut signer des certificats", "each authority may sign certificates"),
    "purpose": Row("chaque autorité permet cet usage", "each authority permits this use"),
    "path-length": Row("la chaîne n'est pas trop longue", "the chain is not too long"),
    "key": Row("clés assez fortes pour OpenSSL", "keys strong enough for OpenSSL"),
    "hash": Row("empreintes assez fortes pour OpenSSL", "hashes strong enough for OpenSSL"),
    "signature": Row("chaque certificat est signé par le suivant", "each certificate is signed by the next"),
    "validity": Row("chaque certificat est valable à ce moment", "each certificate is valid at that moment"),
    "name-constraints": Row("noms permis par les autorités", "names that the authorities permit"),
    # ours (checks, policies, profiles, chain)
    "critical-extensions": Row("aucune extension critique inconnue", "no critical extension that is unknown"),
    "strong-hashes": Row("aucune signature faible dans la chaîne", "no weak signature in the chain"),
    "strong-keys": Row("aucune clé faible dans la chaîne", "no weak key in the chain"),
    "end-names": Row("noms qui se lisent d'une seule façon", "names that read in one way only"),
    "key-usage": Row("l'usage de la clé convient", "the key usage fits"),
    "extended-usage": Row("l'usage étendu convient", "the extended usage fits"),
    "stated-policy": Row("la politique demandée y est", "the policy asked for is stated"),
    "required-names": Row("les noms demandés y sont", "the names asked for are there"),
    "no-authority": Row("ce n'est pas le certificat d'une autorité", "it is not an authority's certificate"),
    "policy-path": Row("les politiques tiennent le long de la chaîne", "the policies hold along the chain"),
    "not-revoked": Row("aucun certificat n'est révoqué", "no certificate is revoked"),
}

ANSWERS: dict[str, Row] = {
    "trusted": Row("DE CONFIANCE", "TRUSTED"),
    "untrusted": Row("PAS DE CONFIANCE", "NOT TRUSTED"),
    "cannot-tell": Row("IMPOSSIBLE À DIRE", "CANNOT TELL"),
    "yes": Row("oui", "yes"),
    "no": Row("NON", "NO"),
    "not-asked": Row("non demandé", "not asked"),
}

FAULTS: dict[str, Row] = {
    "no-certificate": Row("le certificat du signataire manque", "the signer's certificate is missing"),
    "unreadable": Row("illisible", "unreadable"),
    "unknown-issuer": Row("émis par une autorité inconnue", "issued by an unknown authority"),
    "expired": Row("un certificat est expiré", "a certificate has expired"),
    "not-yet-valid": Row("un certificat n'est pas encore valable", "a certificate is not yet valid"),
    "revoked": Row("un certificat est révoqué", "a certificate is revoked"),
    "revocation-unknown": Row("on ne sait pas si un certificat est révoqué", "nobody knows whether one is revoked"),
    "stale-crl": Row("la liste de révocation est périmée", "the revocation list is stale"),
    "wrong-usage": Row("le certificat ne permet pas cet usage", "the certificate does not permit this use"),
    "wrong-name": Row("le certificat porte un autre nom", "the certificate carries another name"),
    "name-constraint": Row("un nom que l'autorité ne permet pas", "a name that the authority does not permit"),
    "chain": Row("la chaîne de certificats ne tient pas", "the chain of certificates does not hold"),
    "policy": Row("la politique de certification ne convient pas", "the certificate policy does not fit"),
    "weak-algorithm": Row("algorithme trop faible", "algorithm too weak"),
    "weak-key": Row("clé trop faible", "key too weak"),
    "unsupported": Row("pas encore traité par Pli", "not yet handled by Pli"),
    "no-signer": Row("personne n'a signé", "nobody signed"),
    "no-content": Row("le contenu signé manque", "the signed content is missing"),
    "ambiguous": Row("deux certificats répondent au même nom", "two certificates answer to one name"),
    "several-signers": Row("plusieurs signataires", "several signers"),
    "digest-mismatch": Row("le contenu n'est pas celui qui a été signé", "the content is not what was signed"),
    "bad-signature": Row("la signature ne tient pas", "the signature does not hold"),
    "bad-attributes": Row("les attributs signés ne conviennent pas", "the signed attributes do not fit"),
    "too-large": Row("trop gros", "too large"),
    "not-for-us": Row("chiffré pour quelqu'un d'autre", "encrypted to somebody else"),
    "cannot-open": Row("ne s'ouvre pas avec cette clé", "does not open with this key"),
}

MISSING: dict[str, Row] = {
    "no-certificate": Row("le certificat du signataire : --certs FICHIER", "the signer's certificate: --certs FILE"),
    "revocation-unknown": Row(
        "une liste de révocation ou une réponse OCSP en cours de validité : --crls FICHIER",
        "a current revocation list or OCSP answer: --crls FILE",
    ),
    "stale-crl": Row(
        "une liste de révocation plus récente : --crls FICHIER, ou --at pour un moment passé",
        "a newer revocation list: --crls FILE, or --at for a moment in the past",
    ),
    "unsupported": Row("une version de Pli qui le traite", "a version of Pli that handles it"),
}

HOW: dict[str, Row] = {
    "clear": Row("signature en clair (multipart/signed)", "clear signature (multipart/signed)"),
    "opaque": Row("signature opaque", "opaque signature"),
    "triple": Row("signature d'une lettre chiffrée", "signature over an encrypted letter"),
    "detached": Row("signature détachée", "detached signature"),
    "certificate": Row("certificat", "certificate"),
}

COVERS: dict[tuple[str, bool], Row] = {
    ("letter", True): Row("couvre la lettre entière", "covers the whole letter"),
    ("letter", False): Row("ne couvre qu'une partie de la lettre", "covers a part of the letter only"),
    ("cms", True): Row("couvre le contenu donné", "covers the content given"),
    ("certificate", True): Row("", ""),
}

LABELS: dict[str, Row] = {
    "by": Row("signataire", "signer"),
    "chain": Row("chaîne", "chain"),
    "signed-at": Row("signé, dit-il, le", "signed, it says, on"),
    "algorithms": Row("algorithmes", "algorithms"),
    "consulted": Row("consulté", "consulted"),
    "checked": Row("contrôlé, dans l'ordre", "checked, in order"),
    "findings": Row("remarques", "findings"),
    "missing": Row("il manque", "missing"),
    "because": Row("parce que", "because"),
    "at": Row("au", "at"),
    "stale": Row("périmée, admise par tolérance", "stale, let through by grace"),
}


LEVELS: dict[str, Row] = {
    "ok": Row("bon", "ok"),
    "soon": Row("bientôt", "soon"),
    "urgent": Row("URGENT", "URGENT"),
    "over": Row("EXPIRÉ", "OVER"),
    "unreadable": Row("ILLISIBLE", "UNREADABLE"),
    "replaced": Row("remplacé", "replaced"),
}

OPENING: dict[str, Row] = {
    "opened": Row("ouvert", "opened"),
    "not-opened": Row("non ouvert", "not opened"),
    "authenticated": Row("intégrité garantie", "integrity vouched for"),
    "not-authenticated": Row(
        "rien ne garantit que le contenu n'a pas été changé en route (EFAIL)",
        "nothing vouches that the content was not changed on its way (EFAIL)",
    ),
}


def said(table: dict[str, Row], name: str, language: str) -> str:
    """The sentence of a name; the name where there is none."""
    row = table.get(name)
    return row.said(language) if row else name
