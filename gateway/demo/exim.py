"""A private Exim, unprivileged, that hands one letter in and ends: of the relays at hand its client alone sends BDAT.

Promises: the letter goes over TLS, with a client certificate, to the port that it is told; what was said is answered.
Exim looks for an account of its own name: nss_wrapper (cwrap.org) says that it is ours. Does not: listen, keep a queue,
or use anything of an installed Exim.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from gateway.demo.processes import LOOPBACK, account, claim, place, programs

_CONF = """\
primary_hostname = {hostname}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
exim_path = {program}
exim_user = Debian-exim
exim_group = Debian-exim
trusted_users = Debian-exim
deliver_drop_privilege = true
keep_environment = LD_PRELOAD : LD_LIBRARY_PATH : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
timezone = UTC
begin routers
out:
  driver = manualroute
  transport = remote
  route_list = * {address}
  self = send
begin transports
remote:
  driver = smtp
  port = {port}
  hosts_try_chunking = *
  hosts_require_tls = *
  tls_certificate = {folder}/cert.pem
  tls_privatekey = {folder}/key.pem
  tls_verify_certificates = {folder}/anchors.pem
  tls_verify_hosts = *
  tls_verify_cert_hostnames = :
"""


def hand_in(
    folder: Path, port: int, sender: str, to: str, mail: bytes, pair: tuple[Path, Path], anchors: Path, hostname: str
) -> str:
    """What Exim and the server at `port` said to each other, in Exim's words. `folder` is new."""
    who, software = account(), programs("exim4")
    folder = claim(folder, who)
    for name, source in (("cert.pem", pair[0]), ("key.pem", pair[1]), ("anchors.pem", anchors)):
        place(folder, name, source.read_bytes(), who)
    place(folder, "passwd", f"Debian-exim:x:{who.uid}:{who.gid}::/:/bin/false\n".encode(), who)
    place(folder, "group", f"Debian-exim:x:{who.gid}:\n".encode(), who)
    program = software.path("exim4")
    text = _CONF.format(folder=folder, program=program, hostname=hostname, address=LOOPBACK, port=port)
    conf = place(folder, "exim.conf", text.encode(), who)
    library = next(software.root.glob("usr/lib/*-linux-gnu*/libnss_wrapper.so"))
    wrapped = {"LD_PRELOAD": str(library), "NSS_WRAPPER_PASSWD": f"{folder}/passwd"}
    done = subprocess.run(
        [str(program), "-C", str(conf), "-v", "-odi", "-f", sender, to],
        input=mail.replace(b"\r\n", b"\n"), capture_output=True, timeout=60, check=False, cwd="/",
        env={**software.environment(), **wrapped, "NSS_WRAPPER_GROUP": f"{folder}/group"},
        user=who.uid if who.dropped else None, group=who.gid if who.dropped else None,
        extra_groups=[] if who.dropped else None,
    )  # fmt: skip
    return done.stderr.decode("utf-8", "replace")
