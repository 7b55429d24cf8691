"""Whom a token lets in, asked by Dovecot (RFC 7662): the rule of the submission door, so that one rule decides.

Promises: a token that does not count gets no more than that; a provider that is down is 503, which Dovecot takes for
"later"; no token and no user's name in the log. Does not: open a mailbox, or tell who asks from who else is on this
machine (RFC 7662 §2.1: the door is on loopback, and what is asked is limited).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.accounts import Accounts, Entered
from gateway.doors import web
from gateway.doors.budgets import Rate
from gateway.logins import Logins
from gateway.tokens import Refused, TokensDown

log = structlog.get_logger("gateway.doors")

PATH = "/introspection"
ASKED_MOST, ASKED_WITHIN_S = 3_000, 60.0
"""Questions, in each door process."""
_NO_STORE = {"Cache-Control": "no-store"}


Redeems = Callable[[str], Entered | None]
"""Whom a pass of our own pages lets in."""


def route(accounts: Accounts | Logins, rate: Rate, redeem: Redeems | None = None) -> Route:
    return Route(PATH, _endpoint(accounts, rate, redeem), methods=["POST"])


def _endpoint(
    accounts: Accounts | Logins, rate: Rate, redeem: Redeems | None
) -> Callable[[Request], Awaitable[Response]]:
    threads = ThreadPoolExecutor(2, "introspection")

    async def introspect(request: Request) -> Response:
        if not rate.take(""):
            log.warning("introspection-too-often")
            return Response(status_code=429)
        token = _token(await web.body(request) or b"")
        if token is None:
            return JSONResponse({"error": "invalid_request"}, 400, _NO_STORE)
        try:
            found = await asyncio.get_running_loop().run_in_executor(threads, lambda: judged(accounts, token, redeem))
        except TokensDown:
            log.info("introspection", active=False, why="provider-down")
            return Response(status_code=503)
        if not isinstance(found, Entered):
            log.info("introspection", active=False, why=f"token-{found.why.value}")
            return JSONResponse({"active": False}, headers=_NO_STORE)  # RFC 7662 §2.2: and nothing beside
        log.info("introspection", active=True, account=found.account)
        exp = int(found.until.timestamp())
        said = {"active": True, "username": found.account, "exp": exp, "token_type": "Bearer"}
        return JSONResponse(said, headers=_NO_STORE)

    return introspect


def judged(accounts: Accounts | Logins, token: str, redeem: Redeems | None) -> Entered | Refused:
    """A pass of our own pages first; else what the provider's tokens are. Raises TokensDown."""
    return (redeem(token) if redeem else None) or accounts.bearer("", token)


def _token(body: bytes) -> str | None:
    """RFC 7662 §2.1: one parameter `token` in a form; none twice (RFC 6749 §3.1)."""
    try:
        given = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=10)
    except ValueError:
        return None
    return given["token"][0] if len(given.get("token", ())) == 1 else None
