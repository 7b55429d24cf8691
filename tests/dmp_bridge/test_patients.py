"""The register: only one qualified bearer with agreeing traits is a match; and nothing in clear on the
disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs import keys
from dmp_bridge import patients, roll, tables
from dmp_bridge.model import Doubtful, FilingReason, Ins, InsStatus, Matched, Patient
from gateway.demo.sample import PATIENT
from relay.pseudonym import Pseudonyms
from relay.spooler import SpoolClient, Spooler
from relay.store import bodies
from relay.store.engine import reader_engine, writer_engine

TENANT = "tilleuls"


class Store:
    """A register on a real store: the spooler writes, a read-only connection reads."""

    def __init__(self, url: str, socket: Path) -> None:
        private = X25519PrivateKey.generate()
        self._public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._pseudonyms = Pseudonyms(b"k" * 32)
        self._client = SpoolClient(socket)
        self.register = patients.Register(
            reader_engine(url),
            self._pseudonyms,
            lambda blob: bodies.open_bytes(blob, lambda wrapped: keys.unwrap_key(private, wrapped)),
        )

    def put(self, *rows: Patient, tenant: str = TENANT) -> int:
        return patients.put(
            self._client, tenant, rows, self._pseudonyms, lambda data: bodies.seal_bytes(self._public, data)
        )


@pytest.fixture
def store(custody_url: str, tmp_path: Path, now: datetime) -> Iterator[Store]:
    engine = writer_engine(custody_url)
    spooler = Spooler(engine, tmp_path / "s", patients.WRITES, lambda: now)
    stop = threading.Event()
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    spooler.ready.wait(10)
    yield Store(custody_url, tmp_path / "s")
    stop.set()
    thread.join(10)
    engine.dispose()


@pytest.fixture
def named() -> Patient:
    """The patient as a document names him: without status and without row."""
    return replace(PATIENT, ins_status=InsStatus.UNSTATED, local_ids=(("1.2.3", "77"),))


def doubt(store: Store, patient: Patient) -> FilingReason:
    found = store.register.match(TENANT, patient)
    assert isinstance(found, Doubtful)
    return found.reason


def trait(patient: Patient, **change: Any) -> Patient:
    return replace(patient, traits=replace(patient.traits, **change))


def test_a_qualified_ins_with_agreeing_traits_matches(store: Store, named: Patient) -> None:
    """One qualified bearer and four traits that agree: a match, with the names of the traits as evidence."""
    store.put(PATIENT)
    found = store.register.match(TENANT, named)
    assert isinstance(found, Matched)
    assert dict(found.evidence) == dict.fromkeys(
        ("ins", "birth_name", "first_given_name", "birth_date", "sex", "birth_place"), "agrees"
    )
    assert store.register.find(TENANT, found.patient_id) == replace(PATIENT, id=found.patient_id)


@pytest.mark.parametrize("name", ["Pat Trois", "PAT-TROIS", "pat-troïs", "PAT’TROIS"])
def test_traits_compare_without_case_accents_and_hyphens(store: Store, named: Patient, name: str) -> None:
    """The spellings of one name agree; another name does not."""
    store.put(PATIENT)
    assert isinstance(store.register.match(TENANT, trait(named, birth_name=name)), Matched)
    assert doubt(store, trait(named, birth_name="PAT-QUATRE")) is FilingReason.INS_DIFFERS


@pytest.mark.parametrize(
    "change",
    [
        {"first_given_name": "DOMINIC"},
        {"birth_date": date(1979, 3, 29)},
        {"sex": "M"},
        {"birth_place": "63220"},
    ],
)
def test_904_a_trait_that_differs_is_no_match(store: Store, named: Patient, change: dict[str, Any]) -> None:
    """The right number with another trait waits for a person, and the evidence names the trait."""
    store.put(PATIENT)
    found = store.register.match(TENANT, trait(named, **change))
    assert isinstance(found, Doubtful)
    assert found.reason is FilingReason.INS_DIFFERS
    assert [name for name, answer in found.evidence if answer == "differs"] == list(change)
    assert len(found.candidates) == 1


def test_a_birth_place_that_is_not_stated_is_no_obstacle(store: Store, named: Patient) -> None:
    """Four traits are compulsory; the place counts only where both state it."""
    store.put(PATIENT)
    assert isinstance(store.register.match(TENANT, trait(named, birth_place="")), Matched)


def test_902_an_unknown_patient_is_no_match(store: Store, named: Patient) -> None:
    """Nobody here bears this number, though someone of that name does."""
    store.put(replace(PATIENT, ins=Ins("277076322082910", "1.2.250.1.213.1.4.10")))
    assert doubt(store, named) is FilingReason.PATIENT_UNKNOWN


def test_903_without_ins_nothing_matches(store: Store, named: Patient) -> None:
    """Traits alone, however equal, and a local identifier alone, match nobody."""
    store.put(PATIENT)
    assert doubt(store, replace(named, ins=None, local_ids=PATIENT.local_ids)) is FilingReason.INS_ABSENT


@pytest.mark.parametrize("name", ["birth_name", "first_given_name", "sex"])
def test_905_an_incomplete_identity_is_no_match(store: Store, named: Patient, name: str) -> None:
    """A missing trait, or a wrong key, is said before anyone is looked for."""
    store.put(PATIENT)
    assert doubt(store, trait(named, **{name: ""})) is FilingReason.INS_INCOMPLETE
    assert doubt(store, trait(named, birth_date=None)) is FilingReason.INS_INCOMPLETE
    wrong_key = replace(named, ins=Ins("279035121518988", "1.2.250.1.213.1.4.10"))
    assert doubt(store, wrong_key) is FilingReason.INS_INCOMPLETE


def test_two_bearers_are_no_match(store: Store, named: Patient) -> None:
    """A double in the register: both are candidates, neither is taken."""
    store.put(PATIENT, replace(PATIENT, local_ids=(("2.25.1", "other"),)))
    found = store.register.match(TENANT, named)
    assert isinstance(found, Doubtful)
    assert found.reason is FilingReason.PATIENT_NOT_UNIQUE
    assert len(found.candidates) == 2


@pytest.mark.parametrize("status", [each for each in InsStatus if each is not InsStatus.QUALIFIED])
def test_an_unqualified_identity_is_no_match(store: Store, named: Patient, status: InsStatus) -> None:
    """Validated is not qualified, and a status that no one stated is not either."""
    store.put(replace(PATIENT, ins_status=status))
    assert doubt(store, named) is FilingReason.INS_NOT_QUALIFIED


def test_a_number_under_another_root_is_no_match(store: Store, named: Patient) -> None:
    """A test identity and a real one may share a number, and are two people."""
    store.put(PATIENT)
    real = replace(named, ins=Ins("279035121518989", "1.2.250.1.213.1.4.8"))
    assert doubt(store, real) is FilingReason.INS_DIFFERS


def test_another_tenants_patient_is_unknown(store: Store, named: Patient) -> None:
    """A register is its tenant's."""
    store.put(PATIENT, tenant="autre")
    assert doubt(store, named) is FilingReason.PATIENT_UNKNOWN
    assert isinstance(store.register.match("autre", named), Matched)


def test_importing_again_replaces(store: Store, named: Patient) -> None:
    """The same local identifier is the same row: a corrected status is the status, not a second patient."""
    store.put(replace(PATIENT, ins_status=InsStatus.VALIDATED))
    assert doubt(store, named) is FilingReason.INS_NOT_QUALIFIED
    assert store.put(PATIENT) == 1
    assert isinstance(store.register.match(TENANT, named), Matched)


def test_nothing_in_clear_is_on_the_disk(store: Store, custody_url: str, tmp_path: Path) -> None:
    """Neither matricule nor name nor local number is in any file of the store, or any row of the database."""
    store.put(PATIENT)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    if custody_url.startswith("postgresql"):
        written = _rows(custody_url)
    assert len(written) > 200
    for secret in (b"279035121518989", b"2790351215189", b"PAT-TROIS", b"DOMINIQUE", b"IPP-000372", b"1979"):
        assert secret not in written


def _rows(url: str) -> bytes:
    engine = reader_engine(url)
    with engine.connect() as conn:
        rows = [row for table in tables.metadata.sorted_tables for row in conn.execute(table.select())]
    engine.dispose()
    return b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)


# --- the roll -----------------------------------------------------------------------------------------------

HEADER = "ipp;matricule;oid;statut;nom_naissance;premier_prenom;prenoms;date_naissance;sexe;lieu_naissance\n"
LINE = (
    "372;279035121518989;1.2.250.1.213.1.4.10;qualifiée;PAT-TROIS;DOMINIQUE;DOMINIQUE MARIE-LOUISE;28/03/1979;F;51215\n"
)


def test_a_roll_is_read(store: Store, named: Patient) -> None:
    """A file with named columns, in either separator and with a byte order mark, gives patients that
    match."""
    for text in (HEADER + LINE, (HEADER + LINE).replace(";", ",")):
        read = roll.load_csv(b"\xef\xbb\xbf" + text.encode(), "1.2.3")
        assert read.errors == ()
        (patient,) = read.patients
        assert patient == replace(PATIENT, local_ids=(("1.2.3", "372"),))
    store.put(*read.patients)
    assert isinstance(store.register.match(TENANT, named), Matched)


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("qualifiée", "sûre", "statut"),
        ("279035121518989", "279035121518988", "matricule"),
        ("279035121518989", "", "statut"),
        ("1.2.250.1.213.1.4.10", "1.2.3", "oid"),
        ("28/03/1979", "31/02/1979", "date_naissance"),
        ("28/03/1979", "", "statut"),
        (";F;", ";X;", "sexe"),
        ("372;", ";", "ipp"),
        ("51215", "51215;en;trop", "ligne"),
    ],
)
def test_a_wrong_line_is_named_and_never_quoted(old: str, new: str, column: str) -> None:
    """The error says line and column, in French, and holds no value of the line."""
    read = roll.load_csv((HEADER + LINE.replace(old, new)).encode(), "1.2.3")
    (error,) = read.errors
    assert (error.line, error.column, read.patients) == (2, column, ())
    assert not any(value in str(error) for value in ("PAT-TROIS", "27903", "DOMINIQUE", "1979"))
    assert str(error).startswith("ligne 2, ")


def test_the_good_lines_of_a_file_are_kept_apart_from_the_bad() -> None:
    """One bad line does not hide the others; a local number used twice is an error."""
    second = LINE.replace("372", "373", 1)
    read = roll.load_csv((HEADER + LINE + LINE + second).encode(), "1.2.3")
    assert [error.line for error in read.errors] == [3]
    assert len(read.patients) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("é".encode("latin-1"), "UTF-8"),
        (b"", "colonne absente"),
        (b"ipp;matricule\n1;2\n", "colonne absente"),
        ((HEADER + '1;"').encode(), "illisible"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_words(data: bytes, words: str) -> None:
    """Encoding, columns, quotes: said plainly."""
    read = roll.load_csv(data, "1.2.3")
    assert read.patients == ()
    assert words in str(read.errors[0])
