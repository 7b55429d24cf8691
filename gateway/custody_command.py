"""`pli trace`, `pli queue`, `pli recipient`: where a letter is, what waits, and what a person does about it.

Promises: no content and no patient's identity is shown; each look-up and each act is a row of the journal with who, and
each act with why; what is done to many can be shown first (--dry-run). Does not: decide what is allowed (relay.acts).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from gateway.command import LANGUAGE, TENANT, Failure, out, with_settings
from gateway.config import Settings

F = TypeVar("F", bound=Callable[..., Any])
ACTIONS = ("hold", "release", "resend", "reroute", "bounce")
_SHOWN_MOST = 20

WHY = click.option("--why", default="", help="Why, for the journal: a ticket, a few words; never a patient's name.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")


class Day(click.ParamType):  # type: ignore[type-arg]  # click before 8.3 knows no argument
    """A day, or a moment, in UTC."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"'{value}' is no date: 2026-11-25, or 2026-11-25T14:30", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command()
@click.argument("letter", required=False, default="")
@click.option("--message-id", default="", help="The mail's Message-ID.")
@click.option("--sender", default="", help="Envelope sender.")
@click.option("--recipient", default="", help="Recipient's address.")
@click.option("--date", "day", type=Day(), help="Of this day (UTC).")
@click.option("--since", type=Day(), help="Not before this day or moment (UTC).")
@click.option("--until", type=Day(), help="Before this day or moment (UTC).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a letter.")
@LANGUAGE
@with_settings
def trace(settings: Settings, letter: str, as_json: bool, lang: str, day: datetime | None, **wanted: Any) -> None:
    """Where is a letter: its timeline, one row per step, without content. Each look-up is journalled."""
    from gateway import lookout

    if day is not None:
        wanted |= {"since": day, "until": day + timedelta(days=1)}
    if not (letter or any(wanted.values())):
        raise Failure("name a letter: its id, or --message-id, --sender, --recipient, --date, --since or --until")
    trails = lookout.trace(settings, letter, **wanted)
    if not trails:
        raise Failure("no letter of this node answers to that")
    for trail in trails:
        if as_json:
            click.echo(json.dumps(lookout.as_json(trail), ensure_ascii=False))
        else:
            lookout.show(trail, out, lang)
    if len(trails) >= lookout.MOST:
        click.echo(f"pli: only the newest {lookout.MOST} are shown: narrow it", err=True)


# --- the queue --------------------------------------------------------------------------------------------------


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@LANGUAGE
@TENANT
@click.pass_context
def queue(context: click.Context, as_json: bool, lang: str, tenant: str) -> None:
    """What waits, by destination; and what is done to all that waits at one."""
    if context.invoked_subcommand is None:
        context.invoke(show_queue, as_json=as_json, lang=lang, tenant=tenant)


@queue.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@LANGUAGE
@with_settings
def show_queue(settings: Settings, as_json: bool, lang: str) -> None:
    """What waits, by destination (the same as `pli queue`)."""
    from gateway import lookout

    if as_json:
        for row in lookout.queue_rows(settings):
            click.echo(json.dumps(row, ensure_ascii=False))
    else:
        out.print(lookout.queue_table(settings, lang))


def _of_destination(action: str, words: str) -> click.Command:
    """One act on all of a tenant's recipients at a destination (gateway.custody.MOVED)."""

    @queue.command(action, help=words)
    @click.option("--to", "target", required=True, help="The destination: a domain, as `pli queue` shows it.")
    @WHY
    @DRY_RUN
    @with_settings
    def command(settings: Settings, target: str, why: str, dry_run: bool) -> None:
        from gateway import custody

        states = custody.MOVED[action]
        found = custody.towards(settings, target, states)
        if not found:
            raise Failure(f"nothing at '{target}' is {' or '.join(states)}: see `pli queue`")
        if dry_run:
            _show_plan(custody.plan(settings, action, found))
            return
        _require(why)
        with click.progressbar(length=len(found), label=action, file=sys.stderr) as bar:
            done, refused = custody.act(settings, action, found, why, bar.update)
        for recipient_id, reason in refused.items():
            click.echo(f"pli: {recipient_id}: not done: {reason}", err=True)
        click.echo(f"{action}: {done} of {len(found)}")
        if refused:
            raise SystemExit(1)

    return command


def _show_plan(lines: list[str]) -> None:
    for line in lines[:_SHOWN_MOST]:
        click.echo(line)
    if len(lines) > _SHOWN_MOST:
        click.echo(f"… {len(lines) - _SHOWN_MOST} more")
    click.echo(f"{len(lines)} recipients; nothing was done")


def _require(why: str) -> None:
    if not why.strip():
        raise Failure("say why: --why 'ticket 4711'; the journal keeps it")


_of_destination("hold", "Hold back for a person what is queued for this destination.")
_of_destination("release", "Let go, and try now, what is held for this destination.")
_of_destination("resend", "Begin anew, with five days of its own, what failed at this destination.")
_of_destination("reroute", "Choose the way anew, by today's rules, of what is queued, held or failed there.")
_of_destination("bounce", "Give up what is queued or held for this destination, and tell the senders.")


# --- one recipient ------------------------------------------------------------------------------------------------


@click.command()
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("recipient_id")
@WHY
@DRY_RUN
@with_settings
def recipient(settings: Settings, action: str, recipient_id: str, why: str, dry_run: bool) -> None:
    """Hold, release, resend, reroute or bounce one recipient of a letter (ids: pli trace)."""
    from gateway import custody

    found = custody.one(settings, recipient_id)
    if found is None:
        raise Failure("not done: no such recipient")
    if dry_run:
        _show_plan(custody.plan(settings, action, [found]))
        return
    _require(why)
    _, refused = custody.act(settings, action, [found], why, lambda _: None)
    if refused:
        raise Failure(f"not done: {refused[recipient_id]}")
    click.echo(f"{recipient_id}: {action}")
