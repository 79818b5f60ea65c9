"""The device flow, as hardpy 0.25.2 walks it."""

from __future__ import annotations

import pytest

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def device(fresh):
    form = {"client_id": "hardpy-report-uploader", "scope": "offline_access authelia.bearer.authz", "audience": "x"}
    reply = fresh.anyone.post("/auth/api/oidc/device-authorization", data=form)
    assert reply.status_code == 200
    return reply.json()


def _token(fresh, **form):
    return fresh.anyone.post("/auth/api/oidc/token", data={"client_id": "hardpy-report-uploader", **form})


def test_tokens_come_once_the_user_has_opened_the_page(fresh, device):
    waiting = _token(fresh, grant_type=GRANT, device_code=device["device_code"])
    assert (waiting.status_code, waiting.json()["error"]) == (400, "authorization_pending")
    assert fresh.anyone.get(device["verification_uri_complete"]).status_code == 200
    tokens = _token(fresh, grant_type=GRANT, device_code=device["device_code"]).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert fresh.anyone.get("/hardpy/api/v1/test_run", params={"limit": 1}, headers=headers).status_code == 200
    again = _token(fresh, grant_type=GRANT, device_code=device["device_code"])
    assert again.json()["error"] == "invalid_grant"


def test_an_access_token_ends_and_is_renewed_once_by_its_refresh_token(fresh, device):
    fresh.anyone.get(device["verification_uri_complete"])
    tokens = _token(fresh, grant_type=GRANT, device_code=device["device_code"]).json()
    fresh.world.clock.advance(tokens["expires_in"] + 1)
    old = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert fresh.anyone.get("/hardpy/api/v1/test_run", headers=old).status_code == 401
    renewed = _token(fresh, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
    new = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert fresh.anyone.get("/hardpy/api/v1/test_run", params={"limit": 1}, headers=new).status_code == 200
    twice = _token(fresh, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_grant")


def test_a_code_not_used_in_time_is_expired(fresh, device):
    fresh.world.clock.advance(device["expires_in"] + 1)
    reply = _token(fresh, grant_type=GRANT, device_code=device["device_code"])
    assert reply.json()["error"] == "expired_token"


def test_what_is_no_sign_in_is_refused(fresh):
    assert _token(fresh, grant_type="password").json()["error"] == "unsupported_grant_type"
    assert _token(fresh, grant_type=GRANT, device_code="made-up").json()["error"] == "invalid_grant"
    unknown = {"user_code": "NOBODY"}
    assert fresh.anyone.get("/auth/consent/openid/device-authorization", params=unknown).status_code == 404
