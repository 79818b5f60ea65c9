"""Verifies bearer tokens: static tokens of the config, and JWTs of an OAuth 2.1 issuer, as its resource server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings

from testlab_mcp.access.callers import CallerDirectory, CallerToken
from testlab_mcp.access.jwks import ALGORITHMS, JwksCache
from testlab_mcp.config.settings import CallerSettings, HttpSettings, OAuthSettings
from testlab_tools.registry import LEVELS, Access

LEEWAY_S = 30
"""Allowed difference of clocks."""
MAX_TOKEN_CHARS = 16_384
SCOPES = ("testlab:observe", "testlab:operate", "testlab:admin")
ENTRY_SCOPE = SCOPES[0]
"""The scope of every caller. The SDK answers a valid token without it with 403."""


class Grant(NamedTuple):
    """What a verified token states: the `subject` by the caller claim, the `access` it grants, if any, `expires_at` in
    seconds since 1970, and the OAuth `client` it was issued to."""

    subject: str
    access: Access | None
    expires_at: int
    client: str


class TokenReader:
    """Verifies the JWTs of one issuer for one audience."""

    def __init__(self, settings: OAuthSettings, audience: str, keys: JwksCache | None = None) -> None:
        self._settings = settings
        self._audience = settings.audience or audience
        self._keys = keys or JwksCache(settings)

    async def read(self, token: str) -> Grant | None:
        """The grant of a token; None when the token is not valid, for any reason."""
        import jwt

        if token.count(".") != 2 or len(token) > MAX_TOKEN_CHARS:
            return None
        try:
            header = jwt.get_unverified_header(token)
            if not any(header.get("alg") in algorithms for algorithms in ALGORITHMS.values()):
                return None
            key = await self._keys.find_key(str(header.get("kid") or ""))
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
        return Grant(subject, granted_access(claims.get(self._settings.access_claim)), int(claims["exp"]), str(client))


def granted_access(claim: object) -> Access | None:
    """The highest access level that a claim names. It is a list, or a text separated by spaces, of SCOPES."""
    scopes = claim.split() if isinstance(claim, str) else cast(list[object], claim) if isinstance(claim, list) else []
    granted: list[Access] = [level for level in LEVELS if f"testlab:{level}" in scopes]
    return granted[-1] if granted else None


class CallerTokenVerifier(TokenVerifier):
    """Finds the caller of a token. The SDK binds sessions and pending questions to client, issuer and subject."""

    def __init__(
        self, http: HttpSettings, callers: Mapping[str, CallerSettings], reader: TokenReader | None = None
    ) -> None:
        self._http = http
        self._directory = CallerDirectory(callers, http.oauth.access_claim if http.oauth else "")
        self._reader = reader
        if http.oauth is not None and reader is None:
            self._reader = TokenReader(http.oauth, http.public_url)

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
        return await self._verify_oauth(token) if self._reader is not None else None

    async def _verify_oauth(self, token: str) -> AccessToken | None:
        assert self._reader is not None
        assert self._http.oauth is not None
        grant = await self._reader.read(token)
        if grant is None:
            return None
        known: dict[str, Any] = {
            "token": "",
            "client_id": f"oauth:{grant.client}",
            "subject": grant.subject,
            "claims": {"iss": self._http.oauth.issuer},
            "expires_at": grant.expires_at + LEEWAY_S,
        }
        caller = self._directory.find_by_subject(grant.subject, grant.access)
        if caller is None:
            return AccessToken(scopes=[], **known)
        return CallerToken(scopes=[ENTRY_SCOPE], caller=caller, **known)
