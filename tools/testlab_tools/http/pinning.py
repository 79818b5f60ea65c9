"""From a destination to the address that is connected to: resolved once, judged, and then used, so that a name cannot
mean something else a moment later."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from testlab_tools.http.destinations import Destination, Unsafe, check, destination


@dataclass(frozen=True)
class Pinned:
    """A URL by address, with the `headers` and `extensions` that keep the name for TLS and for the server."""

    url: str
    headers: dict[str, str]
    extensions: dict[str, Any]


async def pinned(url: str, service_url: str) -> Pinned:
    """How to send to a URL that the service at `service_url` handed out.

    Behind a proxy of the operator's the name is left to it: it alone may know it.

    Raises:
        Unsafe: nothing is sent there.
        OSError: the name is not known.
    """
    place = destination(url, service_url)
    if place.trusted or _proxied(place):
        return Pinned(url, {}, {})
    theirs = await _addresses(place.host, place.port)
    check(theirs, () if _public(theirs) else await _addresses(urlsplit(service_url).hostname or "", 443))
    address = f"[{theirs[0]}]" if ":" in theirs[0] else theirs[0]
    parts = urlsplit(url)
    return Pinned(
        urlunsplit(parts._replace(netloc=f"{address}:{place.port}")),
        {"Host": parts.netloc},
        {"sni_hostname": place.host},
    )


def _public(addresses: list[str]) -> bool:
    try:
        check(addresses, ())
    except Unsafe:
        return False
    return True


async def _addresses(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]


def _proxied(place: Destination) -> bool:
    proxies = getproxies()
    return (place.scheme in proxies or "all" in proxies) and not proxy_bypass(place.host)
