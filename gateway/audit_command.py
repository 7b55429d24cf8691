"""`pli audit`: the trust space's audit cases, asked from this node, with a report that the establishment seals.

Promises: exit code 0 when all is as expected, 1 when something is not, 2 for a wrong use or a part of the node that
does not answer; nothing is sent to anybody. Does not: hold a check (audit does).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gateway.command import LANGUAGE, Failure, out, with_settings
from gateway.config import ConfigError, Settings

PARENT = "espacedeconfiance.mssante.fr"
LETTER = "audit"
"""What the keeper's record of the release names."""


@click.command()
@click.argument("domains", nargs=-1)
@click.option("--domain", "more", multiple=True, help="A domain to look at; may be repeated.")
@click.option("--parent", default=PARENT, show_default=True, envvar="PLI_AUDIT_PARENT",
              help="Without a domain, the eight of the audit platform under this one are looked at.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The report as JSON, on standard output.")
@click.option("--out", "file", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the report there, and the establishment's seal beside it (.p7s).")  # fmt: skip
@LANGUAGE
@with_settings
def audit(
    settings: Settings,
    domains: tuple[str, ...],
    more: tuple[str, ...],
    parent: str,
    as_json: bool,
    file: Path | None,
    lang: str,
) -> None:
    """Whom would letters reach, and would our door be believed: the trust space's audit cases. Nothing is sent."""
    from gateway import app, audit_page, log
    from gateway import audit as auditing

    log.configure("CRITICAL", None, "command", app.pseudonyms(settings).scrub)  # what would alarm is what is asked for
    asked = [_checked(each) for each in (*domains, *more)]
    found = auditing.audit(settings, asked or [f"{case.name}.{_checked(parent)}" for case in auditing.CASES])
    report = audit_page.as_json(found)
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        for each in audit_page.page(found, lang):
            out.print(each, markup=False)
    if file:
        _seal(settings, file, json.dumps(report, ensure_ascii=False, indent=1).encode() + b"\n")
    if not found.ok:
        sys.exit(1)


def _checked(domain: str) -> str:
    from directory import address

    try:
        return address.parse(f"audit@{domain}").domain
    except address.BadAddress:
        raise Failure(f"'{domain}' is no mail domain") from None


def _seal(settings: Settings, file: Path, content: bytes) -> None:
    """Two files, as for the journal's heads: what is said, and a detached CMS signature that any tool verifies."""
    from certs import cms, disk
    from gateway import app

    keeper = app.keeper_client(settings)
    try:
        domain = settings.node.domains[0]
        signer = keeper.seal_for(domain, LETTER)
        if signer is None:
            raise ConfigError(f"the keeper holds no seal for {domain}: the report is not written")
        signature = cms.sign(content, signer, app.clock())
        # The signature first: a report without one would be worth nothing
        disk.put(file.with_suffix(".p7s"), signature, disk.PUBLIC)
        disk.put(file, content, disk.PUBLIC)
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from None
    finally:
        keeper.close()
