"""No rule, mode or policy reaches a person by its code: every one that there is, on a real letter's timeline."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dmp_bridge import courier, hosts, printed, rules, undoing
from dmp_bridge.model import Answer
from gateway import app, config, rule_sentences, timeline
from gateway.web.faces import FACES
from gateway.web.sessions import COOKIE
from gateway.web.site import Site
from relay import policy, routing, spool, warning
from relay.bounces import Bounce
from relay.couriers import peer
from relay.model import BodyRef, Door, DoorProof, Event, Letter, Mode, Recipient, Route, State, Verdict
from tests.gateway.spooling import spooler, with_pages

ROOT = Path(__file__).resolve().parent.parent.parent
ANNE, NOW = "anne@lilas.example", datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
LETTER = "01jdnzz0000000000000000001"
FILING = tuple(name for name, _ in rules.RULES)
HOSTS = (hosts.BEGUN, hosts.REPLACES, hosts.CHOSEN, hosts.DEFAULT, hosts.ONLY)
WAYS = (*(each.name for each in routing.RULES), "refused", "candidates.cda", "candidates.xdm", printed.RULE, *HOSTS)
NOTES = (
    *(courier.FILED, courier.ALREADY, courier.PROPOSED, undoing.UNDONE, printed.PROPOSED, printed.NOTHING),
    *(peer.BY_PEER, warning.AS_TEXT, warning.AS_WARNING, "peer-unsure", "changed", *(each.value for each in Bounce)),
)
NAMED = re.compile(r"""(?:by|Route)\([^\n]*, "([a-z-]+)"\)""")
CODES = {*FILING, *(each for each in WAYS if not each.isalpha()), *rule_sentences.DETAILS, *Answer}
CODES |= {*(each for each in NOTES if not each.isalpha()), *policy.CHOICES, *(each for each in Mode if "-" in each)}
"""What no person is shown. Words that are plain ones too in French or English are looked for by their place."""
PLAIN = {"yes", "no", "deletion", "disabled", "incoming", "broken", "surprise", "receipt", "sign", "encrypt"}


def _details(rule: str) -> tuple[str, ...]:
    return ("realm",) if rule == "header-valid" else ("", *rule_sentences.DETAILS)


def _events() -> Iterator[Event]:
    """One of each kind that may stand in a trail."""
    for rule in FILING:
        for answer in Answer:
            for detail in _details(rule):
                told = ": ".join(filter(None, (answer.value, detail)))
                yield Event("dossier-ruled", LETTER, f"{LETTER}-0", facts=(("host", "region"), (rule, told)))
    for mode in Mode:
        for rule in WAYS:
            yield Event("queued", LETTER, f"{LETTER}-0", facts=(("mode", mode.value), ("rule", rule)))
    for note in NOTES:
        yield Event("delivered", LETTER, f"{LETTER}-0", facts=(("note", note),))


@pytest.fixture
def settings(configure: Callable[[str], Path], tmp_path: Path) -> Iterator[config.Settings]:
    """Of a node that keeps one letter of Anne's, to which everything happened."""
    made = with_pages(configure, tmp_path, ANNE)
    with spooler(made, lambda: NOW):
        body, proof = BodyRef("0123abcd", 3, "d1"), DoorProof(account=ANNE, tls="TLSv1.3")
        letter = Letter(LETTER, "lilas", Door.SUBMISSION, ANNE, "<1@lilas>", body, NOW, "", Verdict(), proof)
        route = Route(Mode.PEER_SIGNED, "parc.example", "signed-by-default")
        row = Recipient(f"{LETTER}-0", LETTER, "lilas", "labo@parc.example", route, State.QUEUED)
        spool.keep(app.client(made), letter, [row], list(_events()))
        yield made


def _told(settings: config.Settings, language: str) -> list[str]:
    """What Anne reads of her letter, step by step."""
    site = Site(settings, FACES, lambda: NOW)
    http = TestClient(site.application(), base_url="https://testserver", follow_redirects=False)
    http.headers["accept-language"] = language
    http.cookies.set(COOKIE, site.sessions.begin(ANNE, "lilas"))
    answer = http.get(f"/lettres/{LETTER}")
    assert answer.status_code == 200
    return [unescape(each) for each in re.findall(r"<li>(\d\d:\d\d:\d\d .*?)</li>", answer.text)]


@pytest.mark.parametrize("language", ["fr", "en"])
def test_no_code_reaches_the_page(settings: config.Settings, language: str) -> None:
    """Each rule with each answer and detail, each way with each rule, each note of an outcome; each line says more than
    that something happened."""
    lines = _told(settings, language)
    assert len(lines) == len(list(_events()))
    found = {code for line in lines for code in CODES - PLAIN if re.search(rf"(?<![\w-]){code}(?![\w-])", line)}
    assert found == set()
    assert [
        line for line in lines if ":" not in line[8:] and line[9:] != timeline.sentence("delivered", language)
    ] == []


def test_every_rule_there_is_has_words() -> None:
    """No table forgets one: the filing rules, those of the way by their source, each value of policy."""
    named = {
        each for file in ("relay/routing.py", "relay/entry.py") for each in NAMED.findall((ROOT / file).read_text())
    }
    assert {"mailbox-here", "signed-by-default", "refused", "encrypt-always"} <= named
    assert (set(FILING) - rule_sentences.REFUSED.keys(), named - rule_sentences.WAYS.keys()) == (set(), set())
    assert (set(WAYS) - rule_sentences.WAYS.keys(), set(Mode) - rule_sentences.MODES.keys()) == (set(), set())
    values = {(key, value) for key, choices in policy.CHOICES.items() for value in choices}
    assert values == rule_sentences.VALUES.keys()
    assert set(policy.Level) == rule_sentences.LEVELS.keys()


def test_each_filing_rule_s_answer_is_told() -> None:
    """What was refused first, then what nobody can tell, with what they add; the others are counted."""
    facts = {
        "host": "region", "document": "2.25.1", "type-known": "no: 11502-2 CR d'examens biologiques",
        "ins-present": "yes", "schema-valid": "cannot-tell: not-installed", "not-masked": "yes",
    }  # fmt: skip
    assert rule_sentences.rulings(facts) == (
        "ce type de document n'est pas connu (peut-être 11502-2 CR d'examens biologiques); le document n'a pas été "
        "comparé aux schémas publiés (ils ne sont pas installés ici); vérifications passées : 2"
    )
    assert rule_sentences.rulings({"ins-present": "yes"}, "en") == "checks passed: 1"
    assert "dossier-ruled" not in timeline.QUIET


@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_value_of_policy_is_said_with_whose_it_is(language: str) -> None:
    """On a recipient's card."""
    mine = policy.Line(policy.Level.MAILBOX, ANNE, "towards.parc.example.encrypt", "always")
    assert (
        rule_sentences.setting(mine, language)
        == {
            "fr": f"chiffrement toujours (réglage de la boîte {ANNE})",
            "en": f"always encrypted (setting of the mailbox {ANNE})",
        }[language]
    )
