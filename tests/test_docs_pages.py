"""The pages of docs/: every command in them exists with its options, every link leads somewhere, the retention table
says what the program does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli import pli
from gateway.config import Settings, section

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(each.name for each in DOCS.glob("*.md") if each.name != "configuration.md")
_TYPED = re.compile(r"^    [$#] (.*)$|`(pli [a-z][^`]*)`", re.M)


def typed(text: str) -> Iterator[str]:
    """Each command line of `pli` in a page: in a block after its prompt, or in the running text."""
    for block, inline in _TYPED.findall(text):
        for command in (block or inline).partition("  #")[0].split("&&"):
            if command.strip().startswith("pli "):
                yield command.strip()


def fault(line: str) -> str:
    """What is wrong with a command line, or nothing: a command or an option that does not exist."""
    words = shlex.split(re.sub(r"[|\\>].*|[“”’…]", "", line), comments=True)[1:]
    at: click.Command = pli
    for word in words:
        if isinstance(at, click.Group) and not word.startswith("-"):
            found = at.commands.get(word)
            if found is None and at is not pli and at.invoke_without_command:
                continue
            if found is None:
                return "" if _an_argument(words, word) else f"{at.name} has no command {word}"
            at = found
        elif word.startswith("--") and word.partition("=")[0] not in _options(at):
            return f"{at.name} has no option {word}"
    return ""


def _an_argument(words: list[str], word: str) -> bool:
    """What follows `-c` is a file."""
    return words[words.index(word) - 1] in ("-c", "--config")


def _options(command: click.Command) -> set[str]:
    named = {"--help", "--version", *(name for each in command.params for name in each.opts)}
    return named | ({"--folder"} if command.name == "host" else set())  # passed on to another program


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_exists(page: str) -> None:
    """With each of its options."""
    lines = list(typed((DOCS / page).read_text("utf-8")))
    assert [(line, wrong) for line in lines if (wrong := fault(line))] == []


def test_the_pages_for_whoever_is_called_name_commands() -> None:
    """What to do when, installing, moving: no page of orders is without one."""
    pages = ("install.md", "upgrade.md", "backup.md", "move-a-domain.md", "when.md", "data-protection.md")
    assert [each for each in pages if len(set(typed((DOCS / each).read_text("utf-8")))) < 3] == []


@pytest.mark.parametrize(
    "line", ["pli queues", "pli queue hold --everything", "pli certs requests --help", "pli dns --chek"]
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    """The twin."""
    assert fault(line)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    """To a file of the project, or to a heading of a page."""
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", (DOCS / page).read_text("utf-8")):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        path = DOCS / file if file else DOCS / page
        if not path.exists() or (anchor and anchor not in _anchors(path.read_text("utf-8"))):
            lost.append(target)
    assert lost == []


def _anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in heads}


def test_the_retention_table_says_what_the_program_does() -> None:
    """Each setting of it exists, and its factory's value is the one that is shown."""
    rows = re.findall(r"^\| [^|]* \| `([a-z]+)\.([a-z_]+)` \| ([0-9]+) \|", _page("data-protection.md"), re.M)
    assert len(rows) >= 7
    assert [row for row in rows if factory(*row[:2]) != float(row[2])] == []


def test_every_setting_that_keeps_something_stands_in_the_table() -> None:
    """Whatever key of the configuration is about how long personal data are kept."""
    table = _page("data-protection.md")
    kept = (
        "retention.bodies_days",
        "feed.kept_days",
        "carrier.lifetime_s",
        "dossier.undo_hours",
        "trust.white_list_kept",
        "web.locked_hours",
    )
    assert [each for each in kept if f"`{each}`" not in table] == []


def factory(name: str, key: str) -> float:
    """A key's value where nobody says otherwise."""
    model = section(Settings.model_fields[name].annotation)
    return float(model.model_fields[key].default)


def _page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")
