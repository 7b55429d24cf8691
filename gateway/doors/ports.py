"""Listening sockets, and what is said when one cannot be had.

Promises: a port that is taken is told before anything is served. Does not: serve.
"""

from __future__ import annotations

import errno
import os
import socket


class PortUnusable(Exception):
    """A port cannot be opened; the text is for the operator."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"{host}:{port}: {why}")
        self.host = host
        self.port = port


class PortTaken(PortUnusable):
    """Another program listens there."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port, "the port is taken; end the program that listens there or choose another port")


def ensure_free(host: str, port: int) -> None:
    """Before door processes start: raises PortTaken even where another Pli of ours would share its port."""
    bind(host, port, shared=False).close()


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, so that asyncio sets TCP_NODELAY on what it accepts: else an answer in two writes waits 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from None
        raise PortUnusable(host, port, os.strerror(error.errno or 0)) from None
    return listener
