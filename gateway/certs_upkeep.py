"""`pli certs watch`, `request` and `throwaway`: what whoever keeps an establishment's keys types.

Promises: what is over or about to be is exit code 1, what cannot be read 3; a new key is written once, private from its
first byte, and nothing is replaced. Does not: renew or send anything, nor make keys itself (certs does).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cryptography import x509
from rich.markup import escape
from rich.table import Table

from gateway.command import LANGUAGE, F, Failure, in_words, out, settings_of

if TYPE_CHECKING:
    from certs.expiry import Expiring, Pace
    from gateway.certs_files import Kind

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


def moment(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime:
    """--at: ISO 8601, UTC where it names no zone; now where there is none."""
    if value is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"'{value}' is no moment in ISO 8601, e.g. 2026-11-25T09:30:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _required(*names: str, **more: Any) -> Callable[[F], F]:
    return click.option(*names, required=True, **more)


@click.command()
@_required("--cn", "common_name", help="Common name: the host, the application or the mailbox's holder.")
@_required("--organisation", help="Raison sociale.")
@_required("--unit", help="Struct_IdNat: 1 + FINESS, 3 + SIRET.")
@_required("--department", help="Name and number, as in 'Paris (75)'.")
@click.option("--country", default="FR", show_default=True)
@click.option("--address", "addresses", multiple=True, help="A mailbox; domain-signing-authority@DOMAIN for a seal.")
@click.option("--host", "hosts", multiple=True, help="A DNS name. May be repeated.")
@click.option("--kind", default="rsa2048", show_default=True, help="rsa2048, rsa3072, rsa4096, p256 or p384.")
@_required("--key", type=click.Path(path_type=Path), help="Where the new key is written.")
@click.option(
    "--out", "request_file", type=click.Path(path_type=Path), required=True, help="Where the request is written."
)
@click.option("--passphrase-file", type=click.Path(), help="A file whose only line encrypts the key.")
def request(kind: Any, key: Path, request_file: Path, passphrase_file: str | None, **wanted: Any) -> None:
    """Make a new key and a certificate request for it (PKCS #10), in the order of IGC-Santé's names."""
    from certs import pkcs10
    from gateway import certs_files

    try:
        word = certs_files.raw(passphrase_file).rstrip(b"\r\n") if passphrase_file else None
        pkcs10.write(pkcs10.Wanted(**wanted), kind, request_file, key, word)
    except (ValueError, certs_files.Unreadable, FileExistsError) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{error.filename} cannot be written: {error.strerror}") from None
    click.echo(f"{key}\n{request_file}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--at", callback=moment, help="The moment of its making, ISO 8601; now otherwise.")
@click.option("--urls", default="", help="Base of the addresses of lists and OCSP that some certificates name.")
def throwaway(folder: Path, at: datetime, urls: str) -> None:
    """Make an infrastructure to throw away, with each way in which a certificate can be wrong: for tests only."""
    from certs import throwaway as made

    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise Failure(f"{folder} is not empty: name another")
        made.write_all(folder, at.replace(microsecond=0), urls)
    except OSError as error:
        raise Failure(f"{error.filename} cannot be written: {error.strerror}") from None
    click.echo(f"{folder}/README.txt")


# --- what expires when ---------------------------------------------------------------------------------------


@click.command()
@click.argument("files", nargs=-1)
@click.option("--at", callback=moment, help="The moment, ISO 8601; now otherwise.")
@click.option("--metrics", type=click.Path(path_type=Path), help="Also writes Prometheus' text format (NAME.prom).")
@JSON
@LANGUAGE
@click.pass_context
def watch(
    context: click.Context, /, files: tuple[str, ...], at: datetime, metrics: Path | None, as_json: bool, lang: str
) -> None:
    """What expires when: of the node, or of FILES and folders with certificates and lists."""
    from certs import expiry
    from gateway import certs_files

    tenant = ""
    with in_words():
        if files:
            try:
                found = expiry.watched((), at, [each for name in files for each in _of_file(name, at)])
            except certs_files.Unreadable as error:
                raise Failure(str(error)) from None
        else:
            from gateway import watching

            settings = settings_of(context)
            found, tenant = watching.expiring(settings, at), settings.node.tenant or settings.node.name
    if metrics:
        try:
            expiry.write_metrics(metrics, tenant, found)
        except OSError as error:
            raise Failure(f"{metrics} cannot be written: {error.strerror}") from None
    _show(found, as_json=as_json, language=lang)
    levels = {each.level for each in found}
    sys.exit(1 if levels & {expiry.Level.OVER, expiry.Level.URGENT} else 3 if expiry.Level.UNREADABLE in levels else 0)


def _of_file(name: str, at: datetime) -> Iterator[Expiring]:
    """Certificates and lists of a file, or of every file of a folder. Raises Unreadable."""
    from certs.expiry import Expiring
    from gateway import certs_files

    if Path(name).is_dir():
        for each in sorted(Path(name).rglob("[!.]*")):
            if each.is_file():
                yield from _of_file(str(each), at)
        return
    found = certs_files.thing(name)
    ends = [_end(each.kind, each.data) for each in (found, *found.more)]
    told = [end for end in ends if end is not None]
    if not told:
        yield Expiring(name, at, None, fault=f"{name} holds no certificate and no list")
    for number, (until, pace) in enumerate(told):
        yield Expiring(f"{name}#{number + 1}" if len(told) > 1 else name, at, until, pace)


def _end(kind: Kind, der: bytes) -> tuple[datetime | None, Pace] | None:
    from certs.expiry import CERTIFICATE, LISTING
    from gateway.certs_files import Kind

    if kind is Kind.CERTIFICATE:
        return x509.load_der_x509_certificate(der).not_valid_after_utc, CERTIFICATE
    return (x509.load_der_x509_crl(der).next_update_utc, LISTING) if kind is Kind.CRL else None


def _show(found: Sequence[Expiring], *, as_json: bool, language: str) -> None:
    from gateway.certs_words import LEVELS, said

    if as_json:
        click.echo(json.dumps([_told(each) for each in found], ensure_ascii=False))
        return
    heads = ("quoi", "état", "jusqu'au", "jours") if language == "fr" else ("what", "state", "until", "days")
    table = Table(*heads)
    for each in found:
        state = said(LEVELS, "replaced" if each.replaced else each.level.value, language)
        until = each.until.strftime("%Y-%m-%d %H:%M") if each.until else each.fault
        table.add_row(escape(each.name), state, escape(until), "" if each.days is None else f"{each.days:.0f}")
    out.print(table)


def _told(each: Expiring) -> dict[str, Any]:
    until = each.until.isoformat(timespec="seconds") if each.until else ""
    return {
        "name": each.name, "level": each.level.value, "until": until, "days": each.days,
        "replaced": each.replaced, "fault": each.fault,
    }  # fmt: skip
