"""The command `pli`: what an operator types. Each command builds its parts from the configuration and shows values.

Promises: a wrong configuration, file or address is one sentence on standard error and exit code 2, never a traceback;
look-ups show no content and no patient's identity. Does not: hold rules of its own.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

import click
from rich.table import Table

from gateway import log, readiness
from gateway.account_command import account
from gateway.account_web_command import account_code, account_role
from gateway.audit_command import audit
from gateway.backup_command import backup, restore
from gateway.certs_command import certs
from gateway.clients_command import autoconfig, dns
from gateway.command import LANGUAGE, Failure, in_words, out, settings_of, with_node, with_settings
from gateway.config import Settings
from gateway.custody_command import queue, recipient, trace
from gateway.directory_command import directory
from gateway.document_command import cda, xdm
from gateway.dossier_command import dossier
from gateway.erase_command import erase
from gateway.evidence_command import evidence
from gateway.health_command import health
from gateway.help_command import help_group
from gateway.indicators_command import indicators
from gateway.journal_command import journal
from gateway.keys_command import keys
from gateway.mailbox_command import mailbox
from gateway.onboard_command import onboard
from gateway.patients_command import patients
from gateway.peers_command import peers
from gateway.policy_command import explain, policy
from gateway.quickstart_command import quickstart
from gateway.worklist_command import worklist


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", "-c", type=click.Path(path_type=Path), default=Path("/etc/pli/pli.toml"), show_default=True,
    envvar="PLI_CONFIG", help="The node's configuration.",
)  # fmt: skip
@click.version_option(package_name="pli-gateway", prog_name="pli")
@click.pass_context
def pli(context: click.Context, config: Path) -> None:
    """Pli, passerelle de messagerie sécurisée de santé. A secure messaging gateway for health professionals."""
    context.obj = config
    log.of_command()


# --- serving ---------------------------------------------------------------------------------------------------


@pli.command()
@click.option(
    "--only",
    type=click.Choice(
        [
            "spooler",
            "keeper",
            "doors",
            "collector",
            "carrier",
            "refresher",
            "mllp",
            "identities",
            "monitor",
            "web",
            "upkeep",
        ]
    ),
    help="Run one process of it.",
)
@click.option("--name", default="", hidden=True, help="Which of several processes of one kind.")
@click.pass_context
def serve(context: click.Context, only: str | None, name: str) -> None:
    """Run this node: doors, spooler, keeper, carrier."""
    from gateway import serve as serving

    with in_words():
        settings = settings_of(context)
        stop = _until_signalled()
        if only:
            from gateway import process

            process.run(only, settings, stop, name)
        else:
            serving.ensure_free(settings)
            sys.exit(serving.supervise(settings, context.obj, stop))


def _until_signalled() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


# --- letters ---------------------------------------------------------------------------------------------------


@pli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "addresses", multiple=True, help="Recipient's address; may be repeated.")
@click.option("--to-patient", "numbers", multiple=True, help="A patient of the register, by his IPP; may be repeated.")
@click.option("--final", is_flag=True, help="A patient cannot answer this letter (X-MSS-MES: FIN).")
@click.option("--from", "sender", required=True, help="A mailbox of this node.")
@click.option("--patient", default="", help="Whose a bare PDF is: the establishment's own identifier (IPP).")
@click.option("--type", "type_code", default="", help="What a bare PDF is: a document type, e.g. 34112-3.")
@click.option("--title", default="", help="Title of a bare PDF.")
@click.option("--text", default="", help="Text of the letter.")
@with_settings
def send(
    settings: Settings,
    files: tuple[Path, ...],
    addresses: tuple[str, ...],
    numbers: tuple[str, ...],
    final: bool,
    sender: str,
    text: str,
    **about: str,
) -> None:
    """Pack documents (CDA, XDM or PDF) as a health-document mail and send it."""
    from gateway import outgoing

    if not addresses and not numbers:
        raise click.UsageError("name a recipient: --to ADDRESS or --to-patient IPP")
    to = outgoing.To(addresses, numbers, final)
    try:
        receipt = outgoing.send(settings, files, sender, to, outgoing.About(**about), text)
    except outgoing.NotSent as error:
        raise Failure(str(error)) from None
    click.echo(receipt.letter_id)


@pli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@LANGUAGE
@with_settings
def collectors(settings: Settings, as_json: bool, lang: str) -> None:
    """How collecting from mailboxes at other operators goes."""
    from gateway import collectors as rounds
    from gateway import lookout

    rows = rounds.health(settings)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    heads = {
        "fr": ("boîte", "état", "entrées", "refusées", "vue le", "motif"),
        "en": ("mailbox", "state", "entered", "refused", "last seen", "reason"),
    }
    table = Table(*heads[lang])
    for row in rows:
        why = " ".join(filter(None, (lookout.why(row["reason"], lang) if row["reason"] else "", row["detail"])))
        table.add_row(row["source"], row["state"], str(row["entered"]), str(row["refused"]), row["well_at"], why)
    out.print(table)


@pli.command()
@with_node
def scan(settings: Settings) -> None:
    """How the malware scan is: ready, stale, without signatures, or down. Exit code 0 only when it is ready."""
    from gateway import app
    from relay.scan import CannotScan, Clamd

    scanning = app.scanning(settings)
    if scanning is None or not isinstance(scanning.scan, Clamd):
        raise Failure("no scan is configured: name clamd's socket in [scan]")
    state = scanning.scan.state()
    if isinstance(state, CannotScan):
        raise Failure(" ".join(filter(None, (f"scan {state.why.value}:", scanning.policy[state.why].value, state.by))))
    click.echo(f"ready {state.by}")


# --- care ------------------------------------------------------------------------------------------------------


@pli.group("config")
def config_group() -> None:
    """The node's configuration."""


@config_group.command("check")
@with_node
def config_check(settings: Settings) -> None:
    """Look at everything the configuration names; say what is missing, and what may not be claimed."""
    from gateway import app, claims, watching
    from gateway.install import kernel_clock

    found = [("ok  ", check) for check in readiness.checks(settings)]
    found += [("wait", check) for check in readiness.waiting(settings)]
    absent = {readiness.plain(check.name) for _, check in found if not check.ok}
    later = watching.warnings(settings, app.clock())
    found += [("soon", check) for check in later if readiness.plain(check.name) not in absent]
    for word, check in found:
        click.echo(f"{word if check.ok else 'BAD '} {check.name}: {check.sentence}")
    for sentence in claims.not_claimed(settings, kernel_clock.kept()):
        click.echo(f"note {sentence}")
    if bad := sum(not check.ok for _, check in found):
        raise Failure(f"{bad} things to mend")


@config_group.command("show")
@click.option("--sources", is_flag=True, help="Each value with where it comes from: environment, file or factory.")
@with_node
def config_show(settings: Settings, sources: bool) -> None:
    """The configuration as it stands; secrets are files and are not shown."""
    if not sources:
        click.echo(settings.model_dump_json(indent=2))
        return
    from gateway import provenance

    for each in provenance.values(settings, click.get_current_context().obj):
        click.echo(f"{each.key} = {each.value}  ({' '.join(filter(None, (each.source, each.where)))})")


@config_group.command("manual")
def config_manual() -> None:
    """Print docs/configuration.md."""
    from gateway.manual import markdown

    click.echo(markdown(), nl=False)


@pli.command()
@with_node
def migrate(settings: Settings) -> None:
    """Bring the database to this version's tables."""
    from gateway import app

    app.migrate(settings)


@pli.command()
@with_node
def verify(settings: Settings) -> None:
    """Check the database, the journal's chains against their sealed heads, the spool's invariants and every body."""
    from gateway import app
    from gateway.journal_command import told

    told(app.verify(settings))


pli.add_command(journal)
pli.add_command(evidence)
pli.add_command(erase)
pli.add_command(keys)
pli.add_command(backup)
pli.add_command(restore)
pli.add_command(dossier)
account.add_command(account_code)
account.add_command(account_role)
pli.add_command(account)
pli.add_command(mailbox)
pli.add_command(onboard)
pli.add_command(certs)
pli.add_command(dns)
pli.add_command(directory)
pli.add_command(autoconfig)
pli.add_command(help_group)
pli.add_command(audit)
pli.add_command(health)
pli.add_command(quickstart)
pli.add_command(indicators)
pli.add_command(patients)
pli.add_command(peers)
pli.add_command(worklist)
pli.add_command(policy)
pli.add_command(trace)
pli.add_command(queue)
pli.add_command(recipient)
pli.add_command(explain)
pli.add_command(cda)
pli.add_command(xdm)


@pli.command()
@click.option("--once", is_flag=True, help="Play once and end everything (the default).")
@click.option("--keep", is_flag=True, help="Leave everything running and say how to try it.")
@click.option("--down", is_flag=True, help="End what --keep left running.")
@click.option("--json", "as_json", is_flag=True, help="Last line: {ok, steps: [{name, ok, evidence}]}.")
@click.option("--code", metavar="LOGIN", help="Print the one-time code with which LOGIN signs in at the pages now.")
@click.option("--wrong-host", type=click.Choice(["success-without-storing", "wrong-hash", "half-success"]),
              help="Play against a dossier host that lies; the demo must then fail.")  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".pli/demo"), show_default=True)
@LANGUAGE
def demo(
    once: bool, keep: bool, down: bool, as_json: bool, code: str | None, wrong_host: str | None, folder: Path, lang: str
) -> None:
    """Play the first letter between two invented operators, on real servers, and look at it from outside."""
    from gateway.demo import play

    if (once or as_json) and keep:
        raise Failure("--keep leaves it running, --once ends it: choose one")
    if down:
        sys.exit(play.down(folder.resolve()))
    if code:
        sys.exit(play.code(folder.resolve(), code.lower()))
    sys.exit(play.main(folder.resolve(), keep=keep, as_json=as_json, wrong_host=wrong_host, language=lang))
