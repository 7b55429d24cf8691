"""Structured logs: one JSON line per event, on standard error or in a file; never on standard output, where commands
answer.

Promises: whatever looks like a matricule INS is replaced by its pseudonym in every value, whoever wrote the line
(design §7): the last wall, not the first. Does not: decide what is worth a line.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

import structlog

if TYPE_CHECKING:
    from relay.pseudonym import Pseudonyms

Processors: TypeAlias = Sequence[structlog.typing.Processor]


def configure(
    level: str, file: Path | None, process: str, scrub: Callable[[str], str], counting: Processors = ()
) -> None:
    """Sets up this process's log. `scrub` replaces identities in a text; `counting` sees each line after that."""
    out = _out(file)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _naming(process),
            _scrubbing(scrub),
            *counting,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=out, format="%(message)s")


def of_command() -> None:
    """For a command that is typed, before it has read any configuration: warnings alone, identities under a key that is
    nobody's."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _naming("command"),
            _scrubbing(_scrubber()),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _scrubber() -> Callable[[str], str]:
    """Made with the first line: most commands write none."""

    @cache
    def names() -> Pseudonyms:
        from relay.pseudonym import Pseudonyms

        return Pseudonyms(os.urandom(32))

    return lambda text: names().scrub(text)


def _out(file: Path | None) -> TextIO:
    return file.open("a", encoding="utf-8", buffering=1) if file else sys.stderr


def _naming(process: str) -> structlog.typing.Processor:
    def name(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["process"] = process
        return line

    return name


def _scrubbing(scrub: Callable[[str], str]) -> structlog.typing.Processor:
    def clean(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in line.items():
            if isinstance(value, str):
                line[key] = scrub(value)
        return line

    return clean
