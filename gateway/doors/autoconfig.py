"""Configuration files of mail clients, served: what Thunderbird, Outlook and Apple Mail ask for.

Promises: a file is chosen by the domain in the request's host; the address that a client sends along is neither read
nor logged. Does not: write the files (gateway.autoconfiguration does), or speak TLS (gateway.doors.web).
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.doors import web

_XML, _PROFILE = "text/xml; charset=utf-8", "application/x-apple-aspen-config"
PATHS: Mapping[str, tuple[str, str, str]] = {
    "/mail/config-v1.1.xml": ("config-v1.1.xml", _XML, "GET"),
    "/.well-known/autoconfig/mail/config-v1.1.xml": ("config-v1.1.xml", _XML, "GET"),
    "/autodiscover/autodiscover.xml": ("autodiscover.xml", _XML, "POST"),
    "/Autodiscover/Autodiscover.xml": ("autodiscover.xml", _XML, "POST"),
    "/mail.mobileconfig": ("{domain}.mobileconfig", _PROFILE, "GET"),
}
"""Path -> file, its type, and how it is asked for."""


def routes(files: Mapping[str, Mapping[str, bytes]]) -> list[Route]:
    """`files`: domain, lower case -> file name -> content."""
    return [_route(path, files, *told) for path, told in PATHS.items()]


def _route(path: str, files: Mapping[str, Mapping[str, bytes]], name: str, kind: str, method: str) -> Route:
    async def serve(request: Request) -> Response:
        if method == "POST" and await web.body(request) is None:
            return Response(status_code=413)
        domain = domain_of(request.headers.get("host", ""))
        content = files.get(domain, {}).get(name.format(domain=domain))
        return Response(status_code=404) if content is None else Response(content, media_type=kind)

    return Route(path, serve, methods=[method])


def domain_of(host: str) -> str:
    """autoconfig.DOMAIN, autodiscover.DOMAIN, or DOMAIN; with or without a port."""
    name = host.partition(":")[0].lower().rstrip(".")
    for prefix in ("autoconfig.", "autodiscover."):
        name = name.removeprefix(prefix)
    return name
