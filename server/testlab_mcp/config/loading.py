"""Finds and reads the config file: TOML, one table per service. An unknown key is an error that names the nearest."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from testlab_mcp.config.config import Config, expand_path
from testlab_mcp.config.settings import (
    ArchiveSettings,
    AuditSettings,
    CallerSettings,
    DurableSettings,
    FileSettings,
    HttpSettings,
    NotifySettings,
    OAuthSettings,
    ServerSettings,
)
from testlab_tools.errors import ConfigError, did_you_mean
from testlab_tools.services import Kind, ServiceSettings, known_kinds, load_kind, token_header

_Settings = TypeVar("_Settings", bound=BaseModel)


def config_path(given: str = "") -> Path:
    """`--config`, else `$TESTLAB_MCP_CONFIG`, else `config.toml` in the user's config folder for testlab-mcp."""
    if named := given or os.environ.get("TESTLAB_MCP_CONFIG", ""):
        return expand_path(named)
    from platformdirs import user_config_path

    return user_config_path("testlab-mcp", appauthor=False) / "config.toml"


def find_config(given: str = "") -> Path:
    """The config file at `config_path`. Raises ConfigError when it does not exist."""
    path = config_path(given)
    if not path.is_file():
        raise ConfigError(
            f"there is no config file at {path}",
            "",
            "`testlab-mcp init` writes one; or give --config FILE or set TESTLAB_MCP_CONFIG. --demo needs none.",
        )
    return path


def load_config(path: Path) -> Config:
    """Read a config file. Raises ConfigError: one line with the file, the place in it, and the remedy."""
    try:
        return parse_config(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__})") from None


def parse_config(text: str, path: Path | None = None) -> Config:
    """Read the text of a config file. Raises ConfigError like `load_config`."""
    where = str(path) if path else "the config"
    tables = _parse_toml(text, where)
    _refuse_unknown(
        tables, ("server", "files", "durable", "archive", "audit", "http", "callers", "notify", "services"), where
    )

    def read(shape: type[_Settings], name: str) -> _Settings:
        return _read_table(shape, tables.get(name, {}), f"{where}, [{name}]")

    def named_tables(name: str) -> dict[str, Any]:
        return _as_mapping(tables.get(name, {}), f"{where}, [{name}]")

    config = Config(
        path=path,
        server=read(ServerSettings, "server"),
        files=read(FileSettings, "files"),
        services={name: _read_service(name, table, where) for name, table in named_tables("services").items()},
        durable=read(DurableSettings, "durable"),
        archive=read(ArchiveSettings, "archive"),
        http=_read_http(tables.get("http", {}), where),
        callers={name: _read_caller(name, table, where) for name, table in named_tables("callers").items()},
        audit=read(AuditSettings, "audit"),
        notify={name: _read_receiver(name, table, where) for name, table in named_tables("notify").items()},
    )
    _check_callers(config, where)
    _check_headers(config.callers_own, where)
    return config


def _parse_toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}") from None
    except (ValueError, RecursionError):
        unreadable = f"{where} is not TOML that can be read: a number is too long, or it is nested too deep"
        raise ConfigError(unreadable) from None


def _read_http(table: Any, where: str) -> HttpSettings:
    """`[http]`, and first `[http.oauth]` in it, so that a mistake there is reported at that place."""
    table = _as_mapping(table, f"{where}, [http]")
    if "oauth" in table:
        table = {**table, "oauth": _read_table(OAuthSettings, table["oauth"], f"{where}, [http.oauth]")}
    return _read_table(HttpSettings, table, f"{where}, [http]")


def _read_caller(name: str, table: Any, where: str) -> CallerSettings:
    place = f"{where}, [callers.{_quote_name(name)}]"
    check_name(name, place)
    return _read_table(CallerSettings, table, place)


def _read_receiver(name: str, table: Any, where: str) -> NotifySettings:
    place = f"{where}, [notify.{_quote_name(name)}]"
    if not _is_plain(name) or len(name) > 60:
        raise ConfigError(f"{place}: a receiver's name is of letters, digits, - and _, at most 60")
    return _read_table(NotifySettings, table, place)


def _read_service(name: str, table: Any, where: str) -> tuple[Kind, ServiceSettings]:
    place = f"{where}, [services.{_quote_name(name)}]"
    if not _is_plain(name):
        raise ConfigError(f"{place}: a service's name is of letters, digits, - and _")
    table = _as_mapping(table, place)
    if "kind" not in table:
        raise ConfigError(f"{place} has no kind", "", f"Known kinds: {', '.join(known_kinds())}.")
    try:
        kind = load_kind(str(table["kind"]))
    except ConfigError as error:
        raise ConfigError(f"{place}: {error.what}", "", error.next_step) from None
    return kind, _read_table(kind.Settings, table, place)


def _check_callers(config: Config, where: str) -> None:
    """Raises ConfigError for a name, token or subject of two callers, and for a service that does not exist."""
    seen: dict[tuple[str, str], str] = {}
    for name, caller in config.callers.items():
        place = f"{where}, [callers.{name}]"
        if caller.subject and config.http.oauth is None:
            what = f"{place} has a subject, and there is no [http.oauth]"
            raise ConfigError(what, "", "Say there who issues tokens.")
        ids = (("name", name.casefold()), ("token_sha256", caller.token_sha256), ("subject", caller.subject))
        for kind, value in ids:
            if value and (kind, value) in seen:
                what = f"{place} has the {kind} of [callers.{seen[kind, value]}]"
                raise ConfigError(what, "", "Each caller has its own.")
            seen[kind, value] = name
        for service in caller.services or ():
            if service not in config.services:
                hint = did_you_mean(service, config.services, f"Configured: {', '.join(config.services) or 'none'}.")
                raise ConfigError(f"{place}: there is no service {service!r}", "", hint)


def _check_headers(services: Collection[str], where: str) -> None:
    """Raises ConfigError when callers would send the tokens of two services in the same header."""
    seen: dict[str, str] = {}
    for name in sorted(services):
        header = token_header(name).casefold()
        if header in seen:
            raise ConfigError(
                f"{where}: callers' tokens for {seen[header]} and {name} would come in one header",
                "Header names know neither case nor underscores",
                "Rename one of the two services.",
            )
        seen[header] = name


def _read_table(shape: type[_Settings], table: Any, place: str) -> _Settings:
    """Validate a table. Raises ConfigError: one line with `place`, the key and the remedy."""
    table = _as_mapping(table, place)
    _refuse_unknown(table, shape.model_fields, place)
    listed = {key: [value] for key, value in table.items() if value and isinstance(value, str) and _is_list(shape, key)}
    try:
        return shape.model_validate(table | listed)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{place}: {_explain(shape, key, first['type'], first['msg'])}") from None


def _is_list(shape: type[BaseModel], key: str) -> bool:
    """Whether a key takes a list, for which a single text stands as well."""
    annotation = shape.model_fields[key].annotation
    return any(get_origin(option) is list for option in (annotation, *get_args(annotation)))


def _explain(shape: type[BaseModel], key: str, problem: str, message: str) -> str:
    if problem == "missing":
        return f"{key} is missing"
    if problem == "literal_error":
        name = key.split(".")[0]
        return f"{name} must be one of: {', '.join(_list_choices(shape.model_fields[name].annotation))}"
    words = message.removeprefix("Value error, ").replace("Input should be ", "must be ", 1)
    return f"{key} {words}" if key else words


def _list_choices(annotation: Any) -> list[str]:
    """The texts that an annotation of literals admits, however it holds them."""
    if isinstance(annotation, str):
        return [annotation]
    return [choice for inner in get_args(annotation) for choice in _list_choices(inner)]


def _refuse_unknown(table: Mapping[str, Any], keys: Iterable[str], place: str) -> None:
    """Raises ConfigError for a key that is none of `keys`."""
    keys = list(keys)
    for key in table:
        if key not in keys:
            hint = did_you_mean(key, keys, f"Known keys: {', '.join(keys)}.")
            raise ConfigError(f"{place}: unknown key {key!r}", "", hint)


def _as_mapping(value: Any, place: str) -> dict[str, Any]:
    """The value, which must be a table. Raises ConfigError."""
    if not isinstance(value, dict):
        raise ConfigError(f"{place} must be a table")
    return cast(dict[str, Any], value)


def _is_plain(name: str) -> bool:
    """Whether a name consists of ASCII letters, digits, - and _."""
    return name.replace("_", "").replace("-", "").isalnum() and name.isascii()


def _quote_name(name: str) -> str:
    """A table's name for an error: quoted unless it is plain."""
    return name if _is_plain(name) else ascii(name)


def check_name(name: str, place: str) -> None:
    """Raises ConfigError for a caller's name that cannot name a folder, or is reserved."""
    if not _is_plain(name) or len(name) > 60:
        raise ConfigError(f"{place}: a caller's name is of letters, digits, - and _, at most 60")
    if name == "local":
        raise ConfigError(f"{place}: local is whoever starts this server itself", "", "Take another name.")
