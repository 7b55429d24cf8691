"""The logins of a node with several tenants: an address's domain says whose account it is, and nobody else is asked.

Promises: a tenant's accounts file lets nobody in as an address of another tenant, whatever its lines say; a login of no
tenant costs as much as a wrong password; a token or certificate that names no account opens one only where a single
tenant knows it. Does not: read a file or judge a token (gateway.accounts does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from directory.model import Address
from gateway.accounts import Accounts, Entered
from gateway.tokens import Refused, TokensDown, Why


@dataclass(frozen=True)
class Household:
    """One tenant's accounts."""

    tenant: str
    domains: frozenset[str]
    accounts: Accounts


def at_home(account: str, household: Household) -> bool:
    """Is this account an address of the tenant whose file lets it in?"""
    return account.rpartition("@")[2].lower() in household.domains


class Logins:
    """As Accounts, for what the doors and Dovecot's questions ask."""

    def __init__(self, households: Sequence[Household]) -> None:
        self._households = tuple(households)

    @property
    def takes_tokens(self) -> bool:
        return any(each.accounts.takes_tokens for each in self._households)

    def verify(self, login: str, password: str) -> str | None:
        household = self._of(login)
        if household is None:
            return self._households[0].accounts.verify("", password)  # nobody's, at the cost of somebody's
        account = household.accounts.verify(login, password)
        return account if account and at_home(account, household) else None

    def token(self, user: str, token: str) -> str | Refused:
        found = self.bearer(user, token)
        return found.account if isinstance(found, Entered) else found

    def bearer(self, user: str, token: str) -> Entered | Refused:
        """Raises TokensDown where nobody let the token in and a provider could not be asked."""
        entered, refused, down = [], [], []
        for household in self._asked(user):
            try:
                found = household.accounts.bearer(user, token)
            except TokensDown as error:
                down.append(error)
                continue
            if isinstance(found, Refused):
                refused.append(found)
            elif at_home(found.account, household):
                entered.append(found)
        if len(entered) == 1:
            return entered[0]
        if down and not entered:
            raise down[0]
        return refused[0] if refused and not entered else Refused(Why.SUBJECT)

    def certificate(self, der: bytes, user: str = "") -> str | None:
        found = [
            account
            for household in self._asked(user)
            if (account := household.accounts.certificate(der, user)) and at_home(account, household)
        ]
        return found[0] if len(found) == 1 else None

    def may_use(self, account: str, address: Address) -> bool:
        household = self._of(account)
        return household is not None and household.accounts.may_use(account, address)

    def is_open(self, account: str) -> bool:
        household = self._of(account)
        return household is not None and household.accounts.is_open(account)

    def _asked(self, user: str) -> tuple[Household, ...]:
        """The one whose address it is; all of them where no address was said."""
        if not user:
            return self._households
        household = self._of(user)
        return (household,) if household else ()

    def _of(self, login: str) -> Household | None:
        """`login`: an address, or ADDRESS/NAME of an application password."""
        address = login.partition("/")[0]
        return next((each for each in self._households if at_home(address, each)), None)
