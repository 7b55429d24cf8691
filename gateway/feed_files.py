"""A file of the directory's feed as it comes: plain, or in the archive that its source publishes.

Promises: an archive goes through the one zip door and is read as a stream, so that a gigabyte of text takes no memory;
of an archive with several files the one of the source asked for is read. Does not: download, nor unpack to a disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from directory.feed.items import Source
from directory.feed.lines import FeedError
from directory.feed.plan import Opened
from dmp_bridge import archive


def opened(source: Source) -> Opened:
    """How `directory.feed.plan.make` opens a file of this source."""

    @contextmanager
    def open_(path: Path) -> Iterator[BinaryIO]:
        with path.open("rb") as file:
            if not archive.looks_like_zip(file.read(4)):
                file.seek(0)
                yield file
                return
        try:
            with archive.streamed(path, lambda name: _wanted(source, name)) as text:
                yield text
        except archive.Refused as refused:
            raise FeedError(_why(source, str(refused))) from None

    return open_


def is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return archive.looks_like_zip(file.read(4))


def _wanted(source: Source, name: str) -> bool:
    return not source.files or re.fullmatch(source.files, name.rpartition("/")[2]) is not None


def _why(source: Source, rule: str) -> str:
    if rule == "entry-wanted":
        return f"l'archive n'a pas un fichier, et un seul, de la source {source.name}"
    return f"l'archive est refusée par la porte des archives : {rule}"
