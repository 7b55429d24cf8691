"""`pli directory publish`: one round of telling the national directory of our mailboxes, and what became of each.

Promises: what came back is read first; a round may be cut and typed again. Exit code 1 where something was refused.
Does not: decide what is wanted (`pli mailbox`, `pli onboard` do).
"""

from __future__ import annotations

import json
import sys

import click

from gateway.command import Failure, with_settings
from gateway.config import Settings
from gateway.directory_upkeep_command import BY, JSON


@click.command()
@click.option("--status", is_flag=True, help="Send nothing: show what waits, was sent, is done, was refused.")
@click.option("--again", is_flag=True, help="What was refused is due once more, after a person mended it.")
@BY
@JSON
@with_settings
def publish(settings: Settings, status: bool, again: bool, by: str, as_json: bool) -> None:
    """Read the reports, then send what is due, by the adapter of [publication]."""
    from gateway import publishing

    if status:
        _status(settings, as_json)
        return
    _require(settings, by)
    if again:
        click.echo(f"{publishing.again(settings)} due again", err=True)
    done = publishing.run(settings, lambda count: click.echo(f"told: {count}", err=True))
    counts = {state.value: number for state, number in publishing.counts(settings).items()}
    told = {"reported": dict(done.reported), "sent": dict(done.sent), "states": counts}
    adapter = settings.publication.adapter.value
    click.echo(json.dumps({"adapter": adapter} | told) if as_json else f"{adapter}: {_words(counts)}")
    if counts["refused"]:
        sys.exit(1)


def _require(settings: Settings, by: str) -> None:
    from directory.roles import Act, NotYours
    from gateway import administration

    try:
        with administration.desk(settings, by) as at:
            at.require(Act.PUBLISH)
    except NotYours as error:
        raise Failure(str(error)) from None


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts.items())


def _status(settings: Settings, as_json: bool) -> None:
    """Counts, then each mailbox that is not as wanted."""
    from gateway import publishing
    from relay.store.publications import State

    counts = {state.value: number for state, number in publishing.counts(settings).items()}
    if not as_json:
        click.echo(f"{settings.publication.adapter.value}: {_words(counts)}")
    for each in publishing.listed(settings, (State.DUE, State.SENT, State.REFUSED)):
        row = {"address": each.address, "state": each.state.value, "attempts": each.attempts, "reason": each.reason}
        row |= {"due": each.due_at.isoformat(), "wanted": bool(each.wanted)}
        said = f"{each.address}  {each.state.value}  {each.attempts}  {each.reason}"
        click.echo(json.dumps(row) if as_json else said.rstrip())
    if counts["refused"]:
        sys.exit(1)
