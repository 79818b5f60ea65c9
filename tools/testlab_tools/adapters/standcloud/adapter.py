"""StandCloud, https://everypin.github.io/hardpy/documentation/stand_cloud/

    [services.cloud]
    kind = "standcloud"
    url = "https://demo.standcloud.io"
    api = "integration"                # or "hardpy": the two documented path prefixes
    auth = "x-api-key"                 # or "bearer", which the vendor's own clients send
    token_env = "STANDCLOUD_API_KEY"

With `auth = "login"` there is no key: `testlab-mcp login cloud` signs in as the vendor's `hardpy sc-login` does.
StandCloud is only read.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from testlab_tools.adapters.standcloud.history import StandHistory
from testlab_tools.services import HttpServiceSettings
from testlab_tools.signin import Provider


class Settings(HttpServiceSettings):
    """Keys of a `kind = "standcloud"` table."""

    api: Literal["integration", "hardpy"] = Field(
        default="integration", description="which of the two documented path prefixes"
    )
    auth: Literal["x-api-key", "bearer", "login"] = Field(
        default="x-api-key",
        description="how the key is sent; `login` signs in by `testlab-mcp login NAME` instead of a key",
    )

    @model_validator(mode="after")
    def _login_without_token(self) -> Settings:
        if self.auth == "login" and (given := self.token_keys()):
            raise ValueError(f'has auth = "login" and {given[0]}: give one of them')
        if self.auth == "login" and self.credentials == "caller":
            raise ValueError('has auth = "login" and credentials = "caller": give one of them')
        return self

    def sign_in(self, service: str) -> Provider | None:
        """Authelia's device flow, with the client id, scopes and audience that hardpy 0.25.2 has."""
        if self.auth != "login":
            return None
        return Provider(
            endpoint=self.endpoint(service),
            device_path="/auth/api/oidc/device-authorization",
            token_path="/auth/api/oidc/token",
            client_id="hardpy-report-uploader",
            scope="offline_access authelia.bearer.authz",
            audience=f"{self.url}/{self.api}/api/v1",
        )


class StandCloud(StandHistory):
    """Test runs of an organisation, for reading."""


def connect(name: str, settings: Settings) -> StandCloud:
    """The organisation that the key, or the user who signed in, belongs to."""
    provider = settings.sign_in(name)
    if provider is not None:
        return StandCloud(name, settings.client(name, "bearer"), settings.api, provider.remedy)
    remedy = f'Check the key, and auth = "x-api-key" or "bearer", under [services.{name}].'
    scheme = "bearer" if settings.auth == "bearer" else "x-api-key"
    return StandCloud(name, settings.client(name, scheme), settings.api, remedy)
