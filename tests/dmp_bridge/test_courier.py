"""The courier, over real TLS to a real host: one document whatever breaks, and a host that lies is found out."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from dmp_bridge import cda, filings
from dmp_bridge.courier import worst
from dmp_bridge.hosts import Hosts
from dmp_bridge.model import Document, FilingReason, FilingState, InsStatus
from gateway.demo import sample
from relay.model import Done, Door, Later, Mode, Never

TENANT = "tilleuls"


@pytest.fixture
def second(report_pdf: bytes, now: datetime) -> Document:
    """Another document of the same patient."""
    read = cda.read(sample.report_cda(now, report_pdf, serial=2))
    assert isinstance(read, Document)
    return read


def stored(bridge: Any, url: str, *documents: Document) -> bool:
    """Whether the host holds exactly these, once each, with equal SHA-256."""
    client = bridge.client(url)
    held = client.find([each.unique_id for each in documents])
    assert isinstance(held, tuple)
    fetched = [client.fetch(each.unique_id) for each in documents]
    digests = [hashlib.sha256(each).digest() for each in fetched if isinstance(each, bytes)]
    expected = [hashlib.sha256(each.raw).digest() for each in documents]
    return len(held) == len(documents) and digests == expected


# --- filing --------------------------------------------------------------------------------------------


def test_a_letter_s_documents_are_filed(
    bridge: Any, dossier_host: Callable[..., str], report: Document, second: Document
) -> None:
    """Two documents of one letter are filed in one lot, checked, and recorded without a trait of the patient."""
    url = dossier_host()
    assert bridge.deliver(url, bridge.mail(report, second)) == Done(report.unique_id, "filed")
    assert stored(bridge, url, report, second)
    assert bridge.rows(report) == bridge.rows(second) == [FilingState.FILED]
    assert bridge.events().count("dossier-filed") == 2
    assert bridge.waiting() == []
    for trait in ("279035121518989", "PAT-TROIS", "DOMINIQUE"):
        assert trait not in bridge.written()


def test_a_host_that_is_down_then_up_holds_one_document(bridge: Any, dossier_host: Any, report: Document) -> None:
    """Down is Later, with the attempt on the disk; up again, the document is filed once."""
    url = dossier_host()
    port = int(url.rpartition(":")[2])
    dossier_host.stop()
    down = bridge.deliver(url, bridge.mail(report))
    assert isinstance(down, Later)
    assert down.reason == FilingReason.HOST_DOWN
    assert bridge.rows(report) == [FilingState.BEGUN]
    assert dossier_host(port=port) == url
    assert bridge.deliver(url, bridge.mail(report), attempt=2) == Done(report.unique_id, "filed")
    assert stored(bridge, url, report)
    assert bridge.rows(report) == [FilingState.FILED]


class CutProxy:
    """Passes a connection on, and cuts it once the host has stored and begins to answer (`cuts` times)."""

    def __init__(self, port: int, cuts: int) -> None:
        self._port, self._cuts = port, cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            sent = [0]
            threading.Thread(target=self._up, args=(near, far, sent), daemon=True).start()
            threading.Thread(target=self._down, args=(far, near, sent), daemon=True).start()

    @staticmethod
    def _up(near: socket.socket, far: socket.socket, sent: list[int]) -> None:
        try:
            while data := near.recv(65536):
                sent[0] += len(data)
                far.sendall(data)
        except OSError:
            pass
        far.close()

    def _down(self, far: socket.socket, near: socket.socket, sent: list[int]) -> None:
        try:
            while data := far.recv(65536):
                # More than a handshake went up: this is the answer to the lot.
                if sent[0] > 40_000 and self._cuts > 0:
                    self._cuts -= 1
                    break
                near.sendall(data)
        except OSError:
            pass
        near.close()
        far.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def large(report_pdf: bytes, now: datetime) -> Document:
    """A document that is larger than any handshake."""
    read = cda.read(sample.report_cda(now, report_pdf + b"\n%" + b"x" * 60_000))
    assert isinstance(read, Document)
    return read


def test_a_connection_lost_after_the_host_stored_gives_one_document(
    bridge: Any, dossier_host: Callable[..., str], large: Document
) -> None:
    """The answer is lost: Later; tried again, the host's document is recognised as ours and filed once."""
    url = dossier_host()
    proxy = CutProxy(int(url.rpartition(":")[2]), cuts=1)
    through = f"https://127.0.0.1:{proxy.port}"
    lost = bridge.deliver(through, bridge.mail(large))
    assert isinstance(lost, Later)
    assert lost.reason == FilingReason.HOST_DOWN
    assert not lost.whole  # it was reached: other letters are not kept waiting for this one's silence
    assert stored(bridge, url, large)
    assert bridge.deliver(through, bridge.mail(large), attempt=2) == Done(large.unique_id, "filed")
    assert stored(bridge, url, large)
    assert bridge.rows(large) == [FilingState.FILED]
    proxy.close()


def test_the_same_document_in_another_letter_is_there_already(
    bridge: Any, dossier_host: Callable[..., str], report: Document, second: Document
) -> None:
    """What we filed for one letter is not filed again for another; what is new beside it is."""
    url = dossier_host()
    bridge.deliver(url, bridge.mail(report))
    again = bridge.deliver(url, bridge.mail(report), letter_id="02" * 13)
    assert again == Done(report.unique_id, "already-in-dossier")
    both = bridge.deliver(url, bridge.mail(report, second), letter_id="03" * 13)
    assert both == Done(second.unique_id, "filed")
    assert stored(bridge, url, report, second)


def test_already_there_without_an_attempt_of_ours_is_not_done(
    bridge: Any, dossier_host: Callable[..., str], report: Document, second: Document, lot: Any
) -> None:
    """A document that somebody else put there is refused and put before a person; the other one is filed."""
    url = dossier_host()
    assert report.patient.ins is not None
    assert isinstance(bridge.client(url).submit([report], lot, report.patient.ins), Done)
    outcome = bridge.deliver(url, bridge.mail(report, second))
    assert outcome == Never(FilingReason.HOST_REFUSED, "XDSDuplicateUniqueIdInRegistry")
    assert bridge.rows(report) == [FilingState.FAILED]
    assert bridge.rows(second) == [FilingState.FILED]
    assert bridge.waiting() == [FilingReason.HOST_REFUSED]


def test_a_host_that_cannot_be_read_is_believed(
    bridge: Any, dossier_host: Callable[..., str], report: Document
) -> None:
    """Where the profile says that a host refuses reading, its success, and its duplicate of ours, count."""
    url = dossier_host()
    blind = {"reads": False}
    assert bridge.deliver(url, bridge.mail(report), profile=blind) == Done(report.unique_id, "filed")
    again = bridge.deliver(url, bridge.mail(report), profile=blind, letter_id="02" * 13)
    assert again == Done(report.unique_id, "already-in-dossier")


def test_a_new_version_replaces_the_old_one(
    bridge: Any, dossier_host: Callable[..., str], report: Document, report_pdf: bytes, now: datetime
) -> None:
    """RPLC finds the old entry by itself; the old version, sent late, is refused by the version rule."""
    url = dossier_host()
    bridge.deliver(url, bridge.mail(report))
    newer = with_version(report, 2)
    assert bridge.deliver(url, bridge.mail(newer), letter_id="02" * 13) == Done(newer.unique_id, "filed")
    held = bridge.client(url).find([report.unique_id, newer.unique_id])
    assert isinstance(held, tuple)
    approved = {each.unique_id: each.approved for each in held}
    assert approved == {report.unique_id: False, newer.unique_id: True}
    late = with_version(report, 1, suffix="9")
    outcome = bridge.deliver(url, bridge.mail(late), letter_id="03" * 13)
    assert outcome == Never(FilingReason.OLD_VERSION, "latest-version")


def test_what_replaces_something_absent_is_not_filed(
    bridge: Any, dossier_host: Callable[..., str], report: Document
) -> None:
    """A version that replaces what the dossier does not hold waits for a person."""
    outcome = bridge.deliver(dossier_host(), bridge.mail(with_version(report, 2)))
    assert outcome == Never(FilingReason.NOT_IN_DOSSIER, "what is replaced is not there")


def with_version(document: Document, version: int, suffix: str = "7") -> Document:
    """The document as version `version` of its set, replacing it."""
    text = document.raw.decode()
    old = document.unique_id
    text = text.replace(f'<id root="{old}"/>', f'<id root="{old}.{suffix}"/>', 1)
    text = text.replace('<versionNumber value="1"/>', f'<versionNumber value="{version}"/>', 1)
    parent = f'<parentDocument><id root="{old}"/></parentDocument>'
    related = f'<relatedDocument typeCode="RPLC">{parent}</relatedDocument>'
    if version > 1:
        text = text.replace("<componentOf>", f"{related}<componentOf>", 1)
    read = cda.read(text.encode())
    assert isinstance(read, Document), read
    assert read.version == version
    return read


# --- what is not filed ---------------------------------------------------------------------------------


def test_a_patient_who_is_not_qualified_is_not_filed(
    bridge: Any, custody: Any, dossier_host: Callable[..., str], report: Document
) -> None:
    """Without exactly one qualified patient nothing is sent; a person is asked, with the evidence."""
    custody.know(TENANT, replace(sample.PATIENT, ins_status=InsStatus.PROVISIONAL))
    url = dossier_host()
    outcome = bridge.deliver(url, bridge.mail(report))
    assert outcome == Never(FilingReason.INS_NOT_QUALIFIED, "patient-matched")
    (waiting,) = filings.waiting(custody.engine, TENANT)
    assert waiting.reason == FilingReason.INS_NOT_QUALIFIED
    assert ("ins", "agrees") in waiting.evidence
    assert bridge.client(url).find([report.unique_id]) == ()


def test_a_letter_without_a_document_is_never_filed(bridge: Any) -> None:
    """Neither a letter without documents nor bytes that are no letter reach the host."""
    outcome = bridge.deliver("https://127.0.0.1:1", b"Subject: x\r\n\r\nhello\r\n")
    assert outcome == Never(FilingReason.NOT_A_DOCUMENT)


def test_an_unknown_patient_of_the_host_is_never(
    bridge: Any, dossier_host: Callable[..., str], report: Document, tmp_path: Any
) -> None:
    """A patient whom the host does not know is Never by that name, and waits for a person."""
    (tmp_path / "patients.csv").write_text("179035121518989;1.2.250.1.213.1.4.10\n")
    outcome = bridge.deliver(dossier_host(patients=str(tmp_path / "patients.csv")), bridge.mail(report))
    assert outcome == Never(FilingReason.PATIENT_UNKNOWN, "XDSUnknownPatientId")
    assert bridge.waiting() == [FilingReason.PATIENT_UNKNOWN]
    (tmp_path / "patients.csv").write_text("279035121518989;1.2.250.1.213.1.4.10\n")
    outcome = bridge.deliver(
        dossier_host(patients=str(tmp_path / "patients.csv")), bridge.mail(report), letter_id="02" * 13
    )
    assert isinstance(outcome, Done)


class Overtaken:
    """A dossier client whose next submission comes after another letter's."""

    def __init__(self, client: Any, other: Callable[[], object]) -> None:
        self._client, self._others = client, [other]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def submit(self, *given: Any) -> Any:
        while self._others:
            self._others.pop()()
        return self._client.submit(*given)


@pytest.mark.parametrize("begun", [False, True])
def test_a_letter_overtaken_by_another_with_the_same_document_is_done(
    bridge: Any, dossier_host: Any, report: Document, begun: bool
) -> None:
    """A sender that was not answered sends again: both letters are on their way, the host gets one document, and
    neither is called a failure, whether or not an attempt was begun before."""
    url = dossier_host()
    if begun:
        dossier_host.stop()
        assert isinstance(bridge.deliver(url, bridge.mail(report)), Later)
        dossier_host(port=int(url.rpartition(":")[2]))
    courier, mail = bridge.courier(url), bridge.mail(report)
    others: list[Any] = []
    client = courier.hosts.clients["regional"]
    overtaken: Any = Overtaken(client, lambda: others.append(bridge.deliver(url, mail, letter_id="02" * 13)))
    outcome = replace(courier, hosts=Hosts.only(overtaken)).deliver(bridge.job(mail))["r1"]
    assert others == [Done(report.unique_id, "filed")]
    assert outcome == Done(report.unique_id, "already-in-dossier")
    assert stored(bridge, url, report)
    assert set(bridge.rows(report)) == {FilingState.FILED}
    assert bridge.waiting() == []


# --- hosts that lie ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "detail"),
    [
        ("success-without-storing", "no entry"),
        ("wrong-hash", "another hash"),
        ("half-success", "no document"),
    ],
)
def test_a_host_that_lies_is_found_out(
    bridge: Any, dossier_host: Callable[..., str], report: Document, wrong: str, detail: str
) -> None:
    """Each lie of a success is named, alarmed and put before a person; nothing counts as filed."""
    outcome = bridge.deliver(dossier_host(wrong=wrong), bridge.mail(report))
    assert outcome == Never(FilingReason.HOST_WRONG, detail)
    assert bridge.rows(report) == [FilingState.FAILED]
    assert bridge.waiting() == [FilingReason.HOST_WRONG]
    assert "dossier-alarm" in bridge.events()
    assert "dossier-filed" not in bridge.events()


def test_half_of_two_documents_is_found_out(
    bridge: Any, dossier_host: Callable[..., str], report: Document, second: Document
) -> None:
    """Of a lot that was stored by half, the half that is there counts, and the other is named."""
    outcome = bridge.deliver(dossier_host(wrong="half-success"), bridge.mail(report, second))
    assert outcome == Never(FilingReason.HOST_WRONG, "no document")
    assert bridge.rows(report) == [FilingState.FILED]
    assert bridge.rows(second) == [FilingState.FAILED]


# --- what a peer sent ----------------------------------------------------------------------------------


def test_a_document_that_its_sender_filed_is_shown(
    bridge: Any, dossier_host: Callable[..., str], report: Document
) -> None:
    """The receiver's node looks, and says that it is there; it files nothing."""
    url = dossier_host()
    bridge.deliver(url, bridge.mail(report))
    shown = bridge.deliver(url, bridge.mail(report), mode=Mode.DOSSIER_SHOW, door=Door.PEER, letter_id="02" * 13)
    assert shown == Done(report.unique_id, "already-in-dossier")
    assert set(bridge.rows(report)) == {FilingState.FILED, FilingState.FOUND}


def test_a_document_that_nobody_filed_is_looked_for_then_proposed(
    bridge: Any, dossier_host: Callable[..., str], report: Document
) -> None:
    """Not there yet is Later, since the sender's node may be filing; after three looks a person is asked."""
    url = dossier_host()
    told = {"mode": Mode.DOSSIER_SHOW, "door": Door.PEER}
    assert bridge.deliver(url, bridge.mail(report), **told) == Later(FilingReason.NOT_IN_DOSSIER)
    assert bridge.waiting() == []
    assert bridge.deliver(url, bridge.mail(report), attempt=3, **told) == Done(report.unique_id, "proposed")
    assert bridge.waiting() == [FilingReason.NOT_IN_DOSSIER]
    assert bridge.client(url).find([report.unique_id]) == ()


def test_what_must_be_tried_again_outweighs_the_rest() -> None:
    """One outcome for several documents: Later before Never before Done; nothing at all is no document."""
    done, never, later = Done("1", "filed"), Never("x"), Later("y")
    assert worst([done, never, later]) == later
    assert worst([done, never]) == never
    assert worst([Done("0", "already-in-dossier"), done]) == done
    assert worst([]) == Never(FilingReason.NOT_A_DOCUMENT)
