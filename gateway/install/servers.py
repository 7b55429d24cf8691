"""The configuration of the two servers beside the node: Dovecot for the mailboxes, slapd for the directory.

Promises: both serve from files of their own, so that Debian's stay as they are; mailboxes are encrypted at rest
(mail_crypt), nobody logs in without TLS, delivery and directory are on loopback alone. Does not: start either.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from directory import slapd
from gateway.install.dovecot import COMMON
from gateway.install.layout import DIRECTORY, IMAP, IMAPS, LMTP, MAIL, NODE, Layout
from gateway.install.placing import Piece

SOFTWARE = slapd.Software(modules=Path("/usr/lib/ldap"), schemas=Path("/etc/ldap/schema"))
"""Where Debian's slapd lies."""

# Dovecot 2.3, started as root by pli-dovecot.service; each service drops to its own account.
_DOVECOT = """\
# Made by `pli quickstart` for Dovecot 2.3. Debian's own /etc/dovecot is not read.
base_dir = /run/pli-dovecot
log_path = /dev/stderr
{common}listen = *, ::
hostname = {hostname}
mail_uid = {mail_user}
mail_gid = {mail_user}
mail_home = {mail}/%Ld/%Ln
disable_plaintext_auth = yes
ssl_cert = <{tls}/server.pem
ssl_key = <{tls}/server.key
# A file for each domain: nobody logs in at another's.
passdb {{
  driver = passwd-file
  args = username_format=%Lu {accounts}/%Ld
}}
userdb {{
  driver = passwd-file
  args = username_format=%Lu {accounts}/%Ld
}}
# The accounts are the node's; its keys stay closed to this group.
service auth {{
  extra_groups = {node_group}
}}
# Mail at rest is encrypted with one key of this machine; keep a copy of it apart: without it no mail opens.
mail_plugins = mail_crypt
plugin {{
  mail_crypt_global_private_key = <{keys}/mail-crypt.key
  mail_crypt_global_public_key = <{keys}/mail-crypt.pub
  mail_crypt_save_version = 2
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  process_min_avail = 1
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""


def dovecot(layout: Layout) -> Iterator[Piece]:
    told = layout.answers
    text = _DOVECOT.format(
        common=COMMON, hostname=told.hostname, mail=told.mail, mail_user=MAIL, tls=layout.tls, accounts=layout.accounts,
        node_group=NODE, keys=layout.dovecot, imap=IMAP, imaps=IMAPS, lmtp=LMTP,
    )  # fmt: skip
    yield Piece(layout.dovecot / "dovecot.conf", text.encode())
    private, public = _mail_crypt()
    if not (layout.dovecot / "mail-crypt.key").exists():  # both or neither: they are one pair
        yield Piece(layout.dovecot / "mail-crypt.key", private, 0o600, once=True)
        yield Piece(layout.dovecot / "mail-crypt.pub", public, once=True)


def _mail_crypt() -> tuple[bytes, bytes]:
    """A pair as Dovecot reads it."""
    key = ec.generate_private_key(ec.SECP521R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def directory(layout: Layout, passwords: slapd.Passwords) -> Iterator[Piece]:
    """`passwords`: as the node's own files hold them."""
    folder, suffix = layout.answers.directory, layout.answers.suffix
    conf = slapd.configuration(folder, suffix, SOFTWARE, max_bytes=8 << 30)
    yield Piece(layout.slapd, conf.encode(), 0o600, DIRECTORY)
    yield Piece(folder / "pli.schema", slapd.SCHEMA, 0o644, DIRECTORY)
    yield Piece(layout.foundation, slapd.foundation(suffix, passwords).encode(), 0o600, DIRECTORY, once=True)
