"""The config file: TOML, one table per service. An unknown key is an error that names the nearest known one."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from testlab_mcp.access.settings import CallerSettings, HttpSettings, OAuthSettings, ToolsetName
from testlab_mcp.access.tables import check_callers, check_headers, check_name
from testlab_mcp.audit.clerk import Clerk
from testlab_mcp.audit.settings import AuditSettings
from testlab_mcp.tables import as_mapping, home_of, on_one_line, read_table, refuse_unknown
from testlab_tools.capabilities import Service
from testlab_tools.deliveries.courier import Pace
from testlab_tools.deliveries.outbox import Outbox
from testlab_tools.errors import ConfigError
from testlab_tools.files import Folders
from testlab_tools.kinds import Kind, load_kind
from testlab_tools.lab import Lab
from testlab_tools.registry import Access
from testlab_tools.settings import ServiceSettings

if TYPE_CHECKING:
    from testlab_mcp.audit.trail import Trail


class ServerSettings(BaseModel):
    """The `[server]` table. `allow` and `deny` name tools; deny wins over all else."""

    model_config = ConfigDict(extra="forbid")

    access: Access = "operate"
    toolsets: list[ToolsetName] = ["default"]
    allow: list[str] = []
    deny: list[str] = []


class FileSettings(BaseModel):
    """The `[files]` table: folders that tools may write to, and read from; bare names go to the first of `save_to`."""

    model_config = ConfigDict(extra="forbid")

    save_to: list[str] = Field(default=[], description="default: a folder of the user's own data")
    read_from: list[str] = []


class DurableSettings(BaseModel):
    """The `[durable]` table: where runs and reports are written down before they are sent.

    `path` is a SQLite file; `database_url` a PostgreSQL database instead. Tries are at most `longest_pause_seconds`
    apart.
    """

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    path: str = Field(default="", description="default: a file for this config in the user's own data folder")
    database_url: SecretStr | None = None
    longest_pause_seconds: float = Field(default=60.0, ge=1, le=3600)

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a postgresql:// URL; path names a SQLite file")
        return url


@dataclass(frozen=True)
class Config:
    """A config as read: `services` by name, in the file's order."""

    server: ServerSettings
    files: FileSettings
    services: Mapping[str, tuple[Kind, ServiceSettings]]
    path: Path | None = None
    durable: DurableSettings = field(default_factory=DurableSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    callers: Mapping[str, CallerSettings] = field(default_factory=dict[str, CallerSettings])
    audit: AuditSettings = field(default_factory=AuditSettings)

    def lab(self) -> Lab:
        """Connect every service. Nothing is opened and no token read before the first request."""
        return Lab(self.connected(), self.outbox(), self.callers_own)

    @property
    def signs_in(self) -> bool:
        """Whether callers over HTTP must say who they are."""
        return bool(self.callers) or self.http.oauth is not None

    @property
    def callers_own(self) -> frozenset[str]:
        """Names of the services for which each caller brings a token of its own."""
        return frozenset(name for name, (_, settings) in self.services.items() if settings.credentials == "caller")

    def outbox(self) -> Outbox | None:
        """Where runs and reports are written down before they are sent; None when that is switched off."""
        if not self.durable.enabled:
            return None
        url = self.durable.database_url
        place = self._deliveries() if url is None else url.get_secret_value()
        return Outbox(place, self.connected, Pace(longest_s=self.durable.longest_pause_seconds))

    def _deliveries(self) -> Path:
        """The SQLite file. By default each config has its own: another's services may have the same names."""
        if self.durable.path:
            return home_of(self.durable.path).absolute()
        return self._data_file("deliveries", ".sqlite")

    def clerk(self) -> Clerk:
        """Who writes the audit. Nothing is opened before the first line."""
        return Clerk(self._trail if self.audit.enabled else None, self.audit.reads)

    def audit_file(self) -> Path | None:
        """The file the audit is written to, if it goes to one."""
        if self.audit.file:
            return home_of(self.audit.file).absolute()
        return None if self.audit.stderr or not self.audit.enabled else self._data_file("audit", ".jsonl")

    def _trail(self) -> Trail:
        from testlab_mcp.audit.trail import FileTrail, StderrTrail

        path = self.audit_file()
        if path is None:
            return StderrTrail()
        return FileTrail(path, self.audit.max_megabytes * 2**20, echo=self.audit.stderr)

    def _data_file(self, folder: str, suffix: str) -> Path:
        from platformdirs import user_data_path

        key = hashlib.sha256(str(self.path.resolve() if self.path else "").encode()).hexdigest()[:12]
        return user_data_path("testlab-mcp", appauthor=False) / folder / f"{key}{suffix}"

    def connected(self) -> Iterable[Service]:
        """The services, in the file's order."""
        return [kind.connect(name, settings) for name, (kind, settings) in self.services.items()]

    def connect_as(self, service: str, token: SecretStr | None) -> Service:
        """One service anew, with a caller's token, or with none; never with one of the config's."""
        kind, settings = self.services[service]
        return kind.connect(service, settings.model_copy(update={"token": token}))

    def folders(self) -> Folders:
        """Where tools may write and read."""
        read_from = [home_of(folder) for folder in self.files.read_from]
        if self.files.save_to:
            return Folders([home_of(folder) for folder in self.files.save_to], read_from=read_from)
        from platformdirs import user_data_path

        return Folders([user_data_path("testlab-mcp", appauthor=False) / "files"], read_from=read_from)


def find_config(given: str = "") -> Path:
    """`--config`, else `$TESTLAB_MCP_CONFIG`, else `config.toml` in the user's config folder for testlab-mcp.

    Raises:
        ConfigError: there is none; says where one would be looked for.
    """
    named = given or os.environ.get("TESTLAB_MCP_CONFIG", "")
    if named:
        path = home_of(named)
    else:
        from platformdirs import user_config_path

        path = user_config_path("testlab-mcp", appauthor=False) / "config.toml"
    if not path.is_file():
        raise ConfigError(
            f"there is no config file at {path}",
            "",
            "Give --config FILE or set TESTLAB_MCP_CONFIG; config.example.toml is a start, --demo needs none.",
        )
    return path


def load_config(path: Path) -> Config:
    """Read a config file. Raises ConfigError: one line with the file, the place in it, and the remedy."""
    try:
        return parse_config(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__})") from None


def parse_config(text: str, path: Path | None = None) -> Config:
    """Read the text of a config file."""
    where = str(path) if path else "the config"
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}") from None
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{where} is not TOML that can be read: a number is too long, or it is nested too deep"
        ) from None
    refuse_unknown(tables, ("server", "files", "durable", "audit", "http", "callers", "services"), where)
    server = read_table(ServerSettings, tables.get("server", {}), f"{where}, [server]")
    files = read_table(FileSettings, tables.get("files", {}), f"{where}, [files]")
    services = as_mapping(tables.get("services", {}), f"{where}, [services]")
    read = {name: _service(name, table, where) for name, table in services.items()}
    durable = read_table(DurableSettings, tables.get("durable", {}), f"{where}, [durable]")
    http = _http(tables.get("http", {}), where)
    tables_of = as_mapping(tables.get("callers", {}), f"{where}, [callers]")
    callers = {name: _caller(name, table, where) for name, table in tables_of.items()}
    check_callers(callers, http, list(read), where)
    audit = read_table(AuditSettings, tables.get("audit", {}), f"{where}, [audit]")
    config = Config(server, files, read, path, durable, http, callers, audit)
    check_headers(config.callers_own, where)
    return config


def _http(table: Any, where: str) -> HttpSettings:
    """`[http]`, and `[http.oauth]` within it, each wrong key told at its own place."""
    table = as_mapping(table, f"{where}, [http]")
    if "oauth" in table:
        table = {**table, "oauth": read_table(OAuthSettings, table["oauth"], f"{where}, [http.oauth]")}
    return read_table(HttpSettings, table, f"{where}, [http]")


def _caller(name: str, table: Any, where: str) -> CallerSettings:
    place = f"{where}, [callers.{on_one_line(name)}]"
    check_name(name, place)
    return read_table(CallerSettings, table, place)


def _service(name: str, table: Any, where: str) -> tuple[Kind, ServiceSettings]:
    place = f"{where}, [services.{on_one_line(name)}]"
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
        raise ConfigError(f"{place}: a service's name is of letters, digits, - and _")
    table = as_mapping(table, place)
    if "kind" not in table:
        raise ConfigError(f"{place} has no kind", "", 'For example kind = "stbtester".')
    try:
        kind = load_kind(str(table["kind"]))
    except ConfigError as error:
        raise ConfigError(f"{place}: {error.what}", "", error.next_step) from None
    return kind, read_table(kind.Settings, table, place)
