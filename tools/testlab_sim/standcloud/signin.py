"""Signing in: the OAuth 2.0 device flow (RFC 8628) as hardpy 0.25.2 walks it against Authelia.

The client asks for a device code, shows its user a page, and polls for tokens; the user allows it by opening
`verification_uri_complete`. Access tokens last an hour and are renewed with the refresh token.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from testlab_sim.production.stands import Stands
from testlab_sim.standcloud.service import api
from testlab_sim.world import World

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_OIDC = "/auth/api/oidc"
CODE_SECONDS = 600
TOKEN_SECONDS = 3600
INTERVAL = 1


@dataclass
class Grant:
    """A sign-in under way, or, once tokens were given, the refresh token that goes on with it."""

    user_code: str
    expires: float
    allowed: bool = False


@api.route("POST", _OIDC + "/device-authorization", guarded=False)
async def authorize_device(request: Request, world: World) -> Response:
    """Begin a sign-in."""
    device_code, user_code = secrets.token_urlsafe(24), secrets.token_hex(4).upper()
    world.production.stands.grants[device_code] = Grant(user_code, world.clock.now() + CODE_SECONDS)
    page = f"{world.base_url}/standcloud/auth/consent/openid/device-authorization"
    return JSONResponse(
        {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={user_code}",
            "expires_in": CODE_SECONDS,
            "interval": INTERVAL,
        }
    )


@api.route("GET", "/auth/consent/openid/device-authorization", guarded=False)
async def allow_device(request: Request, world: World) -> Response:
    """The page a user opens: opening it with a known code allows the sign-in."""
    code = request.query_params.get("user_code", "")
    grants: list[Grant] = list(world.production.stands.grants.values())
    known = next((grant for grant in grants if grant.user_code == code), None)
    if known is None:
        return HTMLResponse("<h1>Unknown code</h1>", 404)
    known.allowed = True
    return HTMLResponse("<h1>Signed in</h1><p>You can close this page.</p>")


@api.route("POST", _OIDC + "/token", guarded=False)
async def issue_token(request: Request, world: World) -> Response:
    """Tokens for a device code, or for a refresh token."""
    form, stands, now = await _read_form(request), world.production.stands, world.clock.now()
    kind = form.get("grant_type", "")
    if kind == "refresh_token":
        grant: Grant | None = stands.grants.pop(form.get("refresh_token", ""), None)
        return _issue_tokens(stands, grant.user_code, now) if grant and grant.allowed else _refuse("invalid_grant")
    if kind != _DEVICE_GRANT:
        return _refuse("unsupported_grant_type")
    device_code = form.get("device_code", "")
    pending: Grant | None = stands.grants.get(device_code)
    if pending is None:
        return _refuse("invalid_grant")
    if pending.expires < now:
        return _refuse("expired_token")
    if not pending.allowed:
        return _refuse("authorization_pending")
    del stands.grants[device_code]
    return _issue_tokens(stands, pending.user_code, now)


def _issue_tokens(stands: Stands, user_code: str, now: float) -> Response:
    access, refresh = f"sim-access-{secrets.token_urlsafe(16)}", f"sim-refresh-{secrets.token_urlsafe(16)}"
    stands.tokens[access] = now + TOKEN_SECONDS
    stands.grants[refresh] = Grant(user_code, now, allowed=True)
    return JSONResponse(
        {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": "offline_access authelia.bearer.authz",
        }
    )


async def _read_form(request: Request) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs((await request.body()).decode()).items()}


def _refuse(code: str) -> Response:
    return JSONResponse({"error": code}, 400)
