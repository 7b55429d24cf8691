"""Signing in at an OpenID provider (Pro Santé Connect): out to it, back, and the account that its person is bound to.

Promises: who comes back is the browser that went out: state, nonce and PKCE verifier are made of its own session's name
and our key, and nothing of them can be read or chosen from outside; each provider has its own way back (RFC 9700
§4.4), and opens accounts of those tenants alone that trust it. A browser that comes from elsewhere is asked again by a
page of ours (gateway.web.guard), so that the session's cookie can stay SameSite=Strict. Does not: judge a token
(gateway.openid does).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import structlog
from starlette.responses import Response

from gateway import app
from gateway.config import Settings
from gateway.doors.budgets import block
from gateway.logins import Household, at_home
from gateway.openid import Attempt, Client, Person, ProviderDown, Told
from gateway.tokens import vouching
from gateway.web import signing
from gateway.web.roles import Face
from gateway.web.sessions import Proof
from gateway.web.signing import entered
from gateway.web.visits import Visit

log = structlog.get_logger("gateway.web")

LIFE = timedelta(minutes=10)
"""Between the button and the way back."""


@dataclass(frozen=True)
class House:
    """A provider, and the tenants whose people sign in there. `name`: the first one's; it stands in the way back."""

    name: str
    label: str
    client: Client
    households: tuple[Household, ...]

    @property
    def tenants(self) -> tuple[str, ...]:
        return tuple(each.tenant for each in self.households)

    def accounts(self, person: Person) -> tuple[str, ...]:
        found = {
            account
            for each in self.households
            for account in each.accounts.bound(person.names)
            if at_home(account, each)
        }
        return tuple(sorted(found))


def houses(settings: Settings) -> tuple[House, ...]:
    """Raises ConfigError."""
    told: dict[object, list[Settings]] = {}
    for view in settings.views:
        if view.provider and view.provider.discovery_url:
            told.setdefault(view.provider, []).append(view)
    return tuple(_house(views) for views in told.values())


def _house(views: list[Settings]) -> House:
    told, tokens = views[0].provider, app.tokens(views[0])
    assert told is not None
    assert tokens is not None
    secret = app.secret(told.secret_file).decode("ascii") if told.secret_file else ""
    us = Told(told.issuer, told.audience, secret, told.discovery_url, told.scope, told.acr)
    households = [Household(each.node.tenant, app.node(each).domains, app.accounts(each, tokens)) for each in views]
    client = Client(us, tokens, app.clock, vouching(told.authorities))
    return House(views[0].node.tenant, told.name, client, tuple(households))


# --- out and back -------------------------------------------------------------------------------------------------


async def out(visit: Visit) -> Response:
    house = _asked(visit)
    if house is None:
        return visit.wrong(404)
    until = int((visit.site.clock() + LIFE).timestamp())
    attempt = _attempt(visit, house, f"{until}.{secrets.token_urlsafe(16)}")
    try:
        async with visit.site.asking:
            return visit.moved(await visit.aside(house.client.begun, attempt))
    except ProviderDown as error:
        return _down(visit, house, error)


async def back(visit: Visit) -> Response:
    """The provider sent the browser here, with a code or with why not."""
    house, told = _asked(visit), visit.request.query_params
    if house is None:
        return visit.wrong(404)
    attempt = _held(visit, house, told.get("state", ""))
    if attempt is None or told.get("iss", house.client.told.issuer) != house.client.told.issuer:  # RFC 9207 §2.4
        return _refused(visit, house, "state", "provider-again")
    if told.get("error") in ("server_error", "temporarily_unavailable"):
        return _refused(visit, house, "down", "provider-down")
    if told.get("error"):
        return _refused(visit, house, "not-there", "provider-not-there")
    where = block(signing.client_of(visit))
    if visit.site.failures.spent(where):
        return visit.shown("signing.html", 429, wrong=visit.t("signing-too-often"), login="")
    try:
        async with visit.site.asking:
            found = await visit.aside(house.client.finished, told.get("code", ""), attempt)
    except ProviderDown as error:
        return _down(visit, house, error)
    if not isinstance(found, Person):
        visit.site.failures.count(where)
        why = getattr(found, "why", found)
        return _refused(visit, house, str(why), "provider-acr" if str(why) == "acr" else "provider-again")
    return await _come(visit, house, found)


async def _come(visit: Visit, house: House, person: Person) -> Response:
    accounts = await visit.aside(house.accounts, person)
    if not accounts:
        return _refused(visit, house, "unbound", "provider-unbound")
    leaving = await visit.aside(house.client.leaving, person.id_token, f"{visit.site.url}/entrer")
    proof = Proof(accounts, "provider", leaving, house.label)
    if len(accounts) == 1:
        return entered(visit, accounts[0], proof.by, proof)
    visit.site.sessions.prove(visit.name, proof)
    return visit.shown("which.html", accounts=accounts)


async def chosen(visit: Visit) -> Response:
    """Of several accounts that one person has."""
    proof, account = visit.site.sessions.proved(visit.name), visit.form.get("account", "")
    if proof is None or account not in proof.accounts:
        return visit.shown("signing.html", 403, wrong=visit.t("provider-again", name=""), login="")
    return entered(visit, account, proof.by, proof)


def _asked(visit: Visit) -> House | None:
    name = str(visit.request.path_params["provider"])
    return next((each for each in visit.site.houses if each.name == name), None)


# --- what an attempt is made of -----------------------------------------------------------------------------------


def _attempt(visit: Visit, house: House, begun: str) -> Attempt:
    """`begun`: till when it counts, and noise. All else follows from it, our key and the session's name."""
    state, nonce, verifier = _made(visit, house, begun)
    return Attempt(f"{begun}.{state}", nonce, verifier, f"{visit.site.url}/entrer/retour/{quote(house.name)}")


def _made(visit: Visit, house: House, begun: str) -> Iterator[str]:
    for use in ("state", "nonce", "verifier"):
        made = visit.site.sessions.secret(f"{use} {house.name} {visit.name} {begun}")
        yield base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _held(visit: Visit, house: House, state: str) -> Attempt | None:
    """The attempt that this browser began at this provider; None where it did not, or too long ago."""
    begun = state.rpartition(".")[0]
    attempt = _attempt(visit, house, begun)
    if not hmac.compare_digest(attempt.state.encode(), state.encode()):
        return None
    until = datetime.fromtimestamp(int(begun.partition(".")[0]), UTC)
    return attempt if visit.site.clock() < until else None


# --- why not ------------------------------------------------------------------------------------------------------


def _down(visit: Visit, house: House, error: ProviderDown) -> Response:
    log.warning("provider-down", provider=house.name, why=str(error))
    return _refused(visit, house, "down", "provider-down")


def _refused(visit: Visit, house: House, why: str, key: str) -> Response:
    log.info("sign-in", done=False, by="provider", provider=house.name, why=why)
    status = 503 if why == "down" else 403
    return visit.shown("signing.html", status, wrong=visit.t(key, name=house.label), login="")


FACES = (
    Face("/entrer/fournisseur/{provider}", out, public=True),
    Face("/entrer/retour/{provider}", back, public=True),
    Face("/entrer/compte", chosen, methods=("POST",), public=True),
)
