"""Signing in with a card (CPS) or another client certificate, at a port of its own.

Promises: the TLS session proved the key; chain, revocation and account are asked as at the mail doors
(gateway.doors.certified). The port is another, since browsers show a certificate in the first handshake only (RFC 8446
§4.6.2) and nobody who signs in otherwise should be asked; the host is the same, so the cookie for which the page's form
was made comes along (RFC 6265 §8.5: cookies know no port), and the session that begins here counts there. Does not:
bind certificates (`pli account certificate` does).
"""

from __future__ import annotations

import structlog
from starlette.responses import Response

from certs.tls import PeerShown
from gateway.doors.certified import Certified
from gateway.web.roles import Face
from gateway.web.signing import entered
from gateway.web.visits import Visit

log = structlog.get_logger("gateway.web")

PATH = "/entrer/certificat"


async def by_certificate(visit: Visit) -> Response:
    """Whoever comes in or not is sent back to the pages' own port."""
    site = visit.site
    shown: PeerShown | None = getattr(visit.request.state, "shown", None)
    found = await visit.aside(site.certificates.judge, shown)
    if isinstance(found, Certified):
        return entered(visit, found.account, "certificate", doubt=found.doubt)
    log.info("sign-in", done=False, by="certificate", why=found.detail)
    said = "certificat" if found.permanent else "attente"
    return visit.moved(f"{site.url}/entrer?refus={said}")


FACES = (Face(PATH, by_certificate, methods=("POST",), public=True, beside=True),)
