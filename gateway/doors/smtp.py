"""The two SMTP doors, 25 for peers (operators) and 587 for our people's mail clients; and what opens them.

Promises: a peer is known by the certificate of its TLS session alone, judged again for each transaction; a
person by a login, never before TLS, slowed and counted when it fails; all door processes share the ports; a
stop lets transactions in flight end. Does not: decide what a known peer or person may do.
"""

# ruff: noqa: N802  (the library finds a command by its name)
from __future__ import annotations

import asyncio
import socket
from asyncio import sslproto
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence

from aiosmtpd.smtp import MISSING

from certs import meter
from certs.profiles import TLS_PEER
from certs.tls import shown_by
from gateway.doors import sasl
from gateway.doors.certified import Certified, Judge
from gateway.doors.porter import Porter
from gateway.doors.ports import PortTaken, PortUnusable, bind, ensure_free
from gateway.doors.session import Session
from gateway.doors.spec import DoorSpec, Limits
from gateway.doors.taking import Taking
from gateway.doors.turns import Turn
from gateway.tokens import TokensDown
from relay.model import Door, DoorProof, Reason, Refusal
from relay.peering import Turned, meet

__all__ = ["DoorSpec", "Limits", "PortTaken", "PortUnusable", "ensure_free", "serve"]


TLS_BUFFER = 65_536
"""Octets that asyncio keeps for each TLS session, however idle; its own 256 KiB are most of what a session weighs."""


class PeerDoor(Taking):
    """Other operators: mutual TLS; the white list then decides, in the intake (operator §2.3, §2.6)."""

    def prove(self) -> DoorProof | Refusal:
        assert self.spec.trust is not None
        shown = shown_by(self.tls)
        if shown is None:
            return Refusal(Reason.PEER_NO_CERTIFICATE, permanent=True)
        with meter.step("verify"):
            trust = self.spec.trust().judge(shown.der, (), TLS_PEER, self.spec.clock())
        met = meet(trust, self.spec.unsure)
        if isinstance(met, Turned):
            return Refusal(met.reason, permanent=met.permanent, detail=met.detail)
        return DoorProof(
            peer=met.identity.subject,
            peer_fingerprint=met.identity.fingerprint,
            tls=shown.words,
            client=self.client,
            helo=self.helo,
            doubt=met.doubt,
        )


class SubmissionDoor(Taking):
    """Our people's mail clients and applications: SMTP AUTH after TLS (RFC 4954, RFC 6409)."""

    account = ""
    doubt = ""
    failures = 0

    def offers(self) -> tuple[str, ...]:
        return () if self.account else (f"AUTH {' '.join(self._mechanisms())}",)

    def _mechanisms(self) -> tuple[str, ...]:
        """EXTERNAL only to whoever has shown a certificate (RFC 4422 appendix A)."""
        assert self.spec.accounts is not None
        tokens = ("XOAUTH2", "OAUTHBEARER") if self.spec.accounts.takes_tokens else ()
        external = ("EXTERNAL",) if self.spec.trust and shown_by(self.tls) else ()
        return ("PLAIN", "LOGIN", *tokens, *external)

    def barred(self) -> Reason | None:
        return None if self.account else Reason.AUTH_REQUIRED

    def prove(self) -> DoorProof | Refusal:
        return DoorProof(account=self.account, tls=self.tls_words, client=self.client, helo=self.helo, doubt=self.doubt)

    async def smtp_AUTH(self, arg: str) -> None:
        if await self.check_helo_needed("EHLO"):
            return
        if self.account:
            return await self.answer(Turn.AUTH_ALREADY)
        mechanism, _, initial = (arg or "").partition(" ")
        mechanism = mechanism.upper()
        if mechanism not in self._mechanisms():
            return await self.answer(Turn.AUTH_UNKNOWN)
        if self.porter.budget.spent(self.client):
            self.end(Turn.AUTH_TOO_OFTEN)
        match mechanism:
            case "PLAIN":
                await self._plain(initial)
            case "LOGIN":
                await self._login(initial)
            case "XOAUTH2":
                await self._bearer(initial, sasl.xoauth2)
            case "EXTERNAL":
                await self._external(initial)
            case _:
                await self._bearer(initial, sasl.oauthbearer)

    async def _check(self, said: sasl.Credentials) -> None:
        accounts, guesses, name = self.spec.accounts, self.porter.guesses, said.login.lower()
        assert accounts is not None
        if not guesses.begin(name, self.client):
            self._log("login-put-off")
            return await self.answer(Turn.AUTH_PUT_OFF)
        account = await self.porter.start_login(lambda: accounts.verify(said.login, said.password))
        if account is None:
            return await self._failed("password")
        guesses.succeeded(name, self.client)
        await self._entered(account)

    async def _entered(self, account: str, **how: str) -> None:
        self.account = account
        self.spec = self.spec.of(account)  # from here on the session is its tenant's
        self._log("login", account=account, **how)
        await self.answer(Turn.AUTH_DONE)

    async def _failed(self, why: str) -> None:
        """The login as typed is not logged: people type their password there."""
        self.failures += 1
        self.porter.budget.count(self.client)
        self._log("login-refused", failures=self.failures, why=why)
        await asyncio.sleep(self.spec.limits.login_pause_s * self.failures)
        await self.answer(Reason.AUTH_FAILED)
        if self.failures >= self.spec.limits.logins:
            self.end(Turn.AUTH_GOODBYE)

    async def _plain(self, initial: str) -> None:
        blob = await self._decoded(initial, "")
        if blob is None:
            return
        said = sasl.plain(blob)
        await (self._check(said) if said else self.answer(Turn.AUTH_SYNTAX))

    async def _login(self, initial: str) -> None:
        name = await self._decoded(initial, "User Name\0")
        password = None if name is None else await self._decoded("", "Password\0")
        if name is None or password is None:
            return
        said = sasl.login(name, password)
        await (self._check(said) if said else self.answer(Turn.AUTH_SYNTAX))

    async def _bearer(self, initial: str, read: Callable[[bytes], sasl.Bearer | None]) -> None:
        blob = await self._decoded(initial, "")
        if blob is None:
            return
        said = read(blob)
        if said is None:
            return await self.answer(Turn.AUTH_SYNTAX)
        accounts = self.spec.accounts
        assert accounts is not None
        try:
            found = await self.porter.start_login(lambda: accounts.token(said.user, said.token))
        except TokensDown:
            self._log("login-delayed", why="provider-down")
            return await self.answer(Turn.AUTH_LATER)
        if isinstance(found, str):
            return await self._entered(found)
        if await self._decoded("", sasl.REFUSED, ready=True) is not None:
            await self._failed(f"token-{found.why.value}")

    async def _external(self, initial: str) -> None:
        blob = await self._decoded(initial, "")
        if blob is None:
            return
        user = sasl.external(blob)
        if user is None:
            return await self.answer(Turn.AUTH_SYNTAX)
        found = await self.porter.start_login(lambda: self._certified(user))
        if isinstance(found, Certified):
            self.doubt = found.doubt
            return await self._entered(found.account, certificate=found.fingerprint)
        if found.permanent:
            return await self._failed(f"certificate-{found.detail}")
        self._log("login-delayed", why=f"certificate-{found.detail}")
        await self.answer(Turn.AUTH_UNSURE)

    def _certified(self, user: str) -> Certified | Turned:
        """Whose account the certificate of this session is: judged now, revocation too, then looked up."""
        assert self.spec.accounts is not None
        assert self.spec.trust is not None
        judge = Judge(self.spec.trust, self.spec.accounts, self.spec.unsure, self.spec.clock)
        return judge.judge(shown_by(self.tls), user)

    async def _decoded(self, initial: str, challenge: str, ready: bool = False) -> bytes | None:
        """The initial response, or the answer to a challenge; None: the other end was told what is wrong.

        `ready`: the challenge is in base64 already.
        """
        if initial == "=":  # RFC 4954 §4: an empty initial response
            return b""
        try:
            if initial:
                return b64decode(initial, validate=True)
            answered = await self.challenge_auth(challenge, encode_to_b64=not ready)
        except (NotBase64, ValueError):  # not base64, or longer than a line may be
            await self.answer(Turn.AUTH_SYNTAX)
            return None
        return None if answered is MISSING else bytes(answered)


_DOORS: dict[Door, type[Session]] = {Door.PEER: PeerDoor, Door.SUBMISSION: SubmissionDoor}


# --- the service --------------------------------------------------------------------------------------------


async def serve(
    specs: Sequence[DoorSpec],
    stop: asyncio.Event,
    listening: Callable[[tuple[tuple[str, int], ...]], None] = lambda _: None,
) -> None:
    """Opens the doors, calls `listening` with each (host, port), and serves until `stop` is set.

    Raises PortTaken or PortUnusable before anything is served.
    """
    sslproto.SSLProtocol.max_size = TLS_BUFFER
    sockets: list[socket.socket] = []
    try:
        for spec in specs:
            sockets.append(bind(spec.host, spec.port, shared=True))
        porters = [Porter(spec.limits, spec.clock) for spec in specs]
        servers = [await _open(*each) for each in zip(specs, porters, sockets, strict=True)]
    except BaseException:
        for each in sockets:
            each.close()
        raise
    listening(tuple((str(each.getsockname()[0]), int(each.getsockname()[1])) for each in sockets))
    await stop.wait()
    for server in servers:
        server.close()
    await asyncio.gather(*(porter.close() for porter in porters))


async def _open(spec: DoorSpec, porter: Porter, listener: socket.socket) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _DOORS[spec.kind](spec, porter, loop), sock=listener, backlog=1024)
