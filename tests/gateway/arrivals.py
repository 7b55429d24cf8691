"""A table of who arrives, good and bad rows, and the node to which it is applied."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from directory.region import with_luhn
from gateway.cli import pli
from gateway.demo.servers import Slapd
from gateway.onboarding_table import COLUMNS

WORD = "mot-de-passe"

NODE = """
[node]
name = "n1"
hostname = "mss.central.example"
[paths]
data = "{folder}/data"
run = "{folder}/run"
[doors]
[tls]
certificate = "{folder}/tls.pem"
key = "{folder}/tls.key"
[trust]
folder = "{folder}/trust"
white_list = "{folder}/list.xml"
[directory]
uri = "{uri}"
base = "{suffix}"
bind_dn = "cn=relais,{suffix}"
password_file = "{folder}/word"
[feed]
bind_dn = "cn=gestion,{suffix}"
password_file = "{folder}/word"
[administration]
bind_dn = "cn=passerelle,{suffix}"
password_file = "{folder}/word"
[administration.people]
anne = {{ role = "region" }}
bob = {{ role = "establishment", establishment = "central" }}
carl = {{ role = "establishment", establishment = "etab-1" }}
dora = {{ role = "delegate" }}
emil = {{ role = "support" }}
[delivery]
lmtp_port = 24
[publication]
adapter = "drop"
folder = "{folder}/depot"
[tenants.central]
domains = ["central.mssante.example"]
[tenants.central.keeper]
folder = "{folder}/central/keys"
body_public_key = "{folder}/central/body.pub"
digest_key = "{folder}/central/digest"
pseudonym_key = "{folder}/central/pseudonym"
[tenants.central.accounts]
file = "{folder}/central/accounts"
"""


@dataclass
class Town:
    folder: Path
    slapd: Slapd

    @property
    def config(self) -> Path:
        return self.folder / "pli.toml"

    def pli(self, *words: str, status: int = 0) -> str:
        done = CliRunner().invoke(pli, ["--config", str(self.config), *words])
        assert done.exit_code == status, done.output
        return done.output

    def onboard(self, file: Path, mode: str = "--apply", by: str = "anne", status: int = 0) -> dict[str, object]:
        words = ["onboard", str(file), mode, "--by", by, "--because", "convention", "--json"]
        said = self.pli(*words, status=status)
        told: dict[str, object] = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
        return told


def line(**said: str) -> str:
    return ";".join(said.get(name, "") for name in COLUMNS)


def person(number: int, domain: str, **more: str) -> dict[str, str]:
    return {
        "type": "boite", "adresse": f"p{number}@{domain}", "categorie": "PER", "civilite": "Dr", "prenom": "Léa",
        "nom": f"NOM{number}", "rpps": with_luhn(f"10{number:08d}"), "specialite": "Radiologie", "ville": "Meaux",
    } | more  # fmt: skip


def structure(number: int, domain: str) -> dict[str, str]:
    return {
        "type": "structure", "raison_sociale": f"Cabinet {number}", "struct_idnat": f"77{number:07d}", "ville": "Meaux",
        "adresse": f"cabinet{number}@{domain}",
    }  # fmt: skip


def tenant(number: int) -> dict[str, str]:
    return {
        "type": "tenant", "etablissement": f"etab-{number}", "raison_sociale": f"ETABLISSEMENT {number}",
        "struct_idnat": f"1{930000000 + number}", "departement": "Seine-Saint-Denis (93)",
        "domaines": f"etab-{number}.mssante.example",
    }  # fmt: skip
