"""The one table of the pages: every route, who may open it, and what answers.

Promises: nothing is served that does not stand here (but static files). Does not: check (gateway.web.guard does).
"""

from __future__ import annotations

from gateway.web import (
    certificates,
    duplicates,
    freshness,
    handbook,
    home,
    imports,
    inbox,
    letters,
    node,
    providers,
    queues,
    reading,
    region,
    signing,
    undoing,
    worklist,
    writing,
)

FACES = (
    *signing.FACES,
    *certificates.FACES,
    *providers.FACES,
    *home.FACES,
    *inbox.FACES,
    *reading.FACES,
    *letters.FACES,
    *undoing.FACES,
    *writing.FACES,
    *worklist.FACES,
    *region.FACES,
    *duplicates.FACES,
    *freshness.FACES,
    *imports.FACES,
    *queues.FACES,
    *node.FACES,
    *handbook.FACES,
)
