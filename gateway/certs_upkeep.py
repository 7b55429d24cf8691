"""`pli certs request`: what whoever keeps an establishment's keys types.

Promises: a key is written once, private from its first byte, and nothing is replaced; a name that a certificate could
not carry is one sentence and exit code 2. Does not: send anything, nor make keys itself (certs does).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.command import F, Failure


def _required(name: str, *more: str, help: str) -> Callable[[F], F]:
    return click.option(name, *more, required=True, help=help)


@click.command()
@_required("--cn", "common_name", help="Common name: the host, the application or the mailbox's holder.")
@_required("--organisation", help="Raison sociale.")
@_required("--unit", help="Struct_IdNat: 1 + FINESS, 3 + SIRET.")
@_required("--department", help="Name and number, as in 'Paris (75)'.")
@click.option("--country", default="FR", show_default=True)
@click.option("--address", "addresses", multiple=True, help="A mailbox; domain-signing-authority@DOMAIN for a seal.")
@click.option("--host", "hosts", multiple=True, help="A DNS name. May be repeated.")
@click.option("--kind", default="rsa2048", show_default=True, help="rsa2048, rsa3072, rsa4096, p256 or p384.")
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Where the new key is written.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the request is written.")
@click.option("--passphrase-file", type=click.Path(), help="A file whose only line encrypts the key.")
def request(kind: Any, key: Path, out: Path, passphrase_file: str | None, **wanted: Any) -> None:
    """Make a new key and a certificate request for it (PKCS #10), in the order of IGC-Santé's names."""
    from certs import requests
    from gateway import certs_files

    try:
        word = certs_files.raw(passphrase_file).rstrip(b"\r\n") if passphrase_file else None
        requests.write(requests.Wanted(**wanted), kind, out, key, word)
    except (ValueError, certs_files.Unreadable, FileExistsError) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{error.filename} cannot be written: {error.strerror}") from None
    click.echo(f"{key}\n{out}")
