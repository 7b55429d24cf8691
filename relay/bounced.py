"""Mailboxes that take no letter: whose servers, or their reports, refused ours for good because nobody is there.

Promises: an address is named only while its last letter says so: one that arrived since clears it; a letter refused for
another reason (full, too large, a policy) says nothing of the mailbox; a patient's address is never named.
Does not: ask anybody, or say which letter or whose it was.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from sqlalchemy import Engine, and_, exists, select

from directory.model import PATIENT_DOMAIN
from relay.bounces import Bounce, classify
from relay.model import Reason, State
from relay.store.tables import journal, recipients

NOBODY = frozenset({Bounce.UNKNOWN, Bounce.CLOSED, Bounce.BAD_ADDRESS})
_REFUSED = (Reason.PEER_REFUSED.value, Reason.MAILBOX_REFUSED.value)
_STATUS = re.compile(r"\b5\.\d{1,3}\.\d{1,3}\b")


def addresses(engine: Engine, tenant: str, since: datetime) -> frozenset[str]:
    """In lower case, of letters that this tenant sent and that were given up since then."""
    r, later = recipients.c, recipients.alias("later").c
    cleared = exists().where(
        later.tenant == r.tenant,
        later.address_key == r.address_key,
        later.state == State.DONE.value,
        later.settled_at > r.settled_at,
    )
    said = and_(
        journal.c.tenant == r.tenant,
        journal.c.letter_id == r.letter_id,
        journal.c.recipient_id == r.id,
        journal.c.event == "said-undelivered",
    )
    query = select(r.address_key, r.reference, journal.c.facts).select_from(
        recipients.outerjoin(journal, said),
    )
    failed = (r.tenant == tenant, r.state == State.FAILED.value, r.reason.in_(_REFUSED), r.settled_at >= since)
    nobodys = r.address_key.not_like(f"%@{PATIENT_DOMAIN}")
    with engine.connect() as conn:
        rows = conn.execute(query.where(*failed, nobodys, ~cleared))
        return frozenset(row.address_key for row in rows if _why(row.reference, row.facts) in NOBODY)


def _why(reference: str, facts: str | None) -> str | None:
    """What a report said, where one came; else what the server answered."""
    if facts and (noted := json.loads(facts).get("note")):
        return str(noted)
    status = _STATUS.search(reference)
    return classify(status.group() if status else "", reference)
