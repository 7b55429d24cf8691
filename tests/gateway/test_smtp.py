"""The SMTP doors, spoken to over real sockets and TLS: by a plain client, by smtplib and by swaks."""

from __future__ import annotations

import smtplib
import subprocess
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from relay.model import Asked, Door, Reason, Refusal

Open = Callable[..., Any]

ANNA = "anna@lilas.example"
BERT = "bert@parc.example"
PASSWORD = "correct horse"
INS = "279035121518989"
LETTER = b"From: anna@lilas.example\r\nSubject: essai\r\n\r\nBonjour.\r\n"


def plain(login: str, password: str, acting_for: str = "") -> str:
    return "AUTH PLAIN " + b64encode(f"{acting_for}\0{login}\0{password}".encode()).decode()


# --- hello and TLS --------------------------------------------------------------------------------------


def test_what_is_offered_before_and_after_tls(open_door: Open) -> None:
    """STARTTLS before, AUTH only after, and the extensions that we really serve."""
    door = open_door()
    client = door.client()
    assert client.greeting == "220 mss.lilas.example ESMTP Pli"
    before = client.say("EHLO client.example").split("\n")
    client.start_tls(door.context())
    after = client.say("EHLO client.example").split("\n")
    words = ["PIPELINING", "SIZE 36700160", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES"]
    assert [line[4:] for line in before] == ["mss.lilas.example", *words, "STARTTLS", "HELP"]
    assert [line[4:] for line in after] == ["mss.lilas.example", *words, "REQUIRETLS", "AUTH PLAIN LOGIN", "HELP"]


@pytest.mark.parametrize("command", ["MAIL FROM:<a@b.example>", plain(ANNA, PASSWORD), "DATA", "RSET", "VRFY x"])
def test_nothing_before_tls(open_door: Open, command: str) -> None:
    """RFC 3207 §4: no letter and no password in clear."""
    client = open_door().client()
    client.say("EHLO client.example")
    assert client.say(command).startswith("530-5.7.0 Ouvrez d'abord TLS")


def test_starttls_injection_is_forgotten(open_door: Open) -> None:
    """CVE-2021-38371, CVE-2024-34083 and kin: commands slipped in clear behind STARTTLS do nothing."""
    door = open_door()
    client = door.client()
    client.say("EHLO client.example")
    client.send(b"STARTTLS\r\nEHLO evil.example\r\nNOOP\r\n" + plain(ANNA, PASSWORD).encode() + b"\r\n")
    assert client.hear().startswith("220 ")
    client.wrap(door.context())
    assert client.say("MAIL FROM:<anna@lilas.example>").startswith("503-5.5.1 Commencez par EHLO")
    assert client.say("EHLO client.example").endswith("HELP")
    assert client.say("MAIL FROM:<anna@lilas.example>").startswith("530-5.7.0 Identifiez-vous")


def test_what_was_said_before_tls_does_not_count(open_door: Open) -> None:
    """RFC 3207 §4.2: the hello is said again, and TLS starts once."""
    client = open_door().secure()
    assert client.say("STARTTLS").startswith("503-5.5.1 TLS est")


def test_a_broken_handshake_ends_the_session_alone(open_door: Open) -> None:
    """Offers STARTTLS and gets garbage: that session is over, the door serves on."""
    door = open_door()
    client = door.client()
    client.say("EHLO client.example")
    client.say("STARTTLS")
    client.send(b"this is no ClientHello\r\n" * 20)
    client.end()
    assert door.logged_in().say("NOOP") == "250 2.0.0 OK"


@pytest.mark.parametrize("name", ["", "a b", "x\rReceived: y", "<script>", "a" * 256])
def test_a_hello_is_a_host_name(open_door: Open, name: str) -> None:
    """Nothing that could become a line of a trace field enters."""
    client = open_door().client()
    assert client.say(f"EHLO {name}")[:3] in ("501", "500")


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("TURN", "500-5.5.1 "),
        ("EXPN list", "502-5.5.1 "),
        ("VRFY anna@lilas.example", "252-2.7.0 "),
        ("HELP", "214 2.0.0 "),
        ("NOOP", "250 2.0.0 "),
        ("RSET", "250 2.0.0 "),
        ("RCPT TO:<bert@parc.example>", "503-5.5.1 "),
        ("DATA", "503-5.5.1 "),
        ("MAIL FROM:<é@lilas.example>", "553-5.6.7 "),
        ("NOOP " + "x" * 600, "500-5.5.6 "),
        ("QUIT", "221 2.0.0 "),
    ],
)
def test_every_reply_has_its_enhanced_code(open_door: Open, command: str, reply: str) -> None:
    """RFC 2034: also what the library's loop says by itself."""
    assert open_door().logged_in().say(command).startswith(reply)


# --- logging in -----------------------------------------------------------------------------------------


def test_login_in_two_ways(open_door: Open) -> None:
    """AUTH PLAIN and AUTH LOGIN, with the mechanism in any case; then MAIL is open."""
    door = open_door()
    assert door.secure().log_in(ANNA, PASSWORD, acting_for=ANNA).startswith("235 2.7.0 ")
    client = door.secure()
    assert client.say("auth login").startswith("334 ")
    assert client.say(b64encode(ANNA.encode()).decode()).startswith("334 ")
    assert client.say(b64encode(PASSWORD.encode()).decode()).startswith("235 2.7.0 ")
    assert client.say("MAIL FROM:<anna@lilas.example>").startswith("250 ")
    assert door.intake.senders[-1][1].account == ANNA


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (plain(ANNA, "wrong"), "535-5.7.8 "),
        (plain("nobody@lilas.example", PASSWORD), "535-5.7.8 "),
        (plain(ANNA, ""), "535-5.7.8 "),
        (plain(ANNA, PASSWORD, acting_for="bert@lilas.example"), "501-5.5.2 "),
        ("AUTH PLAIN !!!", "501-5.5.2 "),
        ("AUTH PLAIN =", "501-5.5.2 "),
        ("AUTH PLAIN /w==", "501-5.5.2 "),
        ("AUTH CRAM-MD5", "504-5.5.4 "),
        ("AUTH", "504-5.5.4 "),
    ],
)
def test_no_other_login(open_door: Open, command: str, reply: str) -> None:
    """Twin: wrong password, unknown login, someone else's name, garbage; MAIL stays shut."""
    client = open_door().secure()
    assert client.say(command).startswith(reply)
    assert client.say("MAIL FROM:<anna@lilas.example>").startswith("530-5.7.0 ")


def test_a_login_can_be_abandoned(open_door: Open) -> None:
    """RFC 4954 §4: a star ends the exchange, and so does an answer longer than any line."""
    client = open_door().secure()
    client.say("AUTH LOGIN")
    assert client.say("*").startswith("501-5.7.0 ")
    client.say("AUTH LOGIN")
    assert client.say("A" * 20_000).startswith("501-5.5.2 ")


def test_three_failures_end_the_session(open_door: Open) -> None:
    """The third wrong password is the last of this session."""
    client = open_door().secure()
    for _ in range(3):
        assert client.log_in(ANNA, "wrong").startswith("535-5.7.8 ")
    assert client.hear().startswith("421-4.7.0 ")
    assert client.hear() == ""


def test_too_many_failures_from_one_address_close_the_logins(open_door: Open) -> None:
    """After the budget of an address even the right password waits."""
    door = open_door(failures=2)
    first = door.secure()
    first.log_in(ANNA, "wrong")
    first.log_in(ANNA, "wrong")
    assert door.secure().log_in(ANNA, PASSWORD).startswith("454-4.7.0 ")


# --- a letter -------------------------------------------------------------------------------------------


def test_a_letter_by_smtplib(open_door: Open) -> None:
    """The bytes arrive as sent, dots and all; the sealed body holds the same; the 250 names the letter."""
    door = open_door()
    letter = LETTER + b".\r\n..deux\r\n" + "é".encode() * 40_000 + b"\r\n"
    with smtplib.SMTP("127.0.0.1", door.port) as client:
        client.starttls(context=door.context())
        client.login(ANNA, PASSWORD)
        assert client.sendmail(ANNA, [BERT, "Carl@parc.example"], letter, ["BODY=8BITMIME"]) == {}
    (kept, raw, body) = door.intake.letters[0]
    assert raw == letter == door.read(body)
    assert (kept.tenant, kept.door, str(kept.sender)) == ("lilas", Door.SUBMISSION, ANNA)
    assert [str(each.address) for each in kept.addressees] == [BERT, "Carl@parc.example"]
    assert kept.proof.account == ANNA
    assert kept.proof.tls.startswith("TLSv1.3 ")
    assert kept.proof.client == "127.0.0.1"


def test_a_letter_by_swaks(open_door: Open) -> None:
    """A client from Debian that is not ours, with its exit code."""
    door = open_door()
    at = ["swaks", "--server", "127.0.0.1", "--port", str(door.port), "--tls"]
    who = ["--from", ANNA, "--to", BERT, "--auth", "PLAIN", "--auth-user", ANNA]
    sent = subprocess.run([*at, *who, "--auth-password", PASSWORD], capture_output=True, timeout=60)
    refused = subprocess.run([*at, *who, "--auth-password", "x"], capture_output=True, timeout=60)
    assert (sent.returncode, refused.returncode) == (0, 28), sent.stdout
    assert len(door.intake.letters) == 1


def test_several_letters_in_one_session_pipelined(open_door: Open) -> None:
    """RFC 2920: commands behind the end of data wait their turn, none is lost."""
    door = open_door()
    client = door.logged_in()
    turn = b"MAIL FROM:<anna@lilas.example>\r\nRCPT TO:<bert@parc.example>\r\nDATA\r\n"
    client.send(turn)
    assert [client.hear()[:3] for _ in range(3)] == ["250", "250", "354"]
    client.send(LETTER + b".\r\n" + turn)
    assert [client.hear()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
    client.send(b"X: 2\r\n\r\n.\r\nQUIT\r\n")
    assert client.hear().endswith(door.intake.letters[1][0].id)
    assert client.hear().startswith("221 ")
    assert [raw for _, raw, _ in door.intake.letters] == [LETTER, b"X: 2\r\n\r\n"]


def test_replies_of_a_pipelined_envelope_come_together_and_in_their_order(open_door: Open) -> None:
    """RFC 2920 §3.2: held only while the next command has come whole; alone, each is answered at once."""
    client = open_door().logged_in()
    assert client.say("MAIL FROM:<anna@lilas.example>").startswith("250 2.1.0 ")
    client.send(b"RCPT TO:<bert@parc.example>\r\nRCPT TO:<>\r\nRCPT TO:<bert@parc.example>\r\nDA")
    assert [client.hear()[:9] for _ in range(3)] == ["250 2.1.5", "553-5.1.3", "250 2.1.5"]
    client.send(b"TA\r\n")
    assert client.hear().startswith("354 ")


def test_sender_who_never_stops_asking_is_answered(open_door: Open) -> None:
    """What is held of replies has a bound, and none is lost where the session ends between two of them."""
    client = open_door().logged_in()
    assert client.say("MAIL FROM:<anna@lilas.example>").startswith("250 ")
    client.send(b"RCPT TO:<>\r\n" * 300 + b"NOOP\n")
    heard = [client.hear() for _ in range(301)]
    assert {each[:9] for each in heard[:300]} == {"553-5.1.3"}
    assert heard[300].startswith("500-5.5.2")


def test_what_a_sender_asks_reaches_the_intake(open_door: Open) -> None:
    """RFC 3461: ENVID and RET, NOTIFY and ORCPT; a recipient who is named twice counts once."""
    door = open_door()
    client = door.logged_in()
    client.say("MAIL FROM:<anna@lilas.example> RET=hdrs ENVID=a+2Bb SIZE=99 BODY=8BITMIME AUTH=<> REQUIRETLS")
    client.say("RCPT TO:<BERT@parc.example>")
    client.say("RCPT TO:<bert@parc.example> NOTIFY=success,FAILURE ORCPT=rfc822;bert@parc.example")
    client.data(LETTER + b".\r\n")
    kept = door.intake.letters[0][0]
    assert (kept.envid, kept.return_full, kept.require_tls) == ("a+2Bb", False, True)
    (addressee,) = kept.addressees
    assert addressee.asked == Asked(frozenset({"SUCCESS", "FAILURE"}), "rfc822;bert@parc.example")


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL FROM:anna@lilas.example", "501-5.5.2 "),
        ("MAIL TO:<anna@lilas.example>", "501-5.5.2 "),
        ("MAIL FROM:<anna@lilas.example>SIZE=1", "501-5.5.2 "),
        ("MAIL FROM:<anna@lilas.example> SIZE=x", "501-5.5.4 "),
        ("MAIL FROM:<anna@lilas.example> SIZE=1 SIZE=1", "501-5.5.4 "),
        ("MAIL FROM:<anna@lilas.example> BODY=BINARYMIME", "501-5.5.4 "),
        ("MAIL FROM:<anna@lilas.example> SMTPUTF9", "555-5.5.4 "),
        ("MAIL FROM:<anna@lilas.example> REQUIRETLS=1", "501-5.5.4 "),
        ("MAIL FROM:<anna@lilas.example> ENVID=a=b", "501-5.5.4 "),
        ("MAIL FROM:<anna@lilas.example> ENVID=" + "a" * 101, "501-5.5.4 "),
        ("MAIL FROM:<anna@lilas.example> SIZE=36700161", "552-5.3.4 "),
        ("MAIL FROM:<anna>", "553-5.1.7 "),
        ("MAIL FROM:<a@b@lilas.example>", "553-5.1.7 "),
        ('MAIL FROM:<"anna"@lilas.example>', "553-5.1.7 "),
        ("MAIL FROM:<@hop.example:anna@lilas.example>", "553-5.1.7 "),
    ],
)
def test_a_mail_command_has_one_reading(open_door: Open, command: str, reply: str) -> None:
    """Malformed, repeated, unknown, too large, or an address that another hop could read differently."""
    client = open_door().logged_in()
    assert client.say(command).startswith(reply)
    assert client.say("RCPT TO:<bert@parc.example>").startswith("503-5.5.1 ")


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("RCPT TO:<>", "553-5.1.3 "),
        ("RCPT TO:<bert@parc.example>,<carl@parc.example>", "501-5.5.2 "),
        ("RCPT TO:<bert@parc.example> NOTIFY=NEVER,SUCCESS", "501-5.5.4 "),
        ("RCPT TO:<bert@parc.example> ORCPT=bert", "501-5.5.4 "),
        ("RCPT TO:<bert@parc.example> ORCPT=rfc822;" + "b" * 500, "501-5.5.4 "),
        ("RCPT TO:<bert@parc.example> RRVS=2026", "555-5.5.4 "),
    ],
)
def test_a_rcpt_command_has_one_reading(open_door: Open, command: str, reply: str) -> None:
    """The same of RCPT; then there is nobody to write to."""
    client = open_door().logged_in()
    client.say("MAIL FROM:<anna@lilas.example>")
    assert client.say(command).startswith(reply)
    assert client.say("DATA").startswith("554-5.5.1 Aucun destinataire")


def test_a_sender_is_given_once_and_rset_forgets_it(open_door: Open) -> None:
    """RFC 5321 §4.1.4: a second MAIL is out of turn until RSET."""
    client = open_door().logged_in()
    client.envelope()
    assert client.say("MAIL FROM:<anna@lilas.example>").startswith("503-5.5.1 ")
    client.say("RSET")
    assert client.say("DATA").startswith("503-5.5.1 Commencez par MAIL")
    client.envelope()


def test_recipients_are_counted(open_door: Open) -> None:
    """10,000 recipients: the surplus waits for another letter, the others are served."""
    door = open_door(max_recipients=2)
    client = door.logged_in()
    client.envelope()
    assert client.say("RCPT TO:<b2@parc.example>").startswith("250 ")
    assert client.say("RCPT TO:<b3@parc.example>").startswith("452-4.5.3 ")
    assert client.data(LETTER + b".\r\n").startswith("250 2.6.0 ")
    assert len(door.intake.letters[0][0].addressees) == 2


def test_the_intakes_refusals_are_said(open_door: Open) -> None:
    """Unknown recipient with suggestions at RCPT, sender at MAIL, loop after DATA; no body stays."""
    door = open_door()
    door.intake.recipient_refusals["x@parc.example"] = Refusal(
        Reason.UNKNOWN_RECIPIENT, True, "Bert <bert@parc.example>"
    )
    client = door.logged_in()
    client.envelope()
    told = client.say("RCPT TO:<x@parc.example>")
    assert told.startswith("550-5.1.1 Destinataire inconnu.\n550-5.1.1 Unknown recipient.\n550 5.1.1 Adresses")
    assert told.endswith("Bert <bert@parc.example>")
    door.intake.letter_refusal = Refusal(Reason.LOOP, permanent=True)
    assert client.data(LETTER + b".\r\n").startswith("554-5.4.6 ")
    door.intake.sender_refusal = Refusal(Reason.SENDER_NOT_ALLOWED, permanent=True)
    assert client.say("MAIL FROM:<zoe@lilas.example>").startswith("550-5.7.1 ")
    assert (door.intake.letters, door.stored()) == ([], [])


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Refusal(Reason.STORE_DOWN, permanent=False), "451-4.3.0 "),
        (Refusal(Reason.DISK_FULL, permanent=False), "452-4.3.1 "),
        (ZeroDivisionError("of a patient"), "451-4.3.0 "),
    ],
)
def test_our_troubles_are_temporary(open_door: Open, answer: Refusal | Exception, reply: str) -> None:
    """Store down, disk full or a surprise: the sender keeps the letter, and the session goes on."""
    door = open_door()
    client = door.logged_in()
    door.intake.letter_refusal = answer
    client.envelope()
    assert client.data(LETTER + b".\r\n").startswith(reply)
    door.intake.letter_refusal = None
    client.envelope()
    assert client.data(LETTER + b".\r\n").startswith("250 2.6.0 ")
