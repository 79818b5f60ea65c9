"""Which URLs a request may be sent to when a service hands them out: a presigned URL is judged before it is used.

A name is resolved once, its addresses are judged, and the request goes to an address that was judged, so that the name
cannot mean another host a moment later. The url that the operator configured is not judged: loopback and private
networks are legitimate there.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

Reach = Literal["public", "private", "loopback", "link-local", "nowhere"]
"""Who could be met at an address; "nowhere" are multicast, reserved and unspecified ones."""

LONGEST = 8_192
_PORTS = {"http": 80, "https": 443}
_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?", re.ASCII)
_NAT64 = IPv6Network("64:ff9b::/96")


class UnsafeUrl(Exception):
    """A place that nothing is sent to; says why in our own words, without the place."""


class Destination(NamedTuple):
    """A place that may be used if its addresses may: `trusted` when it is the service's own host."""

    scheme: str
    host: str
    port: int
    trusted: bool


def parse_destination(url: str, service_url: str) -> Destination:
    """The place of a URL that the service at `service_url` handed out.

    Raises:
        UnsafeUrl: it is not an https URL, nor on the service's own host; or it is written so as to be misread.
    """
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise UnsafeUrl("It is not written as a URL is")
    parts, own = _split(url), urlsplit(service_url)
    if parts.scheme not in _PORTS:
        raise UnsafeUrl("It is neither http nor https")
    if "@" in parts.netloc:
        raise UnsafeUrl("It holds a user or a password")
    host, port = _host(parts), _port(parts)
    trusted = host == (own.hostname or "").rstrip(".").casefold()
    if parts.scheme != "https" and not (trusted and own.scheme == "http"):
        raise UnsafeUrl("It is not https")
    if port not in (443, own.port or _PORTS.get(own.scheme)):
        raise UnsafeUrl("Its port is neither the service's own nor 443")
    return Destination(parts.scheme, host, port, trusted)


def check_addresses(addresses: Iterable[str], service_addresses: Iterable[str]) -> None:
    """Whether what a name resolves to may be connected to.

    Raises:
        UnsafeUrl: one of them is not public, and the service itself is not at such an address.
    """
    allowed = {"public", *(classify_address(address) for address in service_addresses)} - {"nowhere"}
    found = {classify_address(address) for address in addresses}
    if not found or found - allowed:
        raise UnsafeUrl("It is within a network that the service is not in")


def classify_address(address: str) -> Reach:
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
        raise UnsafeUrl("It is not written as a URL is") from None


def _host(parts: SplitResult) -> str:
    """The host, in one spelling. An IPv4 address has four decimal numbers: other forms are read as other addresses by
    other programs."""
    host = (parts.hostname or "").casefold()
    if ":" in host:
        if "%" in host or classify_address(host) == "nowhere":
            raise UnsafeUrl("Its address is not one to connect to")
        return str(ip_address(host))
    if not _LABELS.fullmatch(host) or len(host) > 253:
        raise UnsafeUrl("It names no host")
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise UnsafeUrl("Its address is written in another form than four numbers") from None
    return host.rstrip(".")


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise UnsafeUrl("Its port is none")
    return port or _PORTS[parts.scheme]


@dataclass(frozen=True)
class PinnedUrl:
    """A URL by address, with the `headers` and `extensions` that keep the name for TLS and for the server."""

    url: str
    headers: dict[str, str]
    extensions: dict[str, Any]


async def pin_url(url: str, service_url: str) -> PinnedUrl:
    """How to send to a URL that the service at `service_url` handed out.

    Behind a proxy of the operator's the name is left to it: it alone may know it.

    Raises:
        UnsafeUrl: nothing is sent there.
        OSError: the name is not known.
    """
    place = parse_destination(url, service_url)
    if place.trusted or _proxied(place):
        return PinnedUrl(url, {}, {})
    theirs = await _addresses(place.host, place.port)
    try:
        check_addresses(theirs, ())
    except UnsafeUrl:
        check_addresses(theirs, await _addresses(urlsplit(service_url).hostname or "", 443))
    return _pin(url, place, theirs[0])


def check_receiver(url: str, allow_private: bool) -> Destination:
    """The place of a URL of the operator's that messages of the lab are sent to, as far as it is told by the URL alone.

    Raises:
        UnsafeUrl: it is not https (http for this machine, where `allow_private`), or names an address within the
            network that is not allowed.
    """
    place = parse_destination(url, url)
    literal = classify_address(place.host)
    here = literal == "loopback" or place.host == "localhost"
    if place.scheme != "https" and not (allow_private and here):
        raise UnsafeUrl("It is not https")
    if literal != "nowhere" or here:
        _check_reach({"loopback" if here else literal}, allow_private)
    return place


async def pin_receiver(url: str, allow_private: bool) -> PinnedUrl:
    """How to send to such a URL: to an address that was judged.

    Raises:
        UnsafeUrl: as `check_receiver`, also for what its name resolves to now.
        OSError: the name is not known.
    """
    place = check_receiver(url, allow_private)
    if _proxied(place):
        return PinnedUrl(url, {}, {})
    addresses = await _addresses(place.host, place.port)
    _check_reach({classify_address(address) for address in addresses}, allow_private)
    return _pin(url, place, addresses[0])


def _check_reach(found: set[Reach], allow_private: bool) -> None:
    allowed: set[Reach] = {"public", "private", "loopback"} if allow_private else {"public"}
    if not found or found - allowed:
        raise UnsafeUrl("It is within the lab's network")


def _pin(url: str, place: Destination, address: str) -> PinnedUrl:
    host = f"[{address}]" if ":" in address else address
    parts = urlsplit(url)
    return PinnedUrl(
        urlunsplit(parts._replace(netloc=f"{host}:{place.port}")),
        {"Host": parts.netloc},
        {"sni_hostname": place.host},
    )


async def _addresses(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]


def _proxied(place: Destination) -> bool:
    proxies = getproxies()
    return (place.scheme in proxies or "all" in proxies) and not proxy_bypass(place.host)
