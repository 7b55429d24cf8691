"""The eyes of the demo: programs from Debian that are not ours look at what Pli did.

Promises: every answer comes from swaks, curl, openssl or ldapsearch; a client that fails raises Unseen with its own
last words. Does not: use any of Pli's own code to look, so that what is shown was seen from outside.
"""

from __future__ import annotations

import email
import email.policy
import html
import re
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 30.0
QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"


class Unseen(Exception):
    """A client did not see what it should; the text says what it said."""


def run(*command: str, stdin: bytes | None = None, codes: tuple[int, ...] = (0,)) -> bytes:
    """Standard output of `command`; raises Unseen on another exit code or after LIMIT_S seconds."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=LIMIT_S, check=False)
    except FileNotFoundError:
        raise Unseen(f"{command[0]} is not installed; ./dev setup brings it") from None
    except subprocess.TimeoutExpired:
        raise Unseen(f"{command[0]} had no answer within {LIMIT_S:.0f} s") from None
    if done.returncode not in codes:
        words = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise Unseen(f"{command[0]} ended with {done.returncode}: {' / '.join(words[-3:])}")
    return done.stdout


@dataclass(frozen=True)
class Login:
    user: str
    password: str


def submit(port: int, login: Login, sender: str, recipients: tuple[str, ...], mail: Path, ca: Path) -> str:
    """Hands `mail` to a submission door with swaks (STARTTLS, AUTH); answers the reply to DATA."""
    said = run(
        "swaks", "--server", "127.0.0.1", "--port", str(port), "--tls", "--tls-verify", "--tls-ca-path", str(ca),
        "--auth", "PLAIN", "--auth-user", login.user, "--auth-password", login.password, "--auth-hide-password",
        "--helo", "poste.example", "--from", sender, "--to", ",".join(recipients), "--data", f"@{mail}",
        "--hide-informational", "--suppress-data",
    ).decode("utf-8", "replace")  # fmt: skip
    replies = re.findall(r"^<~\s+(250 [\d.]+ .*)$", said, re.MULTILINE)
    if not replies:
        raise Unseen(f"swaks saw no 250 with an enhanced code: {said[-300:]}")
    return str(replies[-1])


def refused(port: int, login: Login | None, sender: str, recipient: str, ca: Path) -> str:
    """Tries to write to `recipient`; answers the reply that refused it."""
    auth = (
        (
            "--auth",
            "PLAIN",
            "--auth-user",
            login.user,
            "--auth-password",
            login.password,
            "--auth-hide-password",
        )
        if login
        else ()
    )
    said = run(
        "swaks", "--server", "127.0.0.1", "--port", str(port), "--tls", "--tls-verify", "--tls-ca-path", str(ca), *auth,
        "--helo", "poste.example", "--from", sender, "--to", recipient, "--quit-after", "RCPT",
        codes=(0, 23, 24, 25, 26, 28),
    ).decode("utf-8", "replace")  # fmt: skip
    replies = re.findall(r"^<~\*\s+([45]\d\d[ -].*)$", said, re.MULTILINE)
    if not replies:
        raise Unseen("swaks was not refused")
    return " ".join(replies)


def mailbox_search(port: int, login: Login, message_id: str, ca: Path) -> list[int]:
    """UIDs in INBOX whose Message-ID is `message_id`, by curl over IMAP with STARTTLS."""
    said = _curl_imap(port, login, ca, "INBOX", "-X", f'UID SEARCH HEADER Message-ID "{message_id}"')
    found = re.search(rb"\* SEARCH([ \d]*)", said)
    return [int(uid) for uid in found.group(1).split()] if found else []


def mailbox_read(port: int, login: Login, uid: int, ca: Path) -> bytes:
    """The delivered bytes of one message."""
    return _curl_imap(port, login, ca, f"INBOX;UID={uid}")


def _curl_imap(port: int, login: Login, ca: Path, path: str, *more: str) -> bytes:
    return run(
        "curl", "-sS", "--ssl-reqd", "--cacert", str(ca), "-u", f"{login.user}:{login.password}", *more,
        f"imap://127.0.0.1:{port}/{path}",
    )  # fmt: skip


@dataclass(frozen=True)
class Site:
    """Pages, and the file in which curl keeps its cookies."""

    host: str
    port: int
    ca: Path
    jar: Path

    def curl(self, path: str, *more: str) -> str:
        said = run(
            "curl", "-sS", "--fail", "--cacert", str(self.ca), "--resolve", f"{self.host}:{self.port}:127.0.0.1", "-b",
            str(self.jar), "-c", str(self.jar), *more, f"https://{self.host}:{self.port}{path}",
        )  # fmt: skip
        return html.unescape(said.decode("utf-8", "replace"))


def sign_in(site: Site, login: Login, code: str) -> None:
    """As a browser does: the form's hidden token goes back with what was typed."""
    token = re.search(r'name="token" value="([0-9a-f]+)"', site.curl("/entrer"))
    if token is None:
        raise Unseen("curl saw no form to sign in")
    typed = {"token": token[1], "login": login.user, "password": login.password, "code": code}
    site.curl("/entrer", *(word for name, value in typed.items() for word in ("--data-urlencode", f"{name}={value}")))


@dataclass(frozen=True)
class Signature:
    signer: str
    """Subject of the certificate that openssl took for the signer's."""


def verify_signature(mail: Path, anchors: Path, folder: Path) -> Signature:
    """`openssl cms -verify` on delivered bytes, with chain; answers who signed."""
    signer = folder / "signer.pem"
    run("openssl", "cms", "-verify", "-in", str(mail), "-CAfile", str(anchors), "-purpose", "smimesign",
        "-signer", str(signer), "-out", "/dev/null")  # fmt: skip
    subject = run("openssl", "x509", "-in", str(signer), "-noout", "-subject", "-nameopt", "RFC2253")
    return Signature(subject.decode().strip().removeprefix("subject="))


def verify_chain(certificate: Path, anchors: Path, intermediates: Path, crls: Path) -> str:
    """`openssl verify` with revocation lists."""
    said = run("openssl", "verify", "-crl_check_all", "-CAfile", str(anchors), "-untrusted", str(intermediates),
               "-CRLfile", str(crls), str(certificate))  # fmt: skip
    return said.decode().strip()


def directory_count(uri: str, base: str, who: Login, filter_: str) -> int:
    """Entries that ldapsearch finds."""
    said = run("ldapsearch", "-LLL", "-x", "-H", uri, "-D", who.user, "-w", who.password, "-b", base,
               "-z", "0", filter_, "1.1")  # fmt: skip
    return len(re.findall(rb"^dn:", said, re.MULTILINE))


# --- the dossier host, by curl and plain XML ---------------------------------------------------------------------

_ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">'
    '<s:Header><a:Action s:mustUnderstand="1">{action}</a:Action><a:MessageID>urn:uuid:{id}</a:MessageID>'
    "<a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo><a:To/></s:Header>"
    "<s:Body>{body}</s:Body></s:Envelope>"
)
_FIND = (
    '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
    'xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
    '<q:ResponseOption returnComposedObjects="true" returnType="LeafClass"/><r:AdhocQuery id="{query}">'
    "<r:Slot name=\"$XDSDocumentEntryUniqueId\"><r:ValueList><r:Value>('{document}')</r:Value></r:ValueList></r:Slot>"
    "</r:AdhocQuery></q:AdhocQueryRequest>"
)
_FETCH = (
    '<x:RetrieveDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007"><x:DocumentRequest>'
    "<x:RepositoryUniqueId>{repository}</x:RepositoryUniqueId><x:DocumentUniqueId>{document}</x:DocumentUniqueId>"
    "</x:DocumentRequest></x:RetrieveDocumentSetRequest>"
)


@dataclass(frozen=True)
class DossierAccess:
    url: str
    repository: str
    certificate: Path
    key: Path
    ca: Path


def query_for(document: str) -> str:
    """The whole SOAP request of ITI-18 GetDocuments, for a person to send."""
    body = _FIND.format(query=GET_DOCUMENTS, document=document)
    return _ENVELOPE.format(action=QUERY, id=uuid.uuid4(), body=body)


def dossier_find(access: DossierAccess, document: str) -> list[str]:
    """ITI-18 GetDocuments: entry identifiers of the registered documents of this uniqueId."""
    _, answer = _post(access, "registry", QUERY, _FIND.format(query=GET_DOCUMENTS, document=document))
    entries = re.findall(rb"<(?:\w+:)?ExtrinsicObject\b[^>]*?\bid=\"([^\"]+)\"", answer)
    return [entry.decode() for entry in entries]


def dossier_fetch(access: DossierAccess, document: str) -> bytes:
    """ITI-43: the document's bytes out of the MTOM answer."""
    kind, answer = _post(access, "repository", RETRIEVE, _FETCH.format(repository=access.repository, document=document))
    whole = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + answer, policy=email.policy.HTTP)
    parts = [part for part in whole.walk() if not part.is_multipart()]
    if len(parts) < 2:
        raise Unseen("the dossier host answered without a document")
    return bytes(parts[1].get_payload(decode=True) or b"")


def _post(access: DossierAccess, service: str, action: str, body: str) -> tuple[str, bytes]:
    envelope = _ENVELOPE.format(action=action, id=uuid.uuid4(), body=body)
    said = run(
        "curl", "-sS", "-i", "--cacert", str(access.ca), "--cert", str(access.certificate), "--key", str(access.key),
        "-H", f'Content-Type: application/soap+xml; charset=UTF-8; action="{action}"', "-H", "Expect:",
        "--data-binary", "@-", f"{access.url}/{service}", stdin=envelope.encode(),
    )  # fmt: skip
    head, _, content = said.partition(b"\r\n\r\n")
    kind = re.search(rb"(?im)^content-type:\s*(.+?)\r?$", head)
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/2 200")) or not kind:
        raise Unseen(f"the dossier host answered {head.splitlines()[0].decode('ascii', 'replace')}")
    return kind.group(1).decode("ascii"), content
