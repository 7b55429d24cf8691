"""What the HTTP doors over TLS share: the client's certificate shown to what is asked, renewed ones of our own.

Promises: each new session is one of the context that counts now. Does not: judge a certificate (gateway.doors.certified
does), or know what is asked.
"""

from __future__ import annotations

import ssl
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from certs import tls


class Shown(H11Protocol):
    """No ASGI server shows the client's certificate: it goes into the request's state."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "shown": tls.shown_by(transport.get_extra_info("ssl_object"))}


class Following(ssl.SSLContext):
    """What a web server is given once: each new session is one of the context that counts now."""

    contexts: tls.Contexts

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self.contexts().wrap_bio(*args, **kwargs)


def following(contexts: tls.Contexts) -> ssl.SSLContext:
    made = Following(ssl.PROTOCOL_TLS_SERVER)
    made.contexts = contexts
    return made
