"""TLS: an authority of one's own by `ca_file`, and never without verification."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from testlab_tools.errors import ConfigError, ServiceDown
from testlab_tools.http import RetryPolicy, ServiceClient

ONCE = RetryPolicy(attempts=1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signed itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "testlab")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
async def secured(origin: Any, certificate: Path) -> AsyncIterator[Any]:
    """A server with that certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server = await origin.start(tls)
    origin.answers(origin.reply(200))
    yield origin
    await origin.stop(server)


async def test_a_service_with_an_authority_of_its_own_is_reached_by_ca_file(
    secured: Any, certificate: Path, client_of: Callable[..., ServiceClient]
) -> None:
    assert (await client_of(secured.url, ca_file=str(certificate)).get("/a")).status == 200


async def test_an_unknown_authority_is_not_trusted(secured: Any, client_of: Callable[..., ServiceClient]) -> None:
    with pytest.raises(ServiceDown, match="certificate is wrong"):
        await client_of(secured.url, retry=ONCE).get("/a")
    assert secured.asked == []


async def test_a_certificate_for_another_name_is_not_trusted(
    secured: Any, certificate: Path, client_of: Callable[..., ServiceClient]
) -> None:
    url = secured.url.replace("127.0.0.1", "localhost")

    with pytest.raises(ServiceDown):
        await client_of(url, ca_file=str(certificate), retry=ONCE).get("/a")
    assert secured.asked == []


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
async def test_a_ca_file_that_is_none_is_an_error_of_the_config(
    content: bytes | None, tmp_path: Path, client_of: Callable[..., ServiceClient]
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(
        ConfigError, match=r"ca_file cannot be used .*\[services\.portal\] ca_file must name a PEM file"
    ):
        await client_of("https://127.0.0.1:9", ca_file=str(path)).get("/a")
