"""No tenant reaches another's rows: every table, every write of the spooler and every function that reads, asked by one
tenant with the ids of another. What is added later is asked too; what this page cannot ask fails it."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Boolean, Connection, Engine, LargeBinary, Table, insert, select, update

import dmp_bridge
import relay
from certs.keys import to_text
from directory.address import parse
from dmp_bridge import links, oppositions
from dmp_bridge.model import FilingReason, Flag
from gateway import app
from relay import spool, tenants
from relay.model import BodyRef, Door, DoorProof, Event, Letter, Mode, Origin, Recipient, Route, State, Verdict
from relay.policy import Level, Line
from relay.spooler import StoreRefused
from relay.store import engine, migrations
from relay.store.tables import Moment

OWNER, OTHER = "cabinet-01", "cabinet-02"
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)

NODES_TABLES: dict[str, str] = {}
"""Tables without a tenant, and why none is needed."""
NODES_WRITES = {
    "relay.claim": "takes what is due of every tenant; each letter comes with its tenant, whose service carries it",
    "relay.keep-each": "keeps each letter under the tenant that its own row names, by relay.keep, which compares both",
    "relay.overdue": "puts what is overdue of every tenant on its way, each row under its own tenant",
}
NODES_READS = {
    "relay.store.reads.is_due", "relay.store.reads.due_notices", "relay.store.reads.body_names",
    "relay.store.reads.verify",
}  # fmt: skip
"""Care of the whole node: they name no tenant, and answer nobody but the node itself."""

TABLES: dict[str, Table] = {name: table for each in app.METADATAS for name, table in each.tables.items()}

VALID: dict[tuple[str, str], Any] = {
    ("policies", "level"): Level.MAILBOX.value,
    ("policies", "key"): "encrypt",
    ("policies", "value"): "always",
    ("policies", "holder"): f"secretariat@{OWNER}.mssante.example",
    ("collectors", "state"): "failing",
    ("filings", "state"): "begun",
    ("oppositions", "flag"): "filing",
}
"""Where a column holds a word of its own."""


def _value(table: Table, name: str) -> Any:
    """A value that is nobody else's, by the column's kind."""
    if (table.name, name) in VALID:
        return VALID[table.name, name]
    kind = table.c[name].type
    if isinstance(kind, Moment):
        return NOW
    if isinstance(kind, Boolean):
        return True
    if kind.python_type in (int, float):
        return 7
    if isinstance(kind, LargeBinary):
        return b"sealed"
    if name in ("evidence", "candidates", "sides", "presented"):
        return "[]"
    return OWNER if name == "tenant" else f"of-one-{table.name}-{name}"[: getattr(kind, "length", None) or 64]


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


LETTER = Letter(
    "letter-of-one", OWNER, Door.SUBMISSION, f"secretariat@{OWNER}.mssante.example", "<of-one@t>",
    BodyRef("a" * 32, 7, "of-one-digest"), NOW, "", Verdict(), DoorProof(),
)  # fmt: skip
RECIPIENT = Recipient(
    "recipient-of-one", LETTER.id, OWNER, "labo@loin.example", Route(Mode.PEER_PLAIN, "loin.example", "of-one-rule"),
    State.QUEUED,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Engine]:
    """A row of the first tenant in every table. A writer and a reader."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'pli.sqlite'}"
    migrations.upgrade(url, app.METADATAS)
    writer = engine.writer_engine(url)
    with writer.begin() as conn:
        parts = spool.kept_parts(LETTER, [RECIPIENT], [Event("accepted", LETTER.id)])
        spool.WRITES["relay.keep"](conn, OWNER, _json(parts), NOW)
        for table in TABLES.values():
            if not conn.execute(select(table)).first():
                conn.execute(insert(table).values({name: _value(table, name) for name in _names(table)}))
    return writer, engine.reader_engine(url)


def _json(parts: Any) -> Any:
    return json.loads(json.dumps(parts))


def rows(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is the first tenant's."""
    return {
        name: [tuple(row) for row in conn.execute(select(table).where(table.c.tenant == OWNER))]
        for name, table in TABLES.items()
        if name not in NODES_TABLES
    }


def marks(conn: Connection) -> set[str]:
    """What only the first tenant's rows hold."""
    texts = {value for held in rows(conn).values() for row in held for value in row if isinstance(value, str)}
    return {each for each in texts if "of-one" in each}


# --- tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_a_tenant_and_a_row_of_one(name: str, store: tuple[Engine, Engine]) -> None:
    """The tenant is in every table, in its key but for the journal's chain; and the walk has something to lose."""
    table = TABLES[name]
    assert "tenant" in table.c, f"{name}: whose are its rows? Say in NODES_TABLES why they are nobody's"
    assert "tenant" in table.primary_key.columns or name == "journal"
    with store[1].connect() as conn:
        assert rows(conn)[name]


# --- what is asked ------------------------------------------------------------------------------------------------


def _given(conn: Connection) -> dict[str, Any]:
    """By the name of a parameter: the first tenant's."""
    ids = {name: held[0] for name, held in rows(conn).items()}
    of = {name: dict(zip(_names(TABLES[name]), row, strict=True)) for name, row in ids.items()}
    patient, filed = of["patients"]["id"], of["filings"]
    attempt = {name: value for name, value in filed.items() if name in _ATTEMPT}
    moment = NOW.isoformat()
    policy = {"delays_s": [1], "lifetime_s": 1.0, "warn_s": 1.0, "silent_s": 1.0}
    return {
        **{name: value for row in of.values() for name, value in row.items() if name != "tenant"},
        "id": filed["id"], "letter_id": LETTER.id, "recipient_id": RECIPIENT.id, "recipient_ids": [RECIPIENT.id],
        "ids": [RECIPIENT.id], "lease": "", "worker": "", "lease_s": 30.0, "limit": 9, "per_target": 9,
        "entry": of["worklist"]["id"], "link": of["patient_links"]["id"], "prior": patient, "survivor": patient,
        "patient": patient, "patient_id": patient, "patient_ids": [patient], "row_id": patient, "by": "x", "why": "x",
        "document_id": filed["document_id"], "host": filed["host"], "set_id": filed["set_id"],
        "flag": of["oppositions"]["flag"], "flags": [[of["oppositions"]["flag"], False]], "flagged_at": moment,
        "decision": "refused", "state": "failed", "since": moment, "before": moment, "attempts": [attempt],
        "entry_id": filed["entry_id"], "events": [], "letters": [], "recipients": [], "outcomes": {}, "policy": policy,
        "priors": [], "rows": [], "row": _patient(of["patients"]), "event": "A08", "ins_source": "x",
        "letter": _json(spool.kept_parts(LETTER, [RECIPIENT], []))["letter"],
        "origin": asdict(_origin(of["collected"])), "source": of["collected"]["source"], "digest": "of-two",
        "reason": "x", "detail": "x", "level": "mailbox", "holder": VALID["policies", "holder"], "key": "encrypt",
        "value": "never", "told": True, "uid_validity": 7, "message_id": LETTER.message_id, "sender": LETTER.sender,
        "recipient": RECIPIENT.address, "month": NOW.date(), "now": NOW, "at": NOW, "action": "hold",
        "line": Line(Level.MAILBOX, VALID["policies", "holder"], "encrypt", "never", "x"),
        "address": parse(LETTER.sender), "moment": NOW, "document_ids": [filed["document_id"]], "on": False,
        "made": links.Made(links.MERGE, patient, patient, "x", "x", "x"), "kind": of["patient_links"]["kind"],
        "states": [State.QUEUED], "target": "loin.example", "of": app.SEALED[0], "fault": lambda ref: "gone",
        "column": app.SEALED[0].name, "old": to_text(b"sealed"), "new": to_text(b"taken"), "names": {},
        "keys": [of["patient_links"]["key"]], "row_ids": [patient], "answers": [_answer()],
        "mailbox": of["publications"]["address"], "wishes": [[of["publications"]["address"], "x"]],
        "settled": [_settled(of["publications"])], "whose": of["patients"]["ins"],
        "said": oppositions.Said(patient, Flag(of["oppositions"]["flag"]), of["oppositions"]["source"], NOW),
    }  # fmt: skip


_ATTEMPT = ("letter_id", "document_id", "submission_id", "set_id", "version", "sha1", "size", "host")


def _answer() -> dict[str, Any]:
    """A report about the first tenant's letter."""
    told = {"ids": [LETTER.message_id], "addresses": [RECIPIENT.address], "envelope": LETTER.envid}
    return told | {"word": "read", "code": "", "event": "x"}


def _settled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"address": row["address"], "wanted": row["wanted"], "state": "refused", "reason": "x", "due": ""}


def _origin(row: Mapping[str, Any]) -> Origin:
    return Origin(row["source"], row["uid_validity"], row["uid"])


def _patient(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, str | int | bool) else "" for name, value in row.items()}


class Asked(dict[str, Any]):
    """Parameters that hold the first tenant's ids, whatever is asked for; `unknown`: what this page does not know."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self.unknown: list[str] = []

    def __missing__(self, name: str) -> Any:
        self.unknown.append(name)
        raise StoreRefused(f"this page does not know what '{name}' is")


@contextmanager
def tried(writer: Engine) -> Iterator[Connection]:
    """What is done inside is taken back."""
    with writer.connect() as conn:
        turn = conn.begin()
        try:
            yield conn
        finally:
            turn.rollback()


WRITES = sorted(set(app.WRITES) - set(NODES_WRITES))


def _written(name: str, write: Any, store: tuple[Engine, Engine]) -> list[str]:
    """What goes wrong when the second tenant asks a write with the first one's ids."""
    with tried(store[0]) as conn:
        given = _given(conn)
        before, asked, secret = rows(conn), Asked(given | _kinds(name, given)), marks(conn)
        try:
            answer = write(conn, OTHER, asked, NOW)
        except (StoreRefused, KeyError, ValueError, TypeError) as refusal:
            answer = type(refusal).__name__
        wrong = [f"say in _given what another's '{each}' would be" for each in asked.unknown]
        wrong += ["another's rows were changed"] if rows(conn) != before else []
        return wrong + _told(answer, asked, secret)


def _told(answer: Any, asked: Mapping[str, Any], secret: set[str]) -> list[str]:
    """What of the first tenant was answered and was not said by who asked."""
    said = " ".join(map(str, asked.values()))
    return sorted(mark for mark in secret if mark in str(answer) and mark not in said)


@pytest.mark.parametrize("name", WRITES)
def test_no_write_of_one_tenant_changes_anothers_rows(name: str, store: tuple[Engine, Engine]) -> None:
    """Asked by the second tenant with the first one's ids, a write is refused or is the second one's; the first one's
    rows stay as they are, and nothing of them is answered but what was said."""
    assert _written(name, app.WRITES[name], store) == []


def test_a_write_that_forgets_the_tenant_is_found(store: tuple[Engine, Engine]) -> None:
    """The twin: one that changes rows by their id alone, or answers with them, or asks for what nobody knows."""

    def forgets(conn: Connection, _tenant: str, params: Mapping[str, Any], _now: datetime) -> Any:
        held = TABLES["recipients"]
        conn.execute(update(held).where(held.c.id == params["recipient_id"]).values(reason="x"))

    def tells(conn: Connection, _tenant: str, params: Mapping[str, Any], _now: datetime) -> Any:
        return [tuple(row) for row in conn.execute(select(TABLES["worklist"]))]

    def wonders(conn: Connection, _tenant: str, params: Mapping[str, Any], _now: datetime) -> Any:
        return params["something new"]

    assert _written("", forgets, store) == ["another's rows were changed"]
    assert _written("", tells, store)
    assert _written("", wonders, store) == ["say in _given what another's 'something new' would be"]


def test_the_writes_that_are_the_nodes_exist() -> None:
    """A name that is excused and gone is a hole."""
    assert set(NODES_WRITES) <= set(app.WRITES)


def test_a_write_of_the_owner_does_change_his_rows(store: tuple[Engine, Engine]) -> None:
    """The twin: what is refused to another is done for the owner, so that the walk above asks something."""
    writer, _ = store
    for name in ("relay.hold", "policy.put", "policy.remove", "filing.end", "choice.put", "worklist.decide"):
        with tried(writer) as conn:
            before = rows(conn)
            app.WRITES[name](conn, OWNER, Asked(_given(conn)), NOW)
            assert rows(conn) != before, name


def test_letters_of_two_tenants_are_each_compared_with_their_own(store: tuple[Engine, Engine]) -> None:
    """relay.keep-each: a letter whose row names another tenant than it is kept for is refused."""
    writer, _ = store
    parts = _json(spool.kept_parts(LETTER, [RECIPIENT], []))
    with pytest.raises(StoreRefused, match="rows of another tenant"), writer.begin() as conn:
        tenants.WRITES["relay.keep-each"](conn, "", {"letters": [parts | {"tenant": OTHER}]}, NOW)


# --- what reads ---------------------------------------------------------------------------------------------------


def _readers() -> dict[str, Callable[..., Any]]:
    """Every public function, and method, of custody and the bridge that reads for a tenant."""
    found: dict[str, Callable[..., Any]] = {}
    for package in (relay, dmp_bridge):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if any(part in module.name for part in ("migrations", ".host", "__main__")):
                continue
            for name, function in vars(importlib.import_module(module.name)).items():
                if inspect.isfunction(function) and function.__module__ == module.name and name[0] != "_":
                    words = list(inspect.signature(function).parameters)
                    if words and words[0] in ("engine", "reader", "conn"):
                        found[f"{module.name}.{name}"] = function
    return found


READERS = _readers()
READS_FOR_A_TENANT = sorted(n for n, f in READERS.items() if "tenant" in inspect.signature(f).parameters)


def _read(name: str, function: Callable[..., Any], store: tuple[Engine, Engine]) -> list[str]:
    """What goes wrong when a function reads for the second tenant with the first one's ids."""
    writer, reader = store
    source, *words = inspect.signature(function).parameters.values()
    with tried(writer) as conn:
        given, before, secret = _given(conn), rows(conn), marks(conn)
        given |= _kinds(name, given)
        asked = {word.name: given[word.name] for word in words if word.name in given and word.name != "tenant"}
        unknown = [word.name for word in words if word.default is word.empty and word.name not in (*asked, "tenant")]
        if unknown:
            return [f"say in _given what another's '{each}' would be" for each in unknown]
        try:
            answer = function(conn if source.name == "conn" else reader, tenant=OTHER, **asked)
            answer = list(answer) if inspect.isgenerator(answer) else answer
        except StoreRefused as refusal:
            answer = str(refusal)
        wrong = ["another's rows were changed"] if rows(conn) != before else []
        return wrong + _told(answer, asked, secret)


@pytest.mark.parametrize("name", READS_FOR_A_TENANT)
def test_no_read_of_one_tenant_answers_with_anothers_rows(name: str, store: tuple[Engine, Engine]) -> None:
    """Asked for the second tenant with the first one's ids, nothing of the first one comes back and nothing of his is
    changed."""
    assert _read(name, READERS[name], store) == []


def test_a_read_that_forgets_the_tenant_is_found(store: tuple[Engine, Engine]) -> None:
    """The twin: one that finds rows by their id alone, or wants what nobody knows."""

    def forgets(engine: Engine, tenant: str, letter_id: str) -> Any:
        with engine.connect() as conn:
            return conn.execute(select(TABLES["recipients"]).where(TABLES["recipients"].c.letter_id == letter_id)).all()

    def wonders(engine: Engine, tenant: str, something_new: str) -> Any:
        return something_new

    assert _read("", forgets, store)
    assert _read("", wonders, store) == ["say in _given what another's 'something_new' would be"]


def _kinds(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Where a function or a write wants a value of another kind under a name that others use otherwise."""
    origin = Origin(**given["origin"])
    kinds: dict[str, dict[str, Any]] = {
        "relay.collected.known": {"origin": origin},
        "relay.collected.enter": {"origin": origin},
        "dmp_bridge.worklist.waiting_for": {"reason": FilingReason.PATIENT_UNKNOWN},
        "relay.erasure.of_mailbox": {"address": LETTER.sender},
        "relay.erasure.beside": {"address": LETTER.sender},
        "relay.forget-mailbox": {"address": LETTER.sender, "why": {"by": "x"}},
        "relay.indicators.moved": {"before": {}, "after": {"2026-01-01": {(LETTER.sender, "sent", "x"): [1, 1]}}},
        "relay.store.reads.find": {"since": NOW, "until": NOW},
        "relay.store.reads.troubled": {"since": NOW},
        "relay.bounced.addresses": {"since": NOW},
        "relay.withdrawal.take_back": {"values": {"reason": "x"}, "said": ("withdrawn", "x")},
        "relay.erase": {"why": {"by": "x"}},
        "relay.reseal": {"key": {"tenant": OWNER, "id": given["patient_id"]}},
    }
    return kinds.get(name, {})


def test_what_reads_without_a_tenant_is_the_nodes_care(store: tuple[Engine, Engine]) -> None:
    """Of the questions to the spool only those of the node's own care name no tenant."""
    asked = {name for name in READERS if name.startswith("relay.store.reads.")}
    assert asked - set(READS_FOR_A_TENANT) == NODES_READS


def test_the_owner_reads_what_is_his(store: tuple[Engine, Engine]) -> None:
    """The twin: the same questions, asked for the owner, are answered with his rows."""
    reader = store[1]
    for tenant, held in ((OWNER, True), (OTHER, False)):
        assert bool(spool.letter(reader, tenant, LETTER.id)) is held
        assert bool(spool.timeline(reader, tenant, LETTER.id)) is held
        assert bool(spool.find(reader, tenant, message_id=LETTER.message_id)) is held
        assert bool(spool.queue(reader, tenant)) is held
