"""Name servers that answer as they should not: whatever comes, a letter waits or goes on, and nothing is a surprise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.rrset
import pytest

from relay import hosts
from relay.hosts import Host, Hosts
from relay.model import Later, Never, Reason

DOMAIN = "parc.example"
Forge = Callable[[dns.message.Message], bytes]


class Liar:
    """A UDP server on loopback whose answers are made by a function."""

    def __init__(self, forge: Forge) -> None:
        self.forge = forge
        self.line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.line.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                data, client = self.line.recvfrom(4096)
                self.line.sendto(self.forge(dns.message.from_wire(data)), client)
            except OSError:  # closed
                return

    def ask(self, total_s: float = 0.4) -> hosts.Found:
        resolver = hosts.resolver([("127.0.0.1", int(self.line.getsockname()[1]))])
        return Hosts(resolver, port=2525, total_s=total_s)(DOMAIN)


@pytest.fixture
def liar() -> Iterator[Callable[[Forge], Liar]]:
    opened: list[Liar] = []

    def make(forge: Forge) -> Liar:
        opened.append(Liar(forge))
        return opened[-1]

    yield make
    for each in opened:
        each.line.close()


def answer(question: dns.message.Message, *records: str, name: str = "") -> dns.message.Message:
    """A well-formed answer; each record as 'KIND data', at the name that was asked for or another."""
    made = dns.message.make_response(question)
    for record in records:
        kind, _, data = record.partition(" ")
        made.answer.append(dns.rrset.from_text(name or question.question[0].name.to_text(), 60, "IN", kind, data))
    return made


def forged_id(question: dns.message.Message) -> bytes:
    made = answer(question, f"MX 10 mx.{DOMAIN}.")
    made.id = (question.id + 1) % 65536
    return made.to_wire()


def another_question(question: dns.message.Message) -> bytes:
    other = dns.message.make_query("autre.example.", "MX", id=question.id)
    return answer(other, "MX 10 mx.autre.example.").to_wire()


def pointer_that_loops(question: dns.message.Message) -> bytes:
    """A compressed name that points at itself (RFC 1035 §4.1.4)."""
    wire = answer(question, f"MX 10 mx.{DOMAIN}.").to_wire()
    at = len(wire) - 2
    return wire[:at] + bytes((0xC0 | at >> 8, at & 0xFF))


def truncated_for_ever(question: dns.message.Message) -> bytes:
    """TC, and nobody answers by TCP."""
    made = answer(question)
    made.flags |= dns.flags.TC
    return made.to_wire()


@pytest.mark.parametrize(
    "forge",
    [
        lambda question: b"",
        lambda question: b"\xff" * 700,
        lambda question: question.to_wire(),
        lambda question: question.to_wire()[:11],
        lambda question: answer(question, f"MX 10 mx.{DOMAIN}.").to_wire()[:-3],
        forged_id,
        another_question,
        pointer_that_loops,
        truncated_for_ever,
    ],
)
def test_what_is_no_answer_to_our_question_is_later(liar: Callable[[Forge], Liar], forge: Forge) -> None:
    """Garbage, echoes, cut and forged answers: the letter waits."""
    found = liar(forge).ask()
    assert isinstance(found, Later)
    assert found.reason == Reason.DNS_DOWN


@pytest.mark.parametrize(
    "records",
    [
        ("CNAME parc.example.",),
        ("MX 10 parc.example.",),
        ("TXT hello",),
        (r"MX 10 a\.b\000c.parc.example.",),
        ("MX 10 " + ".".join(["x" * 63] * 3) + ".",),
    ],
)
def test_a_well_formed_answer_that_leads_nowhere_ends_or_delays_the_letter(
    liar: Callable[[Forge], Liar], records: tuple[str, ...]
) -> None:
    """An alias of itself, an exchange without address, odd and long names: no host comes of them."""
    assert isinstance(liar(lambda question: answer(question, *records).to_wire()).ask(), Later | Never)


def test_a_name_that_was_not_asked_for_adds_nothing(liar: Callable[[Forge], Liar]) -> None:
    """Records of other names in an answer are not believed; the twin, of the right name, is."""

    def forge(name: str) -> Forge:
        def made(question: dns.message.Message) -> bytes:
            kind = question.question[0].rdtype.name
            records = {"MX": f"MX 10 mx.{DOMAIN}.", "A": "A 127.0.0.66"}.get(kind)
            return answer(question, *([records] if records else []), name=name).to_wire()

        return made

    assert isinstance(liar(forge("autre.example.")).ask(), Later | Never)
    assert liar(forge("")).ask(20) == (Host(f"mx.{DOMAIN}", 2525, "127.0.0.66"),)
