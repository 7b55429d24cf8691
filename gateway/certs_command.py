"""`pli certs`: sign, verify, encrypt, decrypt and look at any letter, CMS object or certificate, without a node.

Promises: exit code 0 trusted or done, 1 untrusted, 3 cannot tell, 2 a wrong use or a file that cannot be read, with
one sentence; no passphrase on a command line; nothing is fetched. Does not: hold a rule (certs and relay do), nor
need a configuration: --config only offers the node's anchors and the keeper's keys.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from gateway.certs_upkeep import JSON, moment, request, throwaway, watch
from gateway.command import LANGUAGE, TENANT, Failure, in_words, settings_of
from gateway.config import Settings


@click.group()
def certs() -> None:
    """Certificates and S/MIME. Exit codes: 0 trusted or done, 1 untrusted, 3 cannot tell, 2 wrong use."""


@contextmanager
def _mendable() -> Iterator[None]:
    """What whoever types can mend is one sentence."""
    from certs.keys import KeeperDown, KeeperRefused
    from gateway.certs_files import Unreadable

    try:
        with in_words():
            yield
    except Unreadable as error:
        raise Failure(str(error)) from None
    except KeeperDown:
        raise Failure("the node's keeper does not answer: start it with `pli serve`") from None
    except KeeperRefused as error:
        raise Failure(f"the keeper refuses: {error}") from None


def _profile(_context: click.Context, _option: click.Parameter, value: str) -> str:
    from certs import profiles

    if value not in profiles.SHIPPED:
        raise click.BadParameter(f"'{value}' is none of {', '.join(sorted(profiles.SHIPPED))}")
    return value


FILE = click.argument("file")
OUT = click.option("--out", type=click.Path(), help="Where it is written; standard output otherwise.")
WORD = click.option("--passphrase-file", type=click.Path(), help="A file whose only line opens the key.")


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def with_all(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return with_all


JUDGING = _options(
    click.option("--content", help="What a detached signature is over."),
    click.option("--anchors", multiple=True, help="PEM of trusted roots, or a trust folder. May be repeated."),
    click.option("--intermediates", multiple=True, help="Certificates of known authorities."),
    click.option("--crls", multiple=True, help="CRLs and OCSP answers."),
    click.option("--certs", "signers", multiple=True, help="Signers' certificates that the message leaves out."),
    click.option("--profile", default="smime", show_default=True, callback=_profile, help="The role to be judged."),
    click.option("--at", callback=moment, help="The moment of the judgement, ISO 8601; now otherwise."),
    click.option("--grace", type=click.FloatRange(0, 168), help="Hours for which a list that is over still counts."),
    click.option("--without-attributes", is_flag=True, help="Accept a signature without signed attributes."),
)
KEYED = _options(
    click.option("--key", help="Private key, PEM or DER."),
    click.option("--cert", help="Its certificate, then its issuers."),
    click.option("--p12", help="Both in PKCS #12."),
    WORD,
)


# --- verify, evidence, inspect -------------------------------------------------------------------------------


@certs.command()
@click.argument("file", required=False)
@JUDGING
@click.option("--evidence", "kept", type=click.Path(path_type=Path), help="Judge by an evidence folder, as it was.")
@click.option("--out", type=click.Path(), help="Writes the content of an opaque signature that is trusted.")
@JSON
@LANGUAGE
@click.pass_context
def verify(context: click.Context, /, file: str | None, kept: Path | None, out: str | None, **options: Any) -> None:
    """Who signed FILE, by which chain, what was checked, what is missing to tell."""
    from gateway import certs_asking, certs_files

    with _mendable():
        if kept is not None:
            answer = certs_asking.again(kept, file, options["content"])
        elif file is None:
            raise Failure("which file? '-' is standard input")
        else:
            answer = certs_asking.asked(_trusted_by(context, options), file, options).answer()
        if out and answer.content is not None:
            certs_files.written(answer.content, out)
    _show(answer, options)
    sys.exit(answer.exit_code)


def _show(answer: Any, options: dict[str, Any]) -> None:
    from gateway import certs_answer, certs_pages

    if options["as_json"]:
        click.echo(json.dumps(certs_answer.as_json(answer), ensure_ascii=False))
    else:
        for line in certs_pages.explained(answer, options["lang"]):
            click.echo(line)


@certs.command()
@FILE
@JUDGING
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option("--with-file", is_flag=True, help="Keep a copy of FILE too: it holds the letter.")
@JSON
@LANGUAGE
@click.pass_context
def evidence(context: click.Context, /, file: str, out: Path, with_file: bool, **options: Any) -> None:
    """Write a folder from which `pli certs verify --evidence` gives the same answer later."""
    from gateway import certs_asking

    with _mendable():
        question = certs_asking.asked(_trusted_by(context, options), file, options)
        answer = question.keep(out, with_file=with_file)
    _show(answer, options)
    sys.exit(answer.exit_code)


@certs.command()
@FILE
@JSON
def inspect(file: str, as_json: bool) -> None:
    """Show what FILE is made of, without judging it and without its content."""
    from gateway import certs_files, certs_inspect

    with _mendable():
        told = certs_inspect.looked_at(certs_files.thing(file))
    if told[0]["kind"] == certs_files.Kind.BYTES:
        raise Failure(f"{file} is no letter, CMS object, certificate, list, OCSP answer or request")
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for line in certs_inspect.lines(told):
        click.echo("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line))


def _trusted_by(context: click.Context, options: dict[str, Any]) -> Any:
    """--anchors, else the node's trust folder with what it fetched and its grace."""
    from gateway import certs_files

    found, grace = certs_files.anchored(options["anchors"]), 0.0
    if not found.anchors:
        if not context.obj.exists():
            raise Failure("whom do you trust? Name roots with --anchors FILE, or a node with --config")
        settings = settings_of(context)
        found = certs_files.folder(settings.trust.folder).and_(certs_files.fetched(settings.revocation_cache))
        grace = settings.trust.grace_hours
    options["grace"] = grace if options["grace"] is None else options["grace"]
    crls, answers = certs_files.listed(options["crls"])
    others = certs_files.certificates(options["intermediates"])
    return found.and_(certs_files.Trusting((), others, crls, answers))


# --- sign, encrypt, decrypt ----------------------------------------------------------------------------------


FORM = click.option("--form", type=click.Choice(["smime", "der", "pem"]),
                    help="What is written: a letter's own form if FILE is a letter, else DER.")  # fmt: skip


@certs.command()
@FILE
@KEYED
@click.option("--from", "address", help="With --config: the keeper's key of this mailbox, or its domain's seal.")
@click.option("--hash", "hash_name", type=click.Choice(["sha256", "sha384", "sha512"]), default="sha256")
@click.option("--pss", is_flag=True, help="RSA-PSS instead of RSA PKCS #1 v1.5.")
@click.option("--opaque", is_flag=True, help="The content inside the signature.")
@click.option("--at", callback=moment, help="The signing time, ISO 8601; now otherwise.")
@FORM
@OUT
@TENANT
@click.pass_context
def sign(context: click.Context, /, file: str, out: str | None, **options: Any) -> None:
    """Sign a letter (multipart/signed, or opaque) or any file (detached .p7s, or opaque .p7m)."""
    from gateway import certs_files, certs_making

    with _mendable(), _keeper(context, options["address"], options.pop("tenant")) as keeper:
        signer = _keyed(options).signer() if keeper is None else certs_making.signer_of(keeper, options["address"])
        made = certs_making.signed(certs_files.thing(file), signer, options)
        certs_files.written(made, out)


@certs.command()
@FILE
@click.option(
    "--to",
    "recipients",
    multiple=True,
    required=True,
    help="A recipient's certificate, the first in its file. May be repeated.",
)
@click.option("--cbc", is_flag=True, help="AES-256-CBC, which authenticates nothing, for old correspondents.")
@click.option("--pkcs1", is_flag=True, help="RSA PKCS #1 v1.5 instead of OAEP, for old correspondents.")
@FORM
@OUT
def encrypt(file: str, recipients: Sequence[str], out: str | None, **options: Any) -> None:
    """Encrypt a letter or any file to the holders of certificates: AES-256-GCM, RSA-OAEP or ECDH."""
    from gateway import certs_files, certs_making

    with _mendable():
        made = certs_making.encrypted(certs_files.thing(file), certs_files.holders(recipients), options)
        certs_files.written(made, out)


@certs.command()
@FILE
@KEYED
@click.option("--for", "address", help="With --config: the keeper's keys of this mailbox.")
@click.option("--inner", is_flag=True, help="Of a letter, what was encrypted alone, without the header outside.")
@OUT
@LANGUAGE
@TENANT
@click.pass_context
def decrypt(context: click.Context, /, file: str, inner: bool, out: str | None, lang: str, **options: Any) -> None:
    """Open an encrypted letter or CMS object; what protected it, or did not, goes to standard error."""
    from gateway import certs_files, certs_making, certs_pages

    with _mendable(), _keeper(context, options["address"], options.pop("tenant")) as keeper:
        openers = (_keyed(options).opener(),) if keeper is None else certs_making.openers_of(keeper, options["address"])
        thing = certs_files.thing(file)
        opened = certs_making.opened(thing, openers)
        for line in certs_pages.opened(opened, lang):
            click.echo(line, err=True)
        if content := certs_making.content_of(opened, thing, inner):
            certs_files.written(content, out)
    sys.exit(certs_making.exit_code(opened))


def _keyed(options: dict[str, Any]) -> Any:
    from gateway import certs_files

    return certs_files.keyed(options["key"], options["cert"], options["p12"], options["passphrase_file"])


@contextmanager
def _keeper(context: click.Context, address: str | None, tenant: str) -> Iterator[Any]:
    """The node's keeper where an address was given, else None; it answers with the keys of this tenant alone."""
    if address is None:
        yield None
        return
    from gateway import app

    settings: Settings = settings_of(context).view(tenant)
    client = app.keeper_client(settings)
    try:
        yield client
    finally:
        client.close()


# --- for those who keep keys ---------------------------------------------------------------------------------


certs.add_command(watch)
certs.add_command(request)
certs.add_command(throwaway)
