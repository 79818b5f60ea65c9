"""Who a bearer token belongs to: static tokens and OAuth side by side, as the SDK asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings

from testlab_mcp.access.callers import CallerToken, Roster
from testlab_mcp.access.oauth import LEEWAY_S, TokenReader
from testlab_mcp.access.settings import CallerSettings, HttpSettings

SCOPES = ("testlab:observe", "testlab:operate", "testlab:admin")
ENTRY = SCOPES[0]
"""What every caller has; a right token that grants nothing here is answered with 403 for want of it."""


class SignIn(TokenVerifier):
    """Finds the caller of a token. Its answers bind sessions and half-answered questions to client, issuer, subject."""

    def __init__(
        self, http: HttpSettings, callers: Mapping[str, CallerSettings], reader: TokenReader | None = None
    ) -> None:
        self._http = http
        self._roster = Roster(callers, http.oauth.access_claim if http.oauth else "")
        self._reader = reader
        if http.oauth is not None and reader is None:
            self._reader = TokenReader(http.oauth, http.public_url)

    @property
    def settings(self) -> AuthSettings:
        """For the SDK. Where nobody issues tokens but this server's config, no metadata of an issuer is served."""
        oauth = self._http.oauth
        # As text: what it keeps of a URL is compared letter by letter.
        return AuthSettings.model_validate(
            {
                "issuer_url": oauth.issuer if oauth else "https://none.invalid",
                "resource_server_url": self._http.public_url if oauth else None,
                "required_scopes": [ENTRY],
                "validate_token_resource": False,  # the audience is checked here, whatever it is called
            }
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller's token, without its text; None when it is nobody's."""
        caller = self._roster.by_token(token)
        if caller is not None:
            return CallerToken(token="", client_id=f"token:{caller.name}", scopes=[ENTRY], caller=caller)
        return await self._by_oauth(token) if self._reader is not None else None

    async def _by_oauth(self, token: str) -> AccessToken | None:
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
        caller = self._roster.by_subject(grant.subject, grant.access)
        if caller is None:
            return AccessToken(scopes=[], **known)
        return CallerToken(scopes=[ENTRY], caller=caller, **known)
