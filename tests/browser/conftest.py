"""One node with something on every page, and one Chromium, for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.chromium import chromium
from tests.browser.house import House, opened


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with opened() as world, chromium() as browser:
        yield House(world, browser, {})
