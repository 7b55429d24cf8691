"""Every reply of the product, provoked: those that a door gives, at a real door over a real socket; the others, which
never reach a door, by the test that shows them."""

from __future__ import annotations

import ast
import json
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dmp_bridge.model import FilingReason
from gateway.cli import pli
from gateway.doors import replies, turns
from gateway.doors.replies import FILINGS, REASONS
from gateway.doors.turns import TURNS, Turn
from relay.model import Reason, Refusal
from tests.gateway.provoking import (
    ANNA,
    BERT,
    CLOSED,
    DECLINES,
    LETTER,
    MAIL,
    PASSWORD,
    PATIENT,
    RCPT,
    SMALL,
    TWO_AUTHORS,
    ZOE,
    Elsewhere,
    Provoke,
    Scene,
    before_login,
    before_tls,
    chunk,
    closing,
    failing,
    from_peer,
    full_house,
    infected,
    letter,
    letters_too_often,
    no_hello,
    no_provider,
    no_relay,
    patients_space,
    policy,
    raw,
    repeated,
    says,
    slow,
    stale,
    surprise,
    taken,
    tls_go,
    to,
    too_many_recipients,
    unsure_application,
    without_clamd,
    without_directory,
    without_revocation,
    without_store,
)

ROOT = Path(__file__).resolve().parent.parent.parent
CIRCLES = b"Received: by x.example; Wed, 25 Nov 2026 09:30:00 +0000\r\n" * 60 + LETTER
COURIER = "of the way out: it delays a letter that we have"
BRIDGE = "of the dossier: the letter was taken, the document is not filed"

GIVEN: dict[Reason | Turn | FilingReason, Provoke | Elsewhere] = {
    # at RCPT
    Reason.UNKNOWN_RECIPIENT: to("personne@lilas.example"),
    Reason.RECIPIENT_SYNTAX: to(""),
    Reason.RECIPIENT_CLOSED: to(CLOSED),
    Reason.NOT_LISTED: to("x@ailleurs.example"),
    Reason.NO_RELAY: no_relay,
    Reason.TOO_MANY_RECIPIENTS: too_many_recipients,
    Reason.DIRECTORY_DOWN: without_directory,
    Reason.PATIENT_NOT_QUALIFIED: to(PATIENT, white_list=patients_space, qualified=lambda patient: False),
    # at MAIL
    Reason.TLS_REQUIRED: before_tls("EHLO client.example", MAIL),
    Reason.AUTH_REQUIRED: before_login(MAIL),
    Reason.AUTH_FAILED: before_login("AUTH PLAIN " + b64encode(b"\0a@lilas.example\0x").decode()),
    Reason.SENDER_SYNTAX: says("MAIL FROM:<anna>"),
    Reason.SENDER_NOT_ALLOWED: lambda scene: scene.ours().say(f"MAIL FROM:<{ZOE}>"),
    Reason.PEER_NO_CERTIFICATE: from_peer(BERT, shown=""),
    Reason.PEER_UNTRUSTED: from_peer(BERT, shown="revoked"),
    Reason.PEER_CANNOT_TELL: without_revocation,
    Reason.PEER_NOT_LISTED: from_peer(ANNA),
    Reason.WHITE_LIST_STALE: stale,
    Reason.TOO_LARGE: says("MAIL FROM:<anna@lilas.example> SIZE=99999999"),
    # after DATA
    Reason.TOO_LARGE_FOR_ROUTE: letter(recipient=SMALL),
    Reason.OPPOSED: letter(opposed=lambda message, addressee: True),
    Reason.NO_CERTIFICATE: letter(book=policy(encrypt="always")),
    Reason.ENCRYPTION_NOT_TAKEN: letter(recipient=DECLINES, book=policy(encrypt="always")),
    Reason.FROM_AMBIGUOUS: letter(TWO_AUTHORS),
    Reason.FROM_NOT_ALLOWED: letter(LETTER.replace(ANNA.encode(), ZOE.encode())),
    Reason.BARE_LINE_END: letter(LETTER + b"a\nb\r\n"),
    Reason.MALFORMED: letter(LETTER + b"a\0b\r\n"),
    Reason.LOOP: letter(CIRCLES),
    Reason.INFECTED: infected,
    Reason.SCAN_UNABLE: without_clamd,
    Reason.STORE_DOWN: without_store,
    Reason.SURPRISE: surprise,
    Reason.DISK_FULL: Elsewhere(
        "a door gives it; it needs a disk that is full, which only root can make",
        "tests/journeys/test_custody.py::test_a_full_disk_is_told_and_nothing_is_taken",
    ),
    # never at a door
    Reason.KEEPER_DOWN: Elsewhere(COURIER, "tests/relay/test_carrier.py::test_our_own_parts_down_is_later"),
    Reason.NO_KEY: Elsewhere(
        COURIER, "tests/relay/test_peer.py::test_without_a_key_the_letter_waits_and_a_notice_goes_unsigned"
    ),
    Reason.PEER_UNREACHABLE: Elsewhere(
        COURIER, "tests/relay/test_peer_replies.py::test_nobody_there_is_later_and_the_next_host_is_tried"
    ),
    **dict.fromkeys(
        (Reason.DNS_DOWN, Reason.DOMAIN_UNKNOWN, Reason.DOMAIN_NO_MAIL, Reason.DOMAIN_NO_HOST, Reason.DOMAIN_LOOPS),
        Elsewhere(COURIER, "tests/relay/test_hosts.py::test_each_answer_of_the_name_server_has_its_meaning"),
    ),
    Reason.PEER_REFUSED_TLS: Elsewhere(
        COURIER, "tests/relay/test_peer_handshakes.py::test_a_failed_handshake_is_one_line_with_its_case"
    ),
    Reason.PEER_REFUSED: Elsewhere(
        COURIER, "tests/journeys/test_postfix.py::test_postfix_refuses_a_certificate_that_it_does_not_know"
    ),
    Reason.PEER_DELAYED: Elsewhere(COURIER, "tests/relay/test_peer_replies.py::test_a_reply_decides_by_its_class"),
    Reason.PEER_NO_8BIT: Elsewhere(
        COURIER, "tests/relay/test_peer_replies.py::test_eight_bit_needs_a_peer_that_takes_it"
    ),
    Reason.UTF8_NOT_ASKED: says("MAIL FROM:<é@lilas.example>"),
    Reason.PEER_NO_SMTPUTF8: Elsewhere(COURIER, "tests/relay/test_international.py::test_a_peer_without_smtputf8"),
    Reason.PEER_NO_REQUIRETLS: Elsewhere(
        COURIER, "tests/relay/test_peer_replies.py::test_tls_is_asked_of_each_further_hop_only_where_it_is_promised"
    ),
    Reason.NO_ROUTE: Elsewhere(COURIER, "tests/relay/test_carrier.py::test_mode_without_courier_waits"),
    Reason.MAILBOX_REFUSED: Elsewhere(COURIER, "tests/relay/test_mailbox.py::test_each_recipient_has_its_own_reply"),
    Reason.MAILBOX_DELAYED: Elsewhere(COURIER, "tests/relay/test_mailbox.py::test_no_server_is_later"),
    Reason.EXPIRED: Elsewhere(COURIER, "tests/relay/test_spool.py::test_given_up_after_the_lifetime"),
    Reason.WITHDRAWN: Elsewhere(
        "of a page: its author did it", "tests/relay/test_withdrawal.py::test_an_author_takes_back_what_waits"
    ),
    Reason.COLLECTOR_LOST: Elsewhere(
        "of the collector: we are the client there",
        "tests/journeys/test_collector.py::test_a_mailbox_that_cannot_be_reached_is_said",
    ),
    Reason.COLLECTOR_DENIED: Elsewhere(
        "of the collector: we are the client there",
        "tests/journeys/test_collector.py::test_a_mailbox_that_cannot_be_reached_is_said",
    ),
    FilingReason.OPPOSED: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_oppositions.py::test_the_rules_hold_back_what_is_opposed"
    ),
    FilingReason.SIGNATURE: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_rules.py::test_a_signature_that_does_not_hold_holds_back"
    ),
    FilingReason.HOST_FORBIDS: Elsewhere(BRIDGE, "tests/dmp_bridge/test_rules.py::test_a_host_s_profile_has_its_say"),
    FilingReason.PRINTED: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_printed.py::test_a_printed_identity_is_put_before_a_person"
    ),
    FilingReason.NO_DOSSIER: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_national.py::test_a_dossier_that_is_closed_or_absent_is_not_fed"
    ),
    FilingReason.DOSSIER_CLOSED: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_national.py::test_a_dossier_that_is_closed_or_absent_is_not_fed"
    ),
    FilingReason.NOT_A_DOCUMENT: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_courier.py::test_a_letter_without_a_document_is_never_filed"
    ),
    FilingReason.ARCHIVE_REFUSED: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_candidates.py::test_a_broken_archive_is_found_and_then_refused"
    ),
    FilingReason.DOCUMENT_REFUSED: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_cda.py::test_a_broken_header_is_refused_by_name"
    ),
    FilingReason.TYPE_UNKNOWN: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_dmp.py::test_a_type_without_class_is_never_sent"
    ),
    FilingReason.PATIENT_UNKNOWN: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_courier.py::test_an_unknown_patient_of_the_host_is_never"
    ),
    FilingReason.INS_ABSENT: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_patients.py::test_903_without_ins_nothing_matches"
    ),
    FilingReason.INS_DIFFERS: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_patients.py::test_904_a_trait_that_differs_is_no_match"
    ),
    FilingReason.INS_INCOMPLETE: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_patients.py::test_905_an_incomplete_identity_is_no_match"
    ),
    FilingReason.INS_NOT_QUALIFIED: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_courier.py::test_a_patient_who_is_not_qualified_is_not_filed"
    ),
    FilingReason.PATIENT_NOT_UNIQUE: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_patients.py::test_two_bearers_are_no_match"
    ),
    FilingReason.NOT_OURS: Elsewhere(BRIDGE, "tests/dmp_bridge/test_rules.py::test_only_documents_of_ours_are_filed"),
    FilingReason.MASKED: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_rules.py::test_a_document_that_breaks_a_rule_is_held_back"
    ),
    FilingReason.OLD_VERSION: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_courier.py::test_a_new_version_replaces_the_old_one"
    ),
    FilingReason.RULE_CANNOT_TELL: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_rules.py::test_a_no_comes_before_a_cannot_tell"
    ),
    FilingReason.HOST_DOWN: Elsewhere(BRIDGE, "tests/dmp_bridge/test_dmp.py::test_a_host_that_is_down_is_later"),
    FilingReason.HOST_REFUSED: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_dmp.py::test_a_second_submission_is_a_duplicate"
    ),
    FilingReason.HOST_WRONG: Elsewhere(BRIDGE, "tests/dmp_bridge/test_courier.py::test_a_host_that_lies_is_found_out"),
    FilingReason.NOT_IN_DOSSIER: Elsewhere(
        BRIDGE, "tests/dmp_bridge/test_courier.py::test_what_replaces_something_absent_is_not_filed"
    ),
    # turns of the conversation
    Turn.BUSY: full_house,
    Turn.HELLO_FIRST: no_hello,
    Turn.HELLO_SYNTAX: before_tls("EHLO <script>"),
    Turn.TLS_GO: tls_go,
    Turn.TLS_FAILED: Elsewhere(
        "said into a connection that has no TLS and no other end any more",
        "tests/gateway/test_smtp.py::test_a_broken_handshake_ends_the_session_alone",
    ),
    Turn.TLS_ALREADY: says("STARTTLS"),
    Turn.AUTH_DONE: lambda scene: scene.open_door().secure().log_in(ANNA, PASSWORD),
    Turn.AUTH_ALREADY: says("AUTH PLAIN"),
    Turn.AUTH_UNKNOWN: before_login("AUTH CRAM-MD5"),
    Turn.AUTH_ABORTED: before_login("AUTH LOGIN", "*"),
    Turn.AUTH_SYNTAX: before_login("AUTH PLAIN !!!"),
    Turn.AUTH_LATER: no_provider,
    Turn.AUTH_UNSURE: unsure_application,
    Turn.AUTH_PUT_OFF: failing(2, guesses=2, failures=100),
    Turn.AUTH_TOO_OFTEN: failing(2, failures=2),
    Turn.AUTH_GOODBYE: failing(1, logins=1),
    Turn.SENDER_DONE: says(MAIL),
    Turn.RECIPIENT_DONE: says(MAIL, RCPT),
    Turn.DATA_GO: says(MAIL, RCPT, "DATA"),
    Turn.LETTER_KEPT: taken,
    Turn.CHUNK_TAKEN: chunk(LETTER),
    Turn.CHUNKS_BEGUN: chunk(LETTER, "DATA"),
    Turn.NOTHING_DONE: says("NOOP"),
    Turn.WILL_NOT_SAY: says(f"VRFY {BERT}"),
    Turn.HELP: says("HELP"),
    Turn.GOODBYE: says("QUIT"),
    Turn.SYNTAX: says("MAIL FROM:anna@lilas.example"),
    Turn.UNKNOWN_COMMAND: says("TURN"),
    Turn.TOO_MANY_UNKNOWN: repeated("TURN", 30),
    Turn.TOO_OFTEN: repeated("VRFY x", 110),
    Turn.LETTERS_TOO_OFTEN: letters_too_often,
    Turn.NOT_HERE: says("EXPN list"),
    Turn.LINE_TOO_LONG: says("NOOP " + "x" * 600),
    Turn.LINE_END: raw(b"NOOP\n"),
    Turn.MAIL_FIRST: says(RCPT),
    Turn.MAIL_ALREADY: says(MAIL, MAIL),
    Turn.NO_RECIPIENT: says(MAIL, "DATA"),
    Turn.PARAMETER_SYNTAX: says(f"{MAIL} SIZE=x"),
    Turn.PARAMETER_UNKNOWN: says(f"{MAIL} XTRA=1"),
    Turn.SLOW: slow,
    Turn.CLOSING: closing,
}

HEARD = {name: how for name, how in GIVEN.items() if not isinstance(how, Elsewhere)}
SHOWN = {name: how for name, how in GIVEN.items() if isinstance(how, Elsewhere)}


def lines_of(name: Reason | Turn | FilingReason) -> list[str]:
    """The row's sentences as they go over the wire, whatever follows them."""
    if isinstance(name, Turn):
        said = turns.said(name)
    else:
        said = replies.refusal(Refusal(name, permanent=replies.of(name).code >= 500))
    return [f"{line[:3]} {line[4:]}" for line in said.split("\r\n")]


@pytest.mark.parametrize("name", HEARD, ids=lambda name: f"{type(name).__name__}.{name.name}")
def test_what_a_door_answers_is_its_row(
    request: pytest.FixtureRequest, open_door: Callable[..., Any], trust_space: Any, tmp_path: Path, name: Reason | Turn
) -> None:
    """Provoked over a socket, each reply is the table's: code, enhanced code, French, then English."""
    heard = HEARD[name](Scene(request, open_door, trust_space, tmp_path))
    said = [f"{line[:3]} {line[4:]}" for line in heard.split("\n")]
    wanted = lines_of(name)
    if name is Turn.LETTER_KEPT:
        assert said[0].startswith(wanted[0])
    else:
        assert said[: len(wanted)] == wanted


def test_every_reply_has_its_row_here() -> None:
    """A new reason or turn is provoked, or named with the test that shows it, or this fails."""
    assert [name for name in (*Reason, *FilingReason, *Turn) if name not in GIVEN] == []


@pytest.mark.parametrize("shown", sorted({each.test for each in SHOWN.values()}))
def test_what_is_shown_elsewhere_is_there(shown: str) -> None:
    """The test that a row points to exists."""
    file, _, name = shown.partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_a_row_that_points_nowhere_is_missed() -> None:
    """The twin: a test that was renamed is found out."""
    with pytest.raises(AssertionError):
        test_what_is_shown_elsewhere_is_there("tests/gateway/test_smtp.py::test_no_such_thing")


# --- pli help replies -----------------------------------------------------------------------------------------


def printed(*options: str) -> list[dict[str, Any]]:
    answer = CliRunner().invoke(pli, ["help", "replies", "--json", *options])
    assert answer.exit_code == 0
    return [json.loads(line) for line in answer.output.splitlines()]


def test_pli_help_replies_prints_the_table() -> None:
    """Every row as it stands, in both languages, without a node or a configuration."""
    table = {
        **{("reason", name.value): reply for name, reply in REASONS.items()},
        **{("filing", name.value): reply for name, reply in FILINGS.items()},
        **{("turn", name.value): reply for name, reply in TURNS.items()},
    }
    rows = {(row["kind"], row["name"]): row for row in printed("--all")}
    assert list(rows) == list(table)
    for name, reply in table.items():
        told = rows[name]
        assert (told["code"], told["enhanced"], told["french"]) == (reply.code, reply.enhanced, reply.french)
        assert told["english"] == (reply.english or reply.french)


def test_without_all_it_prints_refusals_only() -> None:
    """Whatever says yes is left out, and every refusal is in."""
    shown = printed()
    assert {row["code"] // 100 for row in shown} == {4, 5}
    refusing = [reply for reply in (*REASONS.values(), *FILINGS.values(), *TURNS.values()) if reply.code >= 400]
    assert len(shown) == len(refusing)


def test_it_speaks_two_languages_on_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """French unless asked otherwise, names whole."""
    monkeypatch.setattr("gateway.command.out.width", 160)
    run = partial(CliRunner().invoke, pli)
    french, english = run(["help", "replies"]).output, run(["help", "replies", "--lang", "en"]).output
    assert "Destinataire inconnu." in french
    assert "Unknown recipient." in english
    assert "recipient.domain-not-listed" in french
