"""Where a request may go when a service, not the operator, says where: a presigned URL is judged before it is used.

Pure: names are resolved elsewhere, and their addresses judged here. What the operator configured as a service's url is
not judged: loopback and private networks are legitimate there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

Reach = Literal["public", "private", "loopback", "link-local", "nowhere"]
"""Who could be met at an address; "nowhere" are multicast, reserved and unspecified ones."""

LONGEST = 8_192
_PORTS = {"http": 80, "https": 443}
_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?", re.ASCII)
_NAT64 = IPv6Network("64:ff9b::/96")


class Unsafe(Exception):
    """A place that nothing is sent to; says why in our own words, without the place."""


class Destination(NamedTuple):
    """A place that may be used if its addresses may: `trusted` when it is the service's own host."""

    scheme: str
    host: str
    port: int
    trusted: bool


def destination(url: str, service_url: str) -> Destination:
    """The place of a URL that the service at `service_url` handed out.

    Raises:
        Unsafe: it is not an https URL, nor on the service's own host; or it is written so as to be misread.
    """
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Unsafe("It is not written as a URL is")
    parts, own = _split(url), urlsplit(service_url)
    if parts.scheme not in _PORTS:
        raise Unsafe("It is neither http nor https")
    if "@" in parts.netloc:
        raise Unsafe("It holds a user or a password")
    host, port = _host(parts), _port(parts)
    trusted = host == (own.hostname or "").rstrip(".").casefold()
    if parts.scheme != "https" and not (trusted and own.scheme == "http"):
        raise Unsafe("It is not https")
    if port < 1024 and port not in (_PORTS[parts.scheme], own.port):
        raise Unsafe("Its port is one of another service's")
    return Destination(parts.scheme, host, port, trusted)


def check(addresses: Iterable[str], service_addresses: Iterable[str]) -> None:
    """Whether what a name resolves to may be connected to.

    Raises:
        Unsafe: one of them is not public, and the service itself is not at such an address.
    """
    allowed = {"public", *(reach(address) for address in service_addresses)} - {"nowhere"}
    found = {reach(address) for address in addresses}
    if not found or found - allowed:
        raise Unsafe("It is within a network that the service is not in")


def reach(address: str) -> Reach:
    """Who could be met at an IP address; IPv4 within IPv6, mapped or carried, is what it is by itself."""
    try:
        ip = _unwrapped(ip_address(address))
    except ValueError:
        return "nowhere"
    if ip.is_loopback:
        return "loopback"
    if ip.is_link_local:
        return "link-local"
    if ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return "nowhere"
    site_local = isinstance(ip, IPv6Address) and ip.is_site_local
    return "public" if ip.is_global and not site_local else "private"


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip.scope_id:
        raise ValueError("of one interface alone")
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    carried = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
    return carried or ip


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise Unsafe("It is not written as a URL is") from None


def _host(parts: SplitResult) -> str:
    """The host, in one spelling. An IPv4 address has four decimal numbers: other forms are read as other addresses by
    other programs."""
    host = (parts.hostname or "").casefold()
    if ":" in host:
        if "%" in host or reach(host) == "nowhere":
            raise Unsafe("Its address is not one to connect to")
        return str(ip_address(host))
    if not _LABELS.fullmatch(host) or len(host) > 253:
        raise Unsafe("It names no host")
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise Unsafe("Its address is written in another form than four numbers") from None
    return host.rstrip(".")


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        raise Unsafe("Its port is none") from None
    if port == 0:
        raise Unsafe("Its port is none")
    return port or _PORTS[parts.scheme]
