"""A stand-in for a foreign OpenID provider, shaped like Pro Santé Connect: its keys over HTTP, tokens that it signs,
and every way in which one can be wrong.

Promises: the keys' document is served on loopback by a real server; what is wrong with a token is only what was asked.
Does not: sign anyone in (gateway.demo.wallet does), nor stand on the serving path.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "pli"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Said:
    """What it answers. `to`: where it sends a browser."""

    status: int
    body: Any = b""
    to: str = ""
    kind: str = "application/json"


@dataclass
class Provider:
    """`down`: it answers 503. `asked`: how often its keys were fetched."""

    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    down: bool = False
    asked: int = 0
    tls: tuple[Path, Path] | None = None
    """PEM chain and key; in clear otherwise."""
    _server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        self.add_key("k1")
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(provider.answer("GET", self.path, dict(self.headers), ""))

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                self._say(provider.answer("POST", self.path, dict(self.headers), form))

            def _say(self, said: Said) -> None:
                body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
                self.send_response(said.status)
                self.send_header("Content-Type", said.kind)
                self.send_header("Content-Length", str(len(body)))
                if said.to:
                    self.send_header("Location", said.to)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, method: str, path: str, head: Mapping[str, str], form: str) -> Said:
        """Its keys, whatever is asked."""
        self.asked += 1
        return Said(503 if self.down else 200, self.published())

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_port}"

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/esante-wallet"

    def add_key(self, kid: str) -> None:
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def published(self) -> dict[str, Any]:
        return {"keys": [_published(kid, key) for kid, key in self.keys.items()]}

    def token(self, subject: str, at: datetime, /, alg: str = "RS256", kid: str = "k1", **wrong: Any) -> str:
        """A token of five minutes for `subject`. `wrong`: claims that replace the right ones; None leaves one out."""
        now = int(at.timestamp())
        right = {"iss": self.issuer, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300, "typ": "Bearer"}
        claims = {name: value for name, value in (right | wrong).items() if value is not None}
        return self.signed({"alg": alg, "kid": kid, "typ": "JWT"}, claims)

    def signed(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        head = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
        return f"{head}.{_b64(self._signature(header, head.encode()))}"

    def _signature(self, header: Mapping[str, Any], data: bytes) -> bytes:
        key = self.keys.get(str(header.get("kid"))) or next(iter(self.keys.values()))
        match header["alg"]:
            case "none":
                return b""
            case "HS256":
                # The classic confusion: the provider's public key taken for a shared secret
                secret = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
                mac = hmac.HMAC(secret, hashes.SHA256())
                mac.update(data)
                return mac.finalize()
            case "PS256":
                return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _published(kid: str, key: rsa.RSAPrivateKey) -> dict[str, str]:
    """RFC 7517, RFC 7518 §6.3.1."""
    numbers = key.public_key().public_numbers()
    words = {
        name: _b64(n.to_bytes((n.bit_length() + 7) // 8, "big")) for name, n in (("n", numbers.n), ("e", numbers.e))
    }
    return {"kty": "RSA", "use": "sig", "kid": kid, **words}
