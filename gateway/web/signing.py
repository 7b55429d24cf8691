"""Signing in with a password and a one-time code, signing out; the session's own small pages.

Promises: whichever of login, password and code is wrong, the answer is the same; tries are counted for each login, and
failures for each address block, and who guesses keeps nobody out of his usual place; a code without a right password is
not used up. Does not: keep a password, or log one.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

import structlog
from starlette.responses import Response

from gateway.config import Settings
from gateway.doors.budgets import block
from gateway.web.guard import LANGUAGE, keep
from gateway.web.roles import Face, Role
from gateway.web.sessions import COOKIE, WARNED, Proof
from gateway.web.visits import Visit
from gateway.web.wording import LANGUAGES

log = structlog.get_logger("gateway.web")


REFUSED = {"certificat": "signing-no-certificate", "attente": "signing-certificate-later"}
"""What another way of signing in says in the address when it sends somebody back: words of ours, chosen from here."""


async def form(visit: Visit) -> Response:
    if visit.who:
        return visit.moved("/")
    why = REFUSED.get(visit.request.query_params.get("refus", ""), "")
    login = visit.locked.account if visit.locked else ""
    return visit.shown("signing.html", wrong=visit.t(why) if why else "", login=login)


async def sign_in(visit: Visit) -> Response:
    login, client = visit.form.get("login", "").strip().lower(), client_of(visit)
    if visit.site.failures.spent(block(client)) or not visit.site.guesses.begin(login, client):
        log.warning("sign-in-too-often")
        return visit.shown("signing.html", 429, wrong=visit.t("signing-too-often"), login=login)
    account = await visit.aside(_proved, visit, login)
    if account is None:
        visit.site.failures.count(block(client))
        log.info("sign-in", done=False, by="password")
        return visit.shown("signing.html", 403, wrong=visit.t("signing-wrong"), login=login)
    visit.site.guesses.succeeded(login, client)
    return entered(visit, account, "password")


def _proved(visit: Visit, login: str) -> str | None:
    """Password first, at the same cost for nobody's login; then the code, which counts once."""
    account = visit.site.logins.verify(login, visit.form.get("password", ""))
    if account is None or account != login:
        return None  # an application password is a mail program's, not a person's
    right = visit.site.people.code_counts(account, visit.form.get("code", "").strip(), visit.site.clock())
    return account if right else None


def entered(visit: Visit, account: str, by: str, proof: Proof | None = None, **more: str) -> Response:
    """A new session, never the one that the browser brought (fixation). Of one that was locked its own person finds
    the letter and the page again; of another's nothing is left."""
    before, sessions = visit.who or visit.locked, visit.site.sessions
    name, to = sessions.begin(account, tenant_of(visit.site.settings, account), proof), "/"
    if before and before.account == account:
        draft = visit.site.drafts.pass_on(visit.name, name)
        to = f"/ecrire?brouillon={draft}" if draft else before.at
    visit.site.drafts.forget(visit.name)
    sessions.end(visit.name)
    log.info("sign-in", done=True, by=by, account=account, **{key: value for key, value in more.items() if value})
    answer = visit.moved(f"{visit.site.url}{to}" if visit.face and visit.face.beside else to)
    keep(answer, COOKIE, name)
    return answer


def tenant_of(settings: Settings, account: str) -> str:
    domain = account.rpartition("@")[2]
    views = settings.views
    return next(view.node.tenant for view in views if domain in {each.lower() for each in view.node.domains})


async def sign_out(visit: Visit) -> Response:
    visit.site.sessions.end(visit.name)
    visit.site.drafts.forget(visit.name)
    proof, after = visit.session.proof, replace(visit, who=None, roles=frozenset(), name=secrets.token_urlsafe(32))
    answer = visit.moved("/entrer")
    if proof and proof.leaving:  # a page: the policy of content lets no form lead elsewhere, not even by a redirect
        answer = after.shown("left.html", there=proof.leaving, name=proof.there)
    keep(answer, COOKIE, after.name)
    return answer


async def state(visit: Visit) -> Response:
    """Asked every minute: nothing, or how long the session still lasts. RGAA 13.1: a limit that can be moved."""
    left = visit.site.sessions.left(visit.session)
    minutes = int(left.total_seconds()) // 60
    return visit.shown("state.html", minutes=minutes if left <= WARNED else None)


async def stay(visit: Visit) -> Response:
    return visit.shown("state.html", minutes=None)


async def language(visit: Visit) -> Response:
    chosen = visit.form.get("language", "")
    answer = visit.moved("/")
    if chosen in LANGUAGES:
        keep(answer, LANGUAGE, chosen)
    return answer


def client_of(visit: Visit) -> str:
    return visit.request.client.host if visit.request.client else ""


EVERYBODY = frozenset(Role)

FACES = (
    Face("/entrer", form, public=True),
    Face("/entrer", sign_in, methods=("POST",), public=True),
    Face("/langue", language, methods=("POST",), public=True),
    Face("/sortir", sign_out, EVERYBODY, ("POST",)),
    Face("/session", state, EVERYBODY, quiet=True),
    Face("/session", stay, EVERYBODY, ("POST",)),
)
