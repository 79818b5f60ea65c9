"""Verifies bearer tokens: static tokens of the config, and JWTs of an OAuth 2.1 issuer, as its resource server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings

from testlab_mcp.access.callers import CallerDirectory, CallerToken
from testlab_mcp.access.jwks import ALGORITHMS, JwksCache
from testlab_mcp.config.settings import CallerSettings, HttpSettings
from testlab_tools.registry import LEVELS, Access

LEEWAY_S = 30
"""Allowed difference of clocks."""
MAX_TOKEN_CHARS = 16_384
SCOPES = ("testlab:observe", "testlab:operate", "testlab:admin")
ENTRY_SCOPE = SCOPES[0]
"""The scope of every caller. The SDK answers a valid token without it with 403."""


def granted_access(claim: object) -> Access | None:
    """The highest access level that a claim names. It is a list, or a text separated by spaces, of SCOPES."""
    scopes = claim.split() if isinstance(claim, str) else cast(list[object], claim) if isinstance(claim, list) else []
    granted: list[Access] = [level for level in LEVELS if f"testlab:{level}" in scopes]
    return granted[-1] if granted else None


class CallerTokenVerifier(TokenVerifier):
    """Finds the caller of a token. The SDK binds sessions and pending questions to client, issuer and subject."""

    def __init__(self, http: HttpSettings, callers: Mapping[str, CallerSettings]) -> None:
        self._http = http
        self._directory = CallerDirectory(callers, http.oauth.access_claim if http.oauth else "")
        self._keys = JwksCache(http.oauth) if http.oauth else None

    @property
    def settings(self) -> AuthSettings:
        """The SDK's settings. Without `[http.oauth]`, no metadata of an issuer is served."""
        oauth = self._http.oauth
        # From text: the SDK compares URLs letter by letter.
        return AuthSettings.model_validate(
            {
                "issuer_url": oauth.issuer if oauth else "https://none.invalid",
                "resource_server_url": self._http.public_url if oauth else None,
                "required_scopes": [ENTRY_SCOPE],
                "validate_token_resource": False,  # the audience is checked here, whatever it is called
            }
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        """The verified token with its caller; None for an unknown token."""
        caller = self._directory.find_by_token(token)
        if caller is not None:
            return CallerToken(token="", client_id=f"token:{caller.name}", scopes=[ENTRY_SCOPE], caller=caller)
        return await self._verify_oauth(token)

    async def _verify_oauth(self, token: str) -> AccessToken | None:
        """The token of an issuer's caller, without a caller where nothing grants it an access."""
        oauth, claims = self._http.oauth, await self._read_claims(token)
        if oauth is None or claims is None:
            return None
        subject: object = claims.get(oauth.caller_claim)
        if not isinstance(subject, str) or not subject or len(subject) > 255:
            return None
        known: dict[str, Any] = {
            "token": "",
            "client_id": f"oauth:{claims.get('client_id') or claims.get('azp') or subject}",
            "subject": subject,
            "claims": {"iss": oauth.issuer},
            "expires_at": int(claims["exp"]) + LEEWAY_S,
        }
        caller = self._directory.find_by_subject(subject, granted_access(claims.get(oauth.access_claim)))
        if caller is None:
            return AccessToken(scopes=[], **known)
        return CallerToken(scopes=[ENTRY_SCOPE], caller=caller, **known)

    async def _read_claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a JWT of the issuer for this server; None when it is not valid, for any reason."""
        import jwt

        oauth = self._http.oauth
        if oauth is None or self._keys is None or token.count(".") != 2 or len(token) > MAX_TOKEN_CHARS:
            return None
        try:
            header = jwt.get_unverified_header(token)
            if not any(header.get("alg") in algorithms for algorithms in ALGORITHMS.values()):
                return None
            key = await self._keys.find_key(str(header.get("kid") or ""))
            if key is None:
                return None
            return jwt.decode(
                token,
                key.public,
                algorithms=key.algorithms,
                audience=oauth.audience or self._http.public_url,
                issuer=oauth.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            return None
