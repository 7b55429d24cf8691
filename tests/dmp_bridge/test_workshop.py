"""A process apart: asked again and again, ended beyond its budget, and replaced by a fresh one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from dmp_bridge import workshop
from dmp_bridge.workshop import Budget, Unanswered, Workshop


@pytest.fixture
def shop() -> Iterator[Workshop]:
    """Of pictures, which is ready soonest."""
    made = Workshop("pictures", budget=Budget(seconds=20, start_s=60))
    yield made
    made.close()


def test_one_process_answers_many_questions(shop: Workshop, report_pdf: bytes) -> None:
    """It stays warm; a broken PDF is answered, not crashed on."""
    assert shop.warm()
    assert shop.ask({}, report_pdf) == {"symbols": [], "pages": 1}
    assert shop.ask({}, b"%PDF-1.4 no more") == {"symbols": [], "pages": 0}
    assert shop.started == 1


def test_beyond_its_time_it_is_ended(shop: Workshop, report_pdf: bytes) -> None:
    """No answer, by that name; the next question gets a fresh process."""
    assert shop.warm()
    shop.budget = Budget(seconds=-1, start_s=60)
    assert shop.ask({}, report_pdf) == Unanswered("too-slow")
    shop.budget = Budget(seconds=20, start_s=60)
    assert shop.ask({}, report_pdf) == {"symbols": [], "pages": 1}
    assert shop.started == 2


def test_beyond_its_memory_it_is_ended(shop: Workshop, report_pdf: bytes) -> None:
    """Resident bytes count."""
    assert shop.warm()
    shop.budget = Budget(seconds=20, memory=1 << 20, start_s=60)
    assert shop.ask({}, report_pdf) == Unanswered("too-large")


def test_a_process_that_dies_is_replaced(shop: Workshop, report_pdf: bytes) -> None:
    """Killed while nobody asked: the next question is answered by another."""
    assert shop.warm()
    process = shop._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert shop.ask({}, report_pdf) == {"symbols": [], "pages": 1}
    assert shop.started == 2


def test_a_craft_that_does_not_start_is_said_so() -> None:
    """An unknown craft, or an installation that is not there, is broken and not waited for."""
    for arguments in (("cookery",), ("schemas", "/nonexistent")):
        made = Workshop(*arguments, budget=Budget(seconds=5, start_s=30))
        assert not made.warm()
        assert made.ask({}, b"x") == Unanswered("broken")


def test_a_surprise_names_its_kind_alone(shop: Workshop) -> None:
    """What a library says of a document is not handed on."""
    from dmp_bridge import workman

    def craft(question: object, data: bytes) -> dict[str, object]:
        raise ValueError("PAT-TROIS")

    assert workman._answered(craft, {}, b"") == {"surprise": "ValueError"}


def test_the_process_can_write_no_file(shop: Workshop) -> None:
    """Its limit on the size of files is nothing."""
    assert shop.warm()
    process = shop._process
    assert process is not None
    with open(f"/proc/{process.pid}/limits") as limits:
        (line,) = [each for each in limits if each.startswith("Max file size")]
    assert line.split()[3:5] == ["0", "0"]


def test_the_memory_is_that_of_the_process() -> None:
    """Of ourselves it is something, of nobody nothing."""
    assert workshop._resident(os.getpid()) > 1 << 20
    assert workshop._resident(1 << 30) == 0
