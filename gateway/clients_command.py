"""`pli dns` and `pli autoconfig`: what mail clients are told of this node.

Promises: standard output is what is to be published, and nothing else. Does not: publish or sign.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from gateway.command import Failure, with_settings
from gateway.config import Settings


@click.command()
@click.option("--check", is_flag=True, help="Ask the name servers (dns.servers) what is published already.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@with_settings
def dns(settings: Settings, check: bool, as_json: bool) -> None:
    """The records to publish for each domain of this node: MX, and where mail clients find it."""
    from gateway import service_records
    from relay.hosts import resolver

    wanted = service_records.records(settings)
    if not check:
        for each in wanted:
            click.echo(json.dumps(each._asdict()) if as_json else str(each))
        return
    asking, patience = resolver(settings.dns.places), settings.dns.timeout_s
    with ThreadPoolExecutor(8) as pool:
        looks = list(pool.map(lambda each: service_records.seen(each, asking, patience), wanted))
    for look in looks:
        row = {**look.record._asdict(), "state": look.state, "found": list(look.found)}
        found = f" ({'; '.join(look.found)})" if look.state is service_records.State.OTHER else ""
        click.echo(json.dumps(row) if as_json else f"{look.state:<11} {look.record}{found}")
    if bad := sum(look.state is not service_records.State.OK for look in looks):
        raise Failure(f"{bad} of {len(looks)} records are not published as they should be")


@click.command()
@click.argument("domain")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the files.")
@with_settings
def autoconfig(settings: Settings, domain: str, out: Path) -> None:
    """Write the configuration files of DOMAIN for Thunderbird, Outlook and Apple Mail."""
    from gateway import autoconfiguration

    if domain.lower() not in {each.lower() for each in settings.node.domains}:
        raise Failure(f"{domain} is no domain of this node: {', '.join(settings.node.domains)}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in autoconfiguration.files(autoconfiguration.service(settings, domain.lower())).items():
            (out / name).write_bytes(content)
            click.echo(str(out / name))
    except OSError as error:
        raise Failure(f"{out}: {error.strerror}") from None
