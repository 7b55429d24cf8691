"""What Dovecot 2.3 is told wherever Pli makes its configuration: beside a node, and in the demo.

Promises: letters are synced before they count as kept, nothing of them goes to the log, TLS is asked for and is of
today. Does not: say where anything lies, who serves or logs in, nor on which ports; whoever makes the file does.
"""

from __future__ import annotations

COMMON = """\
protocols = imap lmtp
first_valid_uid = 1
first_valid_gid = 1
mail_location = sdbox:~/sdbox
mail_fsync = always
mail_max_userip_connections = 50
# Nothing of a letter goes to the log.
deliver_log_format = %$
auth_mechanisms = plain login
auth_username_format = %Lu
# Any letter of an international address; who is known stands in the accounts.
auth_username_chars =
auth_verbose_passwords = no
recipient_delimiter =
ssl = required
ssl_min_protocol = TLSv1.2
ssl_cipher_list = ECDHE+AESGCM:ECDHE+CHACHA20
ssl_dh =
namespace inbox {
  inbox = yes
}
"""
"""Lines of dovecot.conf, in their place at its beginning: what follows may say otherwise."""
