"""The tables of the config file, a class for each, whose fields are their keys. A service's own table is in
`testlab_tools.services`."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from testlab_tools.errors import BadInput
from testlab_tools.http.ssrf import UnsafeUrl, check_receiver
from testlab_tools.notify.receivers import ReceiverKind
from testlab_tools.registry import Access, Toolset
from testlab_tools.times import check_zone

ToolsetName = Literal["default", "all"] | Toolset
Unasked = Literal["confirm", "refuse"]
"""Have the agent ask and repeat the target's name, or refuse."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _secure(url: str) -> str:
    """The URL, if secrets may be sent to it: https, or this machine."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be a plain URL: no user, password, query or fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("must be an https:// URL (http:// only for this machine)")
    return url


def _sha256(text: str) -> str:
    if text and not _SHA256.fullmatch(text.lower()):
        raise ValueError("must be 64 hexadecimal digits; `testlab-mcp token new NAME` makes them")
    return text.lower()


def _postgresql(url: SecretStr | None, hint: str = "") -> SecretStr | None:
    if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError(f"must be a postgresql:// URL{hint}")
    return url


class ServerSettings(BaseModel):
    """The `[server]` table: which tools there are, and how long they wait. `deny` wins over `allow`."""

    access: Access = Field(
        default="operate",
        description="look only; or also run, reserve and record; or also delete, and take from others",
    )
    toolsets: list[ToolsetName] = Field(
        default=["default"],
        description="groups of tools that are on; `default` is all but `statistics`, `campaigns` and `deliveries`",
    )
    allow: list[str] = Field(default=[], description="names of tools that are on although their toolset is off")
    deny: list[str] = Field(default=[], description="names of tools that are never on")
    release_on_exit: bool = Field(
        default=True, description="whether reservations end with the server; else they hold until their own end"
    )
    idle_minutes: int = Field(
        default=60,
        ge=0,
        le=10_080,
        description="over HTTP, reservations of a caller silent for so long end, unless a job runs; 0 for never",
    )
    unasked: Unasked = Field(
        default="confirm",
        description="where a person must agree and the client cannot ask: have the agent ask (`confirm`), or refuse",
    )
    longest_wait_seconds: float = Field(
        default=45.0, ge=1, le=45, description="no call is held longer; keep it below your client's time-out"
    )
    pictures: bool = Field(
        default=True, description="whether answers hold images; without, their facts alone, and `save_to` writes them"
    )


class FileSettings(BaseModel):
    """The `[files]` table: folders that tools may write to and read from."""

    save_to: list[str] = Field(
        default=[],
        description="folders that tools may write to, the first for bare names; left out, one of the user's data",
    )
    read_from: list[str] = Field(
        default=[], description="folders, besides `save_to`, that `import_report` and `create_run` may read from"
    )


class DurableSettings(BaseModel):
    """The `[durable]` table: where runs, reports and long work are stored, and who runs them."""

    enabled: bool = Field(default=True, description="whether runs and reports are written down before they are sent")
    path: str = Field(
        default="",
        description="the SQLite file they are in; left out, one for this config in the user's own data folder",
    )
    database_url: SecretStr | None = Field(
        default=None, description="a PostgreSQL database (`postgresql://…`) instead of the file"
    )
    run_here: bool = Field(
        default=True, description="whether this server runs what is stored; else `testlab-mcp worker` must"
    )
    longest_pause_seconds: float = Field(default=60.0, ge=1, le=3600, description="between two tries of a delivery")
    answer_within_seconds: float = Field(
        default=4.0, ge=0.1, le=40, description="then a call whose run has not arrived answers that it is queued"
    )

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: SecretStr | None) -> SecretStr | None:
        return _postgresql(url, "; path names a SQLite file")


class ArchiveSettings(BaseModel):
    """The `[archive]` table: where the history of runs is kept that statistics are computed from."""

    enabled: bool = Field(default=True, description="whether history is kept; without it there are no statistics")
    path: str = Field(default="", description="the folder it is in; left out, one in the user's own data folder")
    database_url: SecretStr | None = Field(
        default=None, description="a PostgreSQL database (`postgresql://…`) instead of the folder, for several machines"
    )
    max_age_days: int = Field(default=730, ge=0, description="runs that began longer ago are not kept; 0 for no bound")
    timezone: str = Field(
        default="UTC", description="the zone in which days, hours and weeks are counted, such as `Europe/Berlin`"
    )

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: SecretStr | None) -> SecretStr | None:
        return _postgresql(url)

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            return check_zone(name, "timezone")
        except BadInput as error:
            raise ValueError(str(error)) from None


class OAuthSettings(BaseModel):
    """The `[http.oauth]` table: the issuer of accepted tokens (JWTs), and the claims with the caller and its access."""

    issuer: str = Field(description="whose tokens (JWTs) are accepted")
    audience: str = Field(default="", description="the audience a token must name; left out, `public_url`")
    jwks_url: str = Field(default="", description="where the issuer's keys are; left out, as its metadata say")
    access_claim: str = Field(
        default="scope",
        min_length=1,
        description="the claim that grants `testlab:observe`, `testlab:operate` or `testlab:admin`",
    )
    caller_claim: str = Field(default="sub", min_length=1, description="the claim that names the caller")

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _https(cls, url: str) -> str:
        return _secure(url) if url else url


class HttpSettings(BaseModel):
    """The `[http]` table: where callers reach the server, and what each may use of it."""

    public_url: str = Field(
        default="", description="the URL that clients use; needed on any address but this machine's"
    )
    allowed_origins: list[str] = Field(
        default=[], description="origins of browsers' pages, besides that of `public_url`"
    )
    calls_per_minute: int = Field(default=120, ge=0, description="of each caller; 0 for no bound")
    calls_at_once: int = Field(default=32, ge=0, description="of each caller, those that wait included; 0 for no bound")
    sessions_per_caller: int = Field(default=100, ge=0, description="the longest idle ends for another; 0 for no bound")
    transfers_per_caller: int = Field(default=2, ge=0, description="files being saved at once; 0 for no bound")
    megabytes_per_caller: int = Field(default=4096, ge=0, description="in its folders below `save_to`; 0 for no bound")
    state_key_env: str = Field(default="", description="a variable with the keys that replicas share, the newest first")
    state_key_file: str = Field(default="", description="a file with these keys instead")
    metrics: bool = Field(
        default=False, description="whether `/metrics` shows figures for Prometheus; needs `testlab-mcp[telemetry]`"
    )
    metrics_token_sha256: str = Field(
        default="", repr=False, description="the hash of the token that reads them; needed where callers sign in"
    )
    oauth: OAuthSettings | None = None

    @field_validator("metrics_token_sha256")
    @classmethod
    def _digest(cls, text: str) -> str:
        return _sha256(text)

    @field_validator("public_url")
    @classmethod
    def _public(cls, url: str) -> str:
        return _secure(url).rstrip("/") if url else url

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            scheme, host = urlsplit(origin)[:2]
            if scheme not in ("http", "https") or not host or f"{scheme}://{host}" != origin:
                raise ValueError("must be origins: scheme://host or scheme://host:port, without a path")
        return origins

    @model_validator(mode="after")
    def _whole(self) -> Any:
        if self.state_key_env and self.state_key_file:
            raise ValueError("has state_key_env and state_key_file: give one of them")
        if self.oauth is not None and not self.public_url:
            raise ValueError("has [http.oauth] and no public_url: clients find the sign-in by it")
        return self


class CallerSettings(BaseModel):
    """A `[callers.NAME]` table: how a caller signs in, and how it narrows what `[server]` allows."""

    token_sha256: str = Field(
        default="", repr=False, description="the hash of the caller's token, as `testlab-mcp token new NAME` prints it"
    )
    subject: str = Field(default="", description="the caller's name in tokens of `[http.oauth]`")
    access: Access | None = Field(
        default=None, description="left out: `observe` with a static token, else what the OAuth token grants"
    )
    toolsets: list[ToolsetName] = Field(default=["all"], description="those of `[server]` that the caller has")
    allow: list[str] = Field(default=[], description="single tools besides these")
    deny: list[str] = Field(default=[], description="single tools that the caller has not")
    nodes: list[str] | None = Field(default=None, description="globs over handles or ids of nodes; left out, all")
    services: list[str] | None = Field(default=None, description="names of services; left out, all")
    pictures: bool = Field(default=True, description="whether its answers hold images")

    @field_validator("token_sha256")
    @classmethod
    def _digest(cls, text: str) -> str:
        return _sha256(text)

    @model_validator(mode="after")
    def _known_by_something(self) -> Any:
        if not self.token_sha256 and not self.subject:
            raise ValueError("has neither token_sha256 nor subject; `testlab-mcp token new NAME` makes a token")
        return self


class AuditSettings(BaseModel):
    """The `[audit]` table: where calls that change something, and refusals, are recorded."""

    enabled: bool = Field(
        default=True, description="whether calls that change something, and refusals, are written down"
    )
    file: str = Field(default="", description="left out, a file for this config in the user's own data folder")
    stderr: bool = Field(
        default=False, description="write to standard error; to a file as well only if `file` is given"
    )
    reads: bool = Field(default=False, description="write down calls that only look, too")
    max_megabytes: int = Field(
        default=64, ge=1, le=10_000, description="then the file is renamed and a new one begun; none is deleted"
    )


class NotifySettings(BaseModel):
    """A `[notify.NAME]` table: who is told what ended, outside the lab."""

    kind: ReceiverKind = Field(
        default="webhook", description="a signed webhook, or the shape that Slack or Teams takes"
    )
    url: str = Field(default="", repr=False, description="where messages are posted: https")
    url_env: str = Field(default="", description="a variable that holds it, as Slack's and Teams' are secrets")
    secret_env: str = Field(
        default="", description="a variable with the key of the signature, `whsec_` and base64; a webhook needs it"
    )
    allow_private: bool = Field(
        default=False, description="whether addresses within the network are allowed, and http to this machine"
    )
    give_up_hours: float = Field(default=24.0, gt=0, le=168, description="then a message is tried no more")

    @model_validator(mode="after")
    def _whole(self) -> Any:
        if bool(self.url) == bool(self.url_env):
            raise ValueError("needs either url or url_env")
        if self.kind == "webhook" and not self.secret_env:
            raise ValueError("has no secret_env: a webhook is signed")
        if self.url:
            try:
                check_receiver(self.url, self.allow_private)
            except UnsafeUrl as unsafe:
                raise ValueError(f"has a url that nothing is sent to. {unsafe}") from None
        return self
