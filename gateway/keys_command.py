"""`pli keys`: the body key of this node: which one seals, another one, and the end of the old ones.

Promises: each step may be repeated and cut short; progress goes to standard error. Does not: hold a rule of it
(gateway.rotation).
"""

from __future__ import annotations

import json

import click

from gateway.command import Failure, with_settings
from gateway.config import Settings


@click.group()
def keys() -> None:
    """The body key: to it bodies of letters and patients' identities are sealed."""


def _progress(count: int) -> None:
    click.echo(f"wrapped again: {count}", err=True)


@keys.command("show")
@click.option("--json", "as_json", is_flag=True)
@with_settings
def keys_show(settings: Settings, as_json: bool) -> None:
    """Say which body key is in use, by its mark, and how many values are sealed to each."""
    from gateway import rotation

    found = rotation.counted(settings)
    if as_json:
        click.echo(json.dumps({"in_use": found.in_use, "older": found.older, "by_key": dict(found.by_key)}))
        return
    click.echo(f"{found.in_use} in use: {found.by_key[found.in_use]} values")
    for mark, count in sorted(found.by_key.items()):
        if mark != found.in_use:
            click.echo(f"{mark or 'of the first form'}: {count} values")


@keys.command("rotate-body")
@with_settings
def keys_rotate(settings: Settings) -> None:
    """Make a new body key and put it to use while the node runs; then wrap again what was sealed before."""
    from gateway import app, rotation

    try:
        mark = rotation.rotate(settings, app.clock())
        click.echo(f"{mark} in use")
        click.echo(f"{rotation.rewrap(settings, _progress)} values wrapped again")
    except (rotation.NotRotated, OSError) as error:
        raise Failure(str(error)) from None


@keys.command("rewrap")
@with_settings
def keys_rewrap(settings: Settings) -> None:
    """Go on wrapping again what is sealed to older keys; what is done stays done."""
    from gateway import rotation

    try:
        click.echo(f"{rotation.rewrap(settings, _progress)} values wrapped again")
    except OSError as error:
        raise Failure(str(error)) from None


@keys.command("retire")
@click.option("--after", "hours", type=click.FloatRange(0), default=1.0, show_default=True,
              help="Hours that the key in use must have served.")  # fmt: skip
@with_settings
def keys_retire(settings: Settings, hours: float) -> None:
    """Destroy older body keys, if nothing is sealed to them any more. Copies made before need them: keep one apart."""
    from datetime import timedelta

    from gateway import app, rotation

    try:
        click.echo(f"{rotation.retire(settings, app.clock(), timedelta(hours=hours))} keys destroyed")
    except (rotation.NotRotated, OSError) as error:
        raise Failure(str(error)) from None
