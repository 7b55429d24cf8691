"""The node's own configuration as the answers want it: pli.toml.

Promises: what it says is read back by gateway.config, or this fails; one tenant stands at the top, several under
[tenants.NAME]; national filing is not in it. Does not: write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.config import Settings
from gateway.install.answers import Answers, House
from gateway.install.layout import IMAPS, LDAP, LMTP, MONITOR, PEERS, SUBMISSION, Layout

Sections = dict[str, Mapping[str, Any]]

_HEAD = """\
# Made by `pli quickstart`. Every key is described in docs/configuration.md; `pli config check` says what is missing.
# Once you edit this file, quickstart leaves it alone and lays what it would write beside it.
"""


def text(answers: Answers) -> str:
    """JSON strings, numbers and arrays are TOML too."""
    lines = [_HEAD]
    for name, values in sections(answers).items():
        lines += [f"[{name}]", *(f"{json.dumps(key)} = {_value(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, default=str, ensure_ascii=False)


def settings(answers: Answers) -> Settings:
    """As the node will read them."""
    nested: dict[str, Any] = {}
    for name, values in sections(answers).items():
        at = nested
        for step in name.split("."):
            at = at.setdefault(step, {})
        at.update(values)
    return Settings(**nested)


def sections(answers: Answers) -> Sections:
    layout = Layout(answers)
    return {**_node(answers), **_world(layout), **_pages(answers), **dict(_houses(layout))}


def _pages(answers: Answers) -> Sections:
    if not answers.pages_port:
        return {}
    beside = {"certificate_port": answers.certificate_port} if answers.certificate_port else {}
    url = f"https://{answers.hostname}:{answers.pages_port}"
    at = {"host": answers.listen, "port": answers.pages_port, "url": url}
    return {"web": {**at, **beside, **_clock(answers), "imap_port": IMAPS, "imap_name": answers.hostname}}


OVERSEAS = {
    "971": "America/Guadeloupe",
    "972": "America/Martinique",
    "973": "America/Cayenne",
    "974": "Indian/Reunion",
    "975": "America/Miquelon",
    "976": "Indian/Mayotte",
    "977": "America/St_Barthelemy",
    "978": "America/Marigot",
    "986": "Pacific/Wallis",
    "987": "Pacific/Tahiti",
    "988": "Pacific/Noumea",
}
"""Departments and collectivities by their number (INSEE), where the clock is not that of Paris."""


def _clock(answers: Answers) -> Mapping[str, Any]:
    """The zone where all establishments are; nothing where that is Paris's, or not one."""
    numbers = {house.department.rpartition("(")[2].rstrip(") ") for house in answers.tenants}
    zones = {OVERSEAS.get(each, "") for each in numbers}
    return {"time_zone": zones.pop()} if len(zones) == 1 and zones != {""} else {}


def _node(answers: Answers) -> Sections:
    listen = answers.listen
    return {
        "node": {"name": answers.hostname.partition(".")[0], "hostname": answers.hostname, **_alone(answers)},
        "paths": {"data": answers.data, "run": answers.run},
        "doors": {
            "peers": {"host": listen, "port": PEERS},
            "submission": {"host": listen, "port": SUBMISSION},
        },
        "monitor": {"port": MONITOR},
    }


def _alone(answers: Answers) -> Mapping[str, Any]:
    return {} if answers.several else {"tenant": answers.tenants[0].name, **_who(answers.tenants[0])}


def _who(house: House) -> Mapping[str, Any]:
    return {"domains": house.domains, "establishment": house.establishment}


def _world(layout: Layout) -> Sections:
    told, etc = layout.answers, layout.answers.etc
    trust = {
        "folder": layout.trust,
        "white_list": layout.trust / "white-list.xml",
        "white_list_url": told.white_list_url,
        "white_list_signer": told.white_list_signer,
    }
    directory = {
        "uri": f"ldap://127.0.0.1:{LDAP}",
        "base": told.suffix,
        "bind_dn": f"cn=relais,{told.suffix}",
        "password_file": etc / "directory.password",
    }
    feed = {"bind_dn": f"cn=gestion,{told.suffix}", "password_file": etc / "feed.password"}
    scan: Sections = {"scan": {"socket": told.clamd}} if told.clamd else {}
    return {
        "tls": {"certificate": layout.tls / "server.pem", "key": layout.tls / "server.key"},
        "trust": trust,
        "directory": directory,
        "feed": feed,
        "delivery": {"lmtp_port": LMTP},
        **scan,
    }


def _houses(layout: Layout) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for house in layout.answers.tenants:
        prefix = f"tenants.{house.name}." if layout.answers.several else ""
        if prefix:
            yield prefix.rstrip("."), _who(house)
        home = layout.home(house)
        keeper = {
            "folder": layout.keys(house),
            "body_public_key": home / "body.pub",
            "digest_key": home / "digest.key",
            "pseudonym_key": home / "pseudonym.key",
        }
        yield f"{prefix}keeper", keeper
        yield f"{prefix}accounts", {"file": layout.accounts_of(house)}
