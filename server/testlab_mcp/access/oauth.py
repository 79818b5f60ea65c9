"""OAuth 2.1, as a resource server: whether a JWT is the issuer's, for us, and valid now; and what it grants."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from testlab_mcp.access.key_set import ALGORITHMS, KeySet
from testlab_mcp.access.settings import OAuthSettings
from testlab_tools.registry import LEVELS, Access

LEEWAY_S = 30
"""What clocks may differ by."""
MOST_CHARS = 16_384


class Grant(NamedTuple):
    """A token found right: `subject` by the caller claim, `access` None where it grants none, `expires_at` in seconds
    since 1970, `client` the OAuth client it was issued to."""

    subject: str
    access: Access | None
    expires_at: int
    client: str


class TokenReader:
    """Reads the tokens of one issuer for one audience."""

    def __init__(self, settings: OAuthSettings, audience: str, keys: KeySet | None = None) -> None:
        self._settings = settings
        self._audience = settings.audience or audience
        self._keys = keys or KeySet(settings)

    async def read(self, token: str) -> Grant | None:
        """What a token grants; None for one that is not to be trusted, for whatever reason."""
        import jwt

        if token.count(".") != 2 or len(token) > MOST_CHARS:
            return None
        try:
            header = jwt.get_unverified_header(token)
            if not any(header.get("alg") in algorithms for algorithms in ALGORITHMS.values()):
                return None
            key = await self._keys.key(str(header.get("kid") or ""))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key.public,
                algorithms=key.algorithms,
                audience=self._audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            return None
        return self._grant(claims)

    def _grant(self, claims: dict[str, Any]) -> Grant | None:
        subject: object = claims.get(self._settings.caller_claim)
        if not isinstance(subject, str) or not subject or len(subject) > 255:
            return None
        client = claims.get("client_id") or claims.get("azp") or subject
        return Grant(subject, access_in(claims.get(self._settings.access_claim)), int(claims["exp"]), str(client))


def access_in(claim: object) -> Access | None:
    """The highest level named in a claim, a list or words with spaces between: `testlab:observe` and so on."""
    named = claim.split() if isinstance(claim, str) else cast(list[object], claim) if isinstance(claim, list) else []
    granted: list[Access] = [level for level in LEVELS if f"testlab:{level}" in named]
    return granted[-1] if granted else None
