"""Where a URL that a service handed out may lead, as a table; and that a name is connected to as it was judged."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.errors import BadReply, ServiceDown
from testlab_tools.http import ServiceClient
from testlab_tools.http.ssrf import UnsafeUrl, check_addresses, classify_address, parse_destination, pin_url

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

PUBLIC = "https://www.tofupilot.app"
LOCAL = "http://127.0.0.1:8080"

REFUSED = [
    ("http://store.example/x", PUBLIC, "not https"),
    ("http://www.tofupilot.app/x", PUBLIC, "not https"),
    ("http://127.0.0.2:9000/x", LOCAL, "not https"),
    ("file:///etc/passwd", PUBLIC, "neither http nor https"),
    ("ftp://store.example/x", PUBLIC, "neither http nor https"),
    ("gopher://127.0.0.1:6379/_x", LOCAL, "neither http nor https"),
    ("//store.example/x", PUBLIC, "neither http nor https"),
    ("", PUBLIC, "neither http nor https"),
    ("https://", PUBLIC, "names no host"),
    ("https:///x", PUBLIC, "names no host"),
    ("https://me:secret@store.example/x", PUBLIC, "a user or a password"),
    ("https://www.tofupilot.app@evil.example/x", PUBLIC, "a user or a password"),
    ("https://@store.example/x", PUBLIC, "a user or a password"),
    ("https://store.example\\@evil.example/x", PUBLIC, "not written as a URL"),
    ("https://store.example/a b", PUBLIC, "not written as a URL"),
    ("https://store.example/\r\nHost: evil", PUBLIC, "not written as a URL"),
    ("https://store.example\t/x", PUBLIC, "not written as a URL"),
    ("https://st\u00f6re.example/x", PUBLIC, "not written as a URL"),
    ("https://store\u3002example/x", PUBLIC, "not written as a URL"),
    ("https://store.example/" + "x" * 9_000, PUBLIC, "not written as a URL"),
    ("https://[::1/x", PUBLIC, "not written as a URL"),
    ("https://store..example/x", PUBLIC, "names no host"),
    ("https://-store.example/x", PUBLIC, "names no host"),
    ("https://store.example%2eevil/x", PUBLIC, "names no host"),
    ("https://2130706433/x", PUBLIC, "another form than four numbers"),
    ("https://0x7f000001/x", PUBLIC, "another form than four numbers"),
    ("https://0x7f.0.0.1/x", PUBLIC, "another form than four numbers"),
    ("https://0177.0.0.1/x", PUBLIC, "another form than four numbers"),
    ("https://127.1/x", PUBLIC, "another form than four numbers"),
    ("https://127.0.0.1./x", PUBLIC, "another form than four numbers"),
    ("https://1.2.3.4.5/x", PUBLIC, "another form than four numbers"),
    ("https://[fe80::1%25eth0]/x", PUBLIC, "not one to connect to"),
    ("https://[::]/x", PUBLIC, "not one to connect to"),
    ("https://store.example:22/x", PUBLIC, "neither the service's own"),
    ("https://store.example:25/x", PUBLIC, "neither the service's own"),
    ("http://127.0.0.1:22/x", LOCAL, "neither the service's own"),
    ("https://store.example:9000/x", PUBLIC, "neither the service's own"),
    ("http://127.0.0.1:9000/x", LOCAL, "neither the service's own"),
    ("https://store.example:0/x", PUBLIC, "port is none"),
    ("https://store.example:99999/x", PUBLIC, "port is none"),
    ("https://store.example:4a/x", PUBLIC, "port is none"),
]


@pytest.mark.parametrize(("url", "service", "why"), REFUSED)
def test_a_url_that_leads_astray_is_refused_without_being_told(url: str, service: str, why: str) -> None:
    with pytest.raises(UnsafeUrl, match=why) as refused:
        parse_destination(url, service)
    assert "evil" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "service", "place"),
    [
        ("https://store.example/x?sig=1", PUBLIC, ("https", "store.example", 443, False)),
        ("https://STORE.example.:443/x", PUBLIC, ("https", "store.example", 443, False)),
        ("https://minio.lab.example:8443/x", "https://lab.example:8443", ("https", "minio.lab.example", 8443, False)),
        ("https://www.tofupilot.app/storage/x", PUBLIC, ("https", "www.tofupilot.app", 443, True)),
        ("http://127.0.0.1:8080/x", LOCAL, ("http", "127.0.0.1", 8080, True)),
        ("http://lab.example:80/x", "http://lab.example", ("http", "lab.example", 80, True)),
        ("https://[2606:4700::1111]/x", PUBLIC, ("https", "2606:4700::1111", 443, False)),
    ],
)
def test_https_and_the_services_own_host_are_places(url: str, service: str, place: tuple[Any, ...]) -> None:
    assert tuple(parse_destination(url, service)) == place


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", "public"),
        ("2606:4700::1111", "public"),
        ("127.0.0.1", "loopback"),
        ("127.255.0.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:7f00:1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("64:ff9b::a00:1", "private"),
        ("fd00::1", "private"),
        ("fec0::1", "private"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("fe80::1", "link-local"),
        ("0.0.0.0", "nowhere"),
        ("::", "nowhere"),
        ("224.0.0.1", "nowhere"),
        ("255.255.255.255", "nowhere"),
        ("240.0.0.1", "nowhere"),
        ("ff02::1", "nowhere"),
        ("fe80::1%eth0", "nowhere"),
        ("localhost", "nowhere"),
    ],
)
def test_an_address_is_what_it_reaches_whatever_it_is_wrapped_in(address: str, expected: str) -> None:
    assert classify_address(address) == expected


@pytest.mark.parametrize(
    ("addresses", "service", "allowed"),
    [
        (["8.8.8.8"], ["9.9.9.9"], True),
        (["10.0.0.5"], ["10.0.0.1"], True),
        (["127.0.0.1"], ["127.0.0.1"], True),
        (["8.8.8.8"], ["127.0.0.1"], True),
        (["10.0.0.5"], ["9.9.9.9"], False),
        (["127.0.0.1"], ["10.0.0.1"], False),
        (["169.254.169.254"], ["10.0.0.1"], False),
        (["8.8.8.8", "127.0.0.1"], ["9.9.9.9"], False),
        (["0.0.0.0"], ["0.0.0.0"], False),
        ([], ["9.9.9.9"], False),
    ],
)
def test_a_network_is_entered_only_where_the_service_is_in_it(
    addresses: list[str], service: list[str], allowed: bool
) -> None:
    if allowed:
        check_addresses(addresses, service)
    else:
        with pytest.raises(UnsafeUrl, match="within a network that the service is not in"):
            check_addresses(addresses, service)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, and nothing else does; each answer is given once, the last for ever."""
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    known: dict[str, list[str]] = {}

    def resolve(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        answers = known.get(host, [host] if host[0].isdigit() else [])
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


async def test_a_name_is_connected_to_at_the_address_that_was_judged(names: dict[str, list[str]]) -> None:
    names["store.example"] = ["8.8.8.8", "127.0.0.1"]
    place = await pin_url("https://store.example/x?sig=1", PUBLIC)
    assert place.url == "https://8.8.8.8:443/x?sig=1"
    assert place.headers == {"Host": "store.example"}
    assert place.extensions == {"sni_hostname": "store.example"}


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.7", "0.0.0.0"])
async def test_nothing_is_sent_to_a_name_that_leads_into_another_network(
    address: str, names: dict[str, list[str]], origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    names.update({"store.example": [address], "www.tofupilot.app": ["9.9.9.9"]})
    port = origin.url.rpartition(":")[2]
    with pytest.raises(BadReply, match="a place that is not safe, and it was not sent") as refused:
        await client_of(PUBLIC).upload(f"https://store.example:{port}/x?signature=s3cr3t", b"data", "image/png")
    assert origin.asked == []
    for part in ("store.example", "s3cr3t", address):
        assert part not in f"{refused.value} {refused.value!r} {refused.value.__cause__!r}"


async def test_a_store_that_has_no_address_is_an_outage_that_does_not_name_it(
    names: dict[str, list[str]], client_of: Callable[..., ServiceClient]
) -> None:
    with pytest.raises(ServiceDown, match="cannot be reached") as down:
        await client_of(PUBLIC).upload("https://store.example/x?signature=s3cr3t", b"data", "image/png")
    assert "store" not in str(down.value)


async def test_an_upload_is_not_taken_on_by_a_redirect(
    origin: Origin, other_origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    other_origin.answers(other_origin.reply(200))
    origin.answers(origin.reply(307, Location=f"{other_origin.url}/x"))
    with pytest.raises(BadReply, match="redirect"):
        await client_of(origin.url).upload(f"{origin.url}/x", b"data", "image/png")
    assert other_origin.asked == []


@pytest.mark.parametrize("packing", ["gzip, gzip", "br", "zstd", "gzip, br", "GZIP,gzip,gzip"])
@pytest.mark.parametrize("how", ["get", "stream"])
async def test_a_body_packed_more_than_once_or_as_was_not_offered_is_not_unpacked(
    packing: str, how: str, origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(origin.reply(200, gzip.compress(gzip.compress(b"\0" * 2**20)), Content_Encoding=packing))
    client = client_of(origin.url)
    asked = client.get("/a") if how == "get" else client.stream("/a").__aenter__()
    with pytest.raises(BadReply, match="in a way that was not offered"):
        await asked
    assert origin.asked[0].headers["accept-encoding"] == "gzip, deflate"


async def test_a_flood_of_headers_is_an_outage_and_is_not_kept(
    origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(origin.reply(200, **{f"X_{number}": "y" * 1_000 for number in range(2_000)}))
    with pytest.raises(ServiceDown, match="cannot be reached"):
        await client_of(origin.url).get("/a", retry=False)


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000, b"9" * 100_000])
async def test_json_that_is_nested_or_long_without_end_is_a_bad_reply(
    body: bytes, origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(origin.reply(200, body))
    with pytest.raises(BadReply, match="something that is not JSON"):
        (await client_of(origin.url).get("/a")).json()
