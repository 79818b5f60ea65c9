"""The config file: TOML, one table per service. An unknown key is an error that names the nearest known one."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from testlab_tools.capabilities import Service
from testlab_tools.errors import ConfigError
from testlab_tools.files import Folders
from testlab_tools.kinds import Kind, load_kind
from testlab_tools.lab import Lab
from testlab_tools.registry import Access, Toolset
from testlab_tools.settings import ServiceSettings

ToolsetName = Literal["default", "all"] | Toolset
_Settings = TypeVar("_Settings", bound=BaseModel)


class ServerSettings(BaseModel):
    """The `[server]` table. `allow` and `deny` name tools; deny wins over all else."""

    model_config = ConfigDict(extra="forbid")

    access: Access = "operate"
    toolsets: list[ToolsetName] = ["default"]
    allow: list[str] = []
    deny: list[str] = []


class FileSettings(BaseModel):
    """The `[files]` table: folders that tools may write to; the first is where bare names go."""

    model_config = ConfigDict(extra="forbid")

    save_to: list[str] = Field(default=[], description="default: a folder of the user's own data")


@dataclass(frozen=True)
class Config:
    """A config as read: `services` by name, in the file's order."""

    server: ServerSettings
    files: FileSettings
    services: Mapping[str, tuple[Kind, ServiceSettings]]
    path: Path | None = None

    def lab(self) -> Lab:
        """Connect every service. Nothing is opened and no token read before the first request."""
        return Lab(self.connected())

    def connected(self) -> Iterable[Service]:
        """The services, in the file's order."""
        return [kind.connect(name, settings) for name, (kind, settings) in self.services.items()]

    def folders(self) -> Folders:
        """Where tools may write."""
        if self.files.save_to:
            return Folders([Path(folder).expanduser() for folder in self.files.save_to])
        from platformdirs import user_data_path

        return Folders([user_data_path("testlab-mcp", appauthor=False) / "files"])


def find_config(given: str = "") -> Path:
    """`--config`, else `$TESTLAB_MCP_CONFIG`, else `config.toml` in the user's config folder for testlab-mcp.

    Raises:
        ConfigError: there is none; says where one would be looked for.
    """
    named = given or os.environ.get("TESTLAB_MCP_CONFIG", "")
    if named:
        path = Path(named).expanduser()
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
    _known(tables, ("server", "files", "services"), where)
    server = _table(ServerSettings, tables.get("server", {}), f"{where}, [server]")
    files = _table(FileSettings, tables.get("files", {}), f"{where}, [files]")
    services = _mapping(tables.get("services", {}), f"{where}, [services]")
    read = {name: _service(name, table, where) for name, table in services.items()}
    return Config(server, files, read, path)


def _service(name: str, table: Any, where: str) -> tuple[Kind, ServiceSettings]:
    place = f"{where}, [services.{name}]"
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
        raise ConfigError(f"{place}: a service's name is of letters, digits, - and _")
    table = _mapping(table, place)
    if "kind" not in table:
        raise ConfigError(f"{place} has no kind", "", 'For example kind = "stbtester".')
    try:
        kind = load_kind(str(table["kind"]))
    except ConfigError as error:
        raise ConfigError(f"{place}: {error.what}", "", error.next_step) from None
    return kind, _table(kind.Settings, table, place)


def _table(shape: type[_Settings], table: Any, place: str) -> _Settings:
    table = _mapping(table, place)
    _known(table, shape.model_fields, place)
    try:
        return shape.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{place}: {_complaint(shape, key, first['type'], first['msg'])}") from None


def _complaint(shape: type[BaseModel], key: str, problem: str, message: str) -> str:
    if problem == "missing":
        return f"{key} is missing"
    if problem == "literal_error":
        choices = get_args(shape.model_fields[key.split(".")[0]].annotation)
        named = ", ".join(str(choice) for choice in choices if isinstance(choice, str))
        return f"{key} must be one of: {named}" if named else f"{key}: {message}"
    words = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{key} {words}" if key else words


def _known(table: Mapping[str, Any], keys: Iterable[str], place: str) -> None:
    keys = list(keys)
    for key in table:
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(keys)}."
            raise ConfigError(f"{place}: unknown key {key!r}", "", hint)


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a table")
    return cast(dict[str, Any], value)
