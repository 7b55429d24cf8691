"""Reports as the wild sends them: what they say of our letters, and what is no answer."""

from __future__ import annotations

import base64

import pytest

from relay.answers import ANSWERS_MOST, read
from relay.message import scan
from relay.model import Word

PAUL = "paul.durand@parc.mssante.example"
OURS = "<1@lilas.mssante.example>"
RETURNED = f"Content-Type: text/rfc822-headers\n\nSubject: x\nMessage-ID: {OURS}\n"
TEXT = "Content-Type: text/plain\n\nBonjour.\n"


def report(
    machine: str, *more: str, kind: str = "delivery-status", head: str = "", root: str = "multipart/report"
) -> bytes:
    parts = [TEXT, machine, *more]
    body = "".join(f"--b\n{part}\n" for part in parts)
    fields = f"From: <postmaster@parc.mssante.example>\nSubject: rapport\n{head}"
    text = f'{fields}Content-Type: {root}; report-type={kind}; boundary="b"\n\n{body}--b--\n'
    return text.encode().replace(b"\n", b"\r\n")


def dsn(recipient: str, kind: str = "message/delivery-status", top: str = "Reporting-MTA: dns; mx\n\n") -> str:
    return f"Content-Type: {kind}\n\n{top}{recipient}\n"


def mdn(fields: str, kind: str = "message/disposition-notification") -> str:
    return f"Content-Type: {kind}\n\nReporting-UA: poste; Logiciel 3\n{fields}\n"


FAILED = f"Final-Recipient: rfc822; {PAUL}\nAction: failed\nStatus: 5.1.1\n"
ENCODED = base64.encodebytes(f"Reporting-MTA: dns;mx\n\n{FAILED}".encode()).decode()
READ = f"Final-Recipient: rfc822;{PAUL}\nOriginal-Message-ID: {OURS}\n"
MANUAL = "manual-action/MDN-sent-manually; displayed"
AUTO = "automatic-action/MDN-sent-automatically;"

IN_BASE64 = "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n"
GLOBAL = "message/global-delivery-status"
OUTER, INNER = "Content-Type: multipart/mixed; boundary=c\n\n", "Content-Type: multipart/mixed; boundary=d\n\n"

DSNS = {
    "as postfix": report(dsn(f"{FAILED}Diagnostic-Code: smtp; 550 5.1.1 unknown\n"), RETURNED),
    "an action in capitals, with a comment": report(dsn(FAILED.replace("failed", "Failed (bounced)")), RETURNED),
    "no address type": report(dsn(FAILED.replace("rfc822; ", "")), RETURNED),
    "brackets": report(dsn(FAILED.replace(PAUL, f"<{PAUL}>")), RETURNED),
    "capitals in the type and the address": report(dsn(FAILED.replace("rfc822; paul", "RFC822;Paul")), RETURNED),
    "no empty line between the blocks": report(dsn(FAILED, top="Reporting-MTA: dns; mx\n"), RETURNED),
    "three empty lines": report(dsn(FAILED, top="\n\nReporting-MTA: dns; mx\n\n\n\n"), RETURNED),
    "in base64": report(IN_BASE64 + ENCODED, RETURNED),
    "called text": report(dsn(FAILED, "text/plain"), RETURNED),
    "of an international server": report(dsn(FAILED.replace("rfc822", "utf-8"), GLOBAL), RETURNED),
    "the whole letter returned": report(dsn(FAILED), RETURNED.replace("text/rfc822-headers", "message/rfc822")),
    "nothing returned, In-Reply-To": report(dsn(FAILED), head=f"In-Reply-To: {OURS}\n"),
    "nothing returned, References": report(dsn(FAILED), head=f"References: <0@x> {OURS}\n"),
    "in a multipart/mixed": report(dsn(FAILED), RETURNED, root="multipart/mixed"),
}  # fmt: skip


@pytest.mark.parametrize("raw", DSNS.values(), ids=DSNS.keys())
def test_a_failure_is_read_however_it_is_written(raw: bytes) -> None:
    """Of each the recipient, the letter and the status."""
    (answer,) = read(scan(raw))
    assert (answer.event, answer.word, answer.code) == ("said-undelivered", Word.UNDELIVERED, "5.1.1")
    assert [each.key for each in answer.addresses] == [PAUL]
    assert OURS in answer.message_ids


MDNS = {
    MANUAL: Word.READ,
    "displayed": Word.READ,
    f"{AUTO}displayed": Word.READ,
    f"{AUTO} processed": Word.FILED,
    f"{AUTO} PROCESSED": Word.FILED,
    f"{AUTO} processed/Error: 902^Identifiant de patient inconnu|E^Error": Word.UNFILED,
    f"{AUTO} processed/error": Word.UNFILED,
    "manual-action/MDN-sent-manually; deleted": Word.DELETED,
    f"{AUTO} dispatched": Word.ARRIVED,
    f"{AUTO} displayed (seen)": Word.READ,
}


@pytest.mark.parametrize(("disposition", "word"), MDNS.items())
def test_a_disposition_is_read_however_it_is_written(disposition: str, word: Word) -> None:
    """RFC 8098 §3.2.6, with and without modes, spaces, labels and comments; of an error its code up to the first ^."""
    raw = report(mdn(f"{READ}Disposition: {disposition}\n"), kind="disposition-notification")
    (answer,) = read(scan(raw))
    assert (answer.word, answer.message_ids) == (word, (OURS,))
    assert answer.code == ("902" if "902" in disposition else "")


def test_a_code_in_the_subject_alone() -> None:
    """payload §1.8: some bridges say 'processed' and put the failure in the subject."""
    fields = f"{READ}Disposition: {AUTO} processed\n"
    raw = report(mdn(fields)).replace(b"Subject: rapport", b"Subject: [KO Integration systeme !][904] XDM/1.0/DDM+x")
    (answer,) = read(scan(raw))
    assert (answer.word, answer.code) == (Word.UNFILED, "904")


def test_the_error_mail_of_a_bridge_that_nobody_asked() -> None:
    """payload §1.8: a plain letter with the code in its subject that encloses the original; its author is the
    recipient."""
    enclosed = f"Content-Type: message/rfc822\n\nMessage-ID: {OURS}\nSubject: XDM/1.0/DDM+x\n\nx\n"
    raw = report(enclosed, root="multipart/mixed").replace(b"<postmaster@parc", b"<labo@parc")
    raw = raw.replace(b"Subject: rapport", b"Subject: [Erreur d'integration !][902] XDM/1.0/DDM+x")
    (answer,) = read(scan(raw))
    assert (answer.word, answer.code, answer.addresses[0].local) == (Word.UNFILED, "902", "labo")
    assert answer.message_ids == (OURS,)


def test_original_and_final_recipient_both_name_him() -> None:
    """Forwarded on the other side, the address that we wrote to stands in Original-Recipient."""
    raw = report(
        dsn(FAILED.replace(PAUL, "p.d@bois.mssante.example") + f"Original-Recipient: rfc822;{PAUL}\n"), RETURNED
    )
    assert [each.domain for each in read(scan(raw))[0].addresses] == ["bois.mssante.example", "parc.mssante.example"]


def test_each_recipient_of_a_report_is_an_answer() -> None:
    """One delivered, one failed, one delayed: three answers, with the envelope that all share."""
    blocks = [f"Final-Recipient: rfc822; {n}@parc.mssante.example\nAction: {a}\n" for n, a in
              (("a", "delivered"), ("b", "failed"), ("c", "delayed"))]  # fmt: skip
    raw = report(dsn("\n".join(blocks), top="Original-Envelope-Id: env-7\nReporting-MTA: dns; mx\n\n"), RETURNED)
    found = read(scan(raw))
    assert [(each.word, each.envelope_id) for each in found] == [
        (Word.ARRIVED, "env-7"), (Word.UNDELIVERED, "env-7"), (None, "env-7"),
    ]  # fmt: skip


NOTHING = {
    "a letter": report(TEXT, root="multipart/mixed"),
    "an unknown action": report(dsn(FAILED.replace("failed", "eaten")), RETURNED),
    "a relay that will say no more": report(dsn(FAILED.replace("failed", "relayed")), RETURNED),
    "no recipient": report(dsn("Action: failed\nStatus: 5.0.0\n"), RETURNED),
    "an X.400 recipient": report(dsn(FAILED.replace("rfc822", "x400")), RETURNED),
    "two addresses in one": report(dsn(FAILED.replace(PAUL, f"{PAUL}, anne@parc.mssante.example")), RETURNED),
    "an unknown disposition": report(mdn(f"{READ}Disposition: {AUTO} denied\n")),
    "base64 that is none": report(IN_BASE64 + "???\n", RETURNED),
    "in a letter that it encloses": report(f"{OUTER}--c\n{INNER}--d\n{dsn(FAILED)}\n--d--\n--c--\n", RETURNED),
    "an empty machine part": report(dsn("", top=""), RETURNED),
    "an error mail without its original": report(TEXT, root="multipart/mixed").replace(b"rapport", b"[KO][902]"),
}  # fmt: skip


@pytest.mark.parametrize("raw", NOTHING.values(), ids=NOTHING.keys())
def test_what_is_no_answer(raw: bytes) -> None:
    """The refused twins: nothing is guessed."""
    assert read(scan(raw)) == ()


def test_a_report_of_ten_thousand_recipients_is_bounded() -> None:
    """Only so many are read, and quickly."""
    raw = report(dsn("\n".join(FAILED.replace("paul", f"p{n}") for n in range(10_000))), RETURNED)
    assert len(read(scan(raw))) == ANSWERS_MOST
