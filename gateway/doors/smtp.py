"""The two SMTP doors, 25 for peers (operators) and 587 for our people's mail clients; and what opens them.

Promises: a peer is known by the certificate of its TLS session alone, judged again for each transaction; a
person by a login, never before TLS, slowed and counted when it fails; all door processes share the ports; a
stop lets transactions in flight end. Does not: decide what a known peer or person may do.
"""

# ruff: noqa: N802  (the library finds a command by its name)
from __future__ import annotations

import asyncio
import socket
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from typing import TypeAlias

from aiosmtpd.smtp import MISSING

from certs import meter
from certs.profiles import TLS_PEER
from certs.tls import peer_certificate
from gateway.doors.porter import Porter
from gateway.doors.ports import PortTaken, PortUnusable, bind, ensure_free
from gateway.doors.session import Session
from gateway.doors.spec import DoorSpec, Limits
from gateway.doors.taking import Taking
from gateway.doors.turns import Turn
from relay.model import Door, DoorProof, Reason, Refusal
from relay.peering import Turned, meet

__all__ = ["DoorSpec", "Limits", "PortTaken", "PortUnusable", "ensure_free", "serve"]


class PeerDoor(Taking):
    """Other operators: mutual TLS; the white list then decides, in the intake (operator §2.3, §2.6)."""

    def prove(self) -> DoorProof | Refusal:
        assert self.spec.trust is not None
        der = peer_certificate(self.tls) if self.tls else None
        if not der:
            return Refusal(Reason.PEER_NO_CERTIFICATE, permanent=True)
        with meter.step("verify"):
            trust = self.spec.trust().judge(der, (), TLS_PEER, self.spec.clock())
        met = meet(trust, self.spec.unsure)
        if isinstance(met, Turned):
            return Refusal(met.reason, permanent=met.permanent, detail=met.detail)
        return DoorProof(
            peer=met.identity.subject,
            peer_fingerprint=met.identity.fingerprint,
            tls=self.tls_words,
            client=self.client,
            helo=self.helo,
            doubt=met.doubt,
        )


Credentials: TypeAlias = tuple[str, str]


class SubmissionDoor(Taking):
    """Our people's mail clients: SMTP AUTH after TLS (RFC 4954, RFC 6409)."""

    account = ""
    failures = 0

    def offers(self) -> tuple[str, ...]:
        return () if self.account else ("AUTH PLAIN LOGIN",)

    def barred(self) -> Reason | None:
        return None if self.account else Reason.AUTH_REQUIRED

    def prove(self) -> DoorProof | Refusal:
        return DoorProof(account=self.account, tls=self.tls_words, client=self.client, helo=self.helo)

    async def smtp_AUTH(self, arg: str) -> None:
        if await self.check_helo_needed("EHLO"):
            return
        if self.account:
            return await self.answer(Turn.AUTH_ALREADY)
        mechanism, _, initial = (arg or "").partition(" ")
        if mechanism.upper() not in ("PLAIN", "LOGIN"):
            return await self.answer(Turn.AUTH_UNKNOWN)
        if self.porter.budget.spent(self.client):
            self.end(Turn.AUTH_TOO_OFTEN)
        read = self._plain if mechanism.upper() == "PLAIN" else self._login
        if credentials := await read(initial):
            await self._check(*credentials)

    async def _check(self, login: str, password: str) -> None:
        accounts = self.spec.accounts
        assert accounts is not None
        account = await self.porter.start_login(lambda: accounts.verify(login, password))
        if account is None:
            return await self._failed()
        self.account = account
        self._log("login", account=account)
        await self.answer(Turn.AUTH_DONE)

    async def _failed(self) -> None:
        """The login as typed is not logged: people type their password there."""
        self.failures += 1
        self.porter.budget.failed(self.client)
        self._log("login-refused", failures=self.failures)
        await asyncio.sleep(self.spec.limits.login_pause_s * self.failures)
        await self.answer(Reason.AUTH_FAILED)
        if self.failures >= self.spec.limits.logins:
            self.end(Turn.AUTH_GOODBYE)

    async def _plain(self, initial: str) -> Credentials | None:
        """RFC 4616 §2: authzid NUL authcid NUL password. Nobody acts for another: authzid is authcid."""
        blob = await self._decoded(initial, "")
        if blob is None:
            return None
        parts = _texts(*blob.split(b"\0"))
        if parts is None or len(parts) != 3 or parts[0] not in ("", parts[1]):
            await self.answer(Turn.AUTH_SYNTAX)
            return None
        return parts[1], parts[2]

    async def _login(self, initial: str) -> Credentials | None:
        name = await self._decoded(initial, "User Name\0")
        password = None if name is None else await self._decoded("", "Password\0")
        if name is None or password is None:
            return None
        texts = _texts(name, password)
        if texts is None:
            await self.answer(Turn.AUTH_SYNTAX)
            return None
        return texts[0], texts[1]

    async def _decoded(self, initial: str, challenge: str) -> bytes | None:
        """The initial response, or the answer to a challenge; None: the other end was told what is wrong."""
        if initial == "=":  # RFC 4954 §4: an empty initial response
            return b""
        try:
            if initial:
                return b64decode(initial, validate=True)
            answered = await self.challenge_auth(challenge)
        except (NotBase64, ValueError):  # not base64, or longer than a line may be
            await self.answer(Turn.AUTH_SYNTAX)
            return None
        return None if answered is MISSING else bytes(answered)


def _texts(*parts: bytes) -> tuple[str, ...] | None:
    try:
        return tuple(part.decode("utf-8") for part in parts)
    except UnicodeDecodeError:
        return None


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
