"""`testlab-mcp init`: asks for the services, tries each, writes the config, and tells MCP clients of the server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from testlab_mcp.commands.client_config import print_snippet
from testlab_mcp.commands.client_registration import find_clients, register
from testlab_mcp.commands.config_text import STATISTICS_ON, Tables, write_tables
from testlab_mcp.commands.doctor import Finding, examine, show_findings
from testlab_mcp.commands.init_questions import ask_services, ask_yes
from testlab_mcp.config.config import Config
from testlab_mcp.config.loading import config_path, parse_config
from testlab_tools.errors import BadInput, LabError
from testlab_tools.extra import has_statistics
from testlab_tools.files.io import replace_file
from testlab_tools.services import known_kinds, load_kind


@dataclass(frozen=True)
class Options:
    """What is given on the command line: see `testlab-mcp init --help`."""

    config: str = ""
    services: Sequence[str] = ()
    settings: Sequence[str] = ()
    access: str = "operate"
    clients: Sequence[str] = ()
    check: bool = True
    force: bool = False
    folder: str = ""


def init(options: Options) -> int:
    """Write the config. Returns 0, or 1 when a service cannot be used and nothing was written.

    Raises:
        BadInput: the flags are wrong, the folder cannot be written, or there is a config already; nothing was written.
        ConfigError: a key is unknown or has no such value.
    """
    given = bool(options.services or options.folder)
    asks = not given and sys.stdin.isatty()
    if not given and not asks:
        raise BadInput(
            "There is no terminal to ask at",
            "",
            "Give --folder DIR, or --service NAME:KIND=URL and --set NAME.KEY=VALUE; see init --help.",
        )
    path = config_path(options.config)
    _check_place(path, options.force, asks)
    tables = ask_services(path.parent) if asks else _read_options(options)
    statistics = bool(options.folder) and has_statistics()
    text = write_tables(options.access, tables, statistics)
    config = parse_config(text, path)
    if options.check and not _try_services(config) and not (asks and ask_yes("Write it all the same?")):
        print("\nNothing was written. --no-check writes it without trying.", file=sys.stderr)
        return 1
    if path.exists():
        kept = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%d-%H%M%S}")
        path.replace(kept)
        print(f"The config before is kept as {kept}")
    replace_file(path, text)
    print(f"Wrote {path}")
    if not statistics:
        install = "" if has_statistics() else 'pip install "testlab-mcp[statistics]", and '
        print(f"Statistics are off: {install}{STATISTICS_ON} in its [server] table turns them on.")
    return _register(options.clients, path, asks)


def _read_options(options: Options) -> Tables:
    from testlab_mcp.commands.folder import folder_table

    tables = read_flags(options.services, options.settings)
    return {**folder_table(options.folder), **tables} if options.folder else tables


def read_flags(services: Sequence[str], settings: Sequence[str]) -> Tables:
    """The service tables that `NAME:KIND=URL` and `NAME.KEY=VALUE` name. Raises BadInput."""
    tables: dict[str, dict[str, str]] = {}
    for given in services:
        head, equals, place = given.partition("=")
        name, colon, kind = head.partition(":")
        if not equals or not colon or not name or not kind:
            raise BadInput(f"--service {given!r} is not NAME:KIND=URL", "", f"Kinds: {', '.join(known_kinds())}.")
        tables[name] = {"kind": kind, load_kind(kind).Settings.place: place}
    for given in settings:
        head, equals, value = given.partition("=")
        name, dot, key = head.partition(".")
        if not equals or not dot or name not in tables:
            raise BadInput(f"--set {given.partition('=')[0]!r} is not NAME.KEY=VALUE of a --service", "", "")
        tables[name][key] = value
    return tables


def _check_place(path: Path, force: bool, asks: bool) -> None:
    """Raises BadInput before anything is asked, where the config could not be written in the end."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.writable")
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise BadInput(f"{path.parent} cannot be written ({error.strerror})", "", "Give --config FILE.") from None
    if not path.exists() or force:
        return
    if not asks or not ask_yes(f"There is a config already: {path}. Replace it? A copy is kept."):
        raise BadInput(f"There is a config already: {path}", "", "--force replaces it and keeps a copy.")


def _try_services(config: Config) -> bool:
    """Ask every service at once, show what was found, and return whether all can be used."""
    print("\nTrying each service …")
    findings: list[Finding] = asyncio.run(examine(config.connect_services()))
    return show_findings(findings)


def _register(clients: Sequence[str], path: Path, asks: bool) -> int:
    """Tell the clients named, or those found that the person agrees to; else print what to paste."""
    found = find_clients()
    wanted = list(clients) or [name for name in found if asks and ask_yes(f"Add the server to {name}?")]
    failed = False
    for name in wanted:
        try:
            print(f"{name}: {register(name, path)}")
        except LabError as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
    if not wanted:
        print("\nFor an MCP client:", file=sys.stderr)
        print_snippet("claude-code", str(path))
    return 1 if failed else 0
