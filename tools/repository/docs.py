"""`./do docs`: writes what README.md and docs/ say of tools, commands and config keys, between their markers."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from testlab_mcp.commands.client_config import COMMANDS, FILES, snippet
from testlab_mcp.commands.main import CLIENTS, build_parser
from testlab_mcp.commands.tools import BUDGETS, connect_kind
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
from testlab_tools.capabilities import Service
from testlab_tools.registry import ToolSpec
from testlab_tools.reports.testlab_run import describe_schema
from testlab_tools.services import HttpServiceSettings, ServiceSettings, known_kinds, load_kind
from testlab_tools.tools import all_tools

ROOT = Path(__file__).resolve().parents[2]
RUN_SCHEMA = ROOT / "docs" / "testlab-run.schema.json"
TABLES: dict[str, type[BaseModel]] = {
    "[server]": ServerSettings,
    "[files]": FileSettings,
    "[durable]": DurableSettings,
    "[archive]": ArchiveSettings,
    "[audit]": AuditSettings,
    "[http]": HttpSettings,
    "[http.oauth]": OAuthSettings,
    "[callers.NAME]": CallerSettings,
    "[notify.NAME]": NotifySettings,
    "[services.NAME]": HttpServiceSettings,
}
CLIENT_NAMES = {
    "claude-code": "Claude Code",
    "claude-desktop": "Claude Desktop",
    "vscode": "VS Code",
    "cursor": "Cursor",
    "codex": "Codex",
}
ABILITIES = {
    "runs, and why they failed": "list_runs",
    "their logs": "read_log",
    "files they kept": "get_artifact",
    "failures by cause": "triage",
    "yields, capability, trends": "summarize_runs",
    "may a unit ship": "get_unit",
    "record runs": "create_run",
    "which node is free, and reserving it": "reserve_nodes",
    "what its screen shows": "grab_screenshot",
    "its remote control": "press_key",
    "its power and console": "set_power",
    "run tests on it": "run_tests",
    "its tests' dialogs": "answer_dialog",
}
"""What README says that services do, each by a tool that a service has if it does."""
DEMO = ("uvx", ["testlab-mcp", "serve", "--demo"])
"""The server on the simulated lab, as a client without any install starts it."""


def main() -> int:
    """Write the files that are stale, and name them."""
    for path, text in fresh().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


def fresh() -> dict[Path, str]:
    """The files that are generated or have generated sections, as they should be."""
    sections = {
        "links": _links(),
        "clients": _clients(),
        "services": _services(),
        "tools": _tools(),
        "commands": _commands(),
        "tables": _tables(),
        "keys": _keys(),
        "decisions": _decisions(),
        **{f"entry {client}": _entry(client) for client in CLIENTS if client not in COMMANDS},
    }
    filled = {path: _fill(path, sections) for path in pages()}
    return filled | {RUN_SCHEMA: json.dumps(describe_schema(), indent=2) + "\n"}


def pages() -> list[Path]:
    """The pages that have generated sections."""
    found = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    return [path for path in found if "written by ./do docs" in path.read_text(encoding="utf-8")]


def config_keys() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every key of the config: its table, its name, and what it takes."""
    for table, settings in TABLES.items():
        for name, field in settings.model_fields.items():
            if get_origin(field.annotation) is None or name != "oauth":
                yield table, name, field
    for kind in known_kinds():
        for name, field in _own_keys(kind).items():
            yield f'[services.NAME], kind = "{kind}"', name, field


def _fill(path: Path, sections: dict[str, str]) -> str:
    """The text of a file with each section it has markers for written anew."""
    text = path.read_text(encoding="utf-8")
    for name, body in sections.items():
        begin, end = f"<!-- {name}: begin, written by ./do docs -->", f"<!-- {name}: end -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            text = f"{before}{begin}\n{body}\n{end}{rest.partition(end)[2]}"
    return text


def _links() -> str:
    """Links that add the demo to a client at one click: the web's, since GitHub drops a client's own scheme."""
    stdio = json.dumps(snippet("vscode", *DEMO)["servers"]["testlab"], separators=(",", ":"))
    command = b64encode(json.dumps({"command": DEMO[0], "args": DEMO[1]}).encode()).decode()
    vscode = f"https://vscode.dev/redirect/mcp/install?name=testlab&config={quote(stdio, safe='')}"
    cursor = f"https://cursor.com/en/install-mcp?name=testlab&config={quote(command, safe='')}"
    return f"**[Add to VS Code]({vscode})** · **[Add to Cursor]({cursor})**"


def _clients() -> str:
    """A fold for each client, with what to paste or to run."""
    return "\n\n".join(_fold(client) for client in CLIENTS)


def _fold(client: str) -> str:
    if client in COMMANDS:
        body = f"```sh\n{COMMANDS[client]} {shlex.join([DEMO[0], *DEMO[1]])}\n```"
    else:
        body = f"In {FILES[client]}:\n\n{_entry(client)}"
    return f"<details markdown>\n<summary>{CLIENT_NAMES[client]}</summary>\n\n{body}\n\n</details>"


def _entry(client: str) -> str:
    return f"```json\n{json.dumps(snippet(client, *DEMO), indent=2)}\n```"


def _tools() -> str:
    rows = [
        (f"`{tool.name}`", tool.description.splitlines()[0], _services_with(tool), tool.access, tool.toolset)
        for tool in all_tools()
    ]
    tokens = next(budget for budget in BUDGETS if budget.name == "default, three services").dearest()[0]
    cost = f"By default, with three services, this list costs a model some {round(tokens, -2):,} tokens."
    return f"{_markdown(('tool', 'what it does', 'services', 'access', 'toolset'), rows)}\n\n{cost}"


def _services() -> str:
    """What each kind of service does, by a tool that needs it."""
    tools = {tool.name: tool for tool in all_tools()}
    able = {kind: {name: _settings_with(kind, tool) for name, tool in tools.items()} for kind in known_kinds()}
    rows = [(what, *(_cell(able[kind][name]) for kind in able)) for what, name in ABILITIES.items()]
    return _markdown(("", *map(_page_of, able)), rows)


def _cell(settings: list[str] | None) -> str:
    if settings is None:
        return ""
    return "yes" if not settings else ", ".join(setting.rpartition(" ")[2] for setting in settings)


def _page_of(kind: str) -> str:
    """A link to the page whose example is of this kind."""
    pages = sorted((ROOT / "docs" / "services").glob("*.md"))
    found = [page for page in pages if f'kind = "{kind}"' in page.read_text(encoding="utf-8")]
    if len(found) != 1:
        sys.exit(f'docs: exactly one page of docs/services/ has an example with kind = "{kind}", not {len(found)}')
    (page,) = found
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"[{title}](docs/services/{page.name})"


def _services_with(tool: ToolSpec) -> str:
    """The kinds of service that can do it, with the setting of a kind that only can with it."""
    able = {kind: settings for kind in known_kinds() if (settings := _settings_with(kind, tool)) is not None}
    found = [f"{kind} ({', '.join(settings)})" if settings else kind for kind, settings in able.items()]
    return "all" if found == known_kinds() else ", ".join(found)


def _settings_with(kind: str, tool: ToolSpec) -> list[str] | None:
    """The settings that a kind of service needs to have the tool: none of them where it always has, None if never."""
    able = {setting: isinstance(service, tool.needs) for setting, service in _variants(kind).items()}
    if not any(able.values()):
        return None
    return [] if all(able.values()) else [setting for setting, can in able.items() if can]


def _variants(kind: str) -> dict[str, Service]:
    """A service for every choice that a key of the kind's own offers."""
    choices = {
        name: get_args(f.annotation) for name, f in _own_keys(kind).items() if get_origin(f.annotation) is Literal
    }
    made = {f"{name} {value}": connect_kind(kind, **{name: value}) for name in choices for value in choices[name]}
    return made or {"": connect_kind(kind)}


def _own_keys(kind: str) -> dict[str, FieldInfo]:
    """The keys of a kind that `[services.NAME]` does not list: that table is of services reached over HTTP."""
    settings = load_kind(kind).Settings
    shared = HttpServiceSettings if issubclass(settings, HttpServiceSettings) else ServiceSettings
    return {name: field for name, field in settings.model_fields.items() if name not in shared.model_fields}


def _commands() -> str:
    rows = [(f"`{_usage(command)}`", command.description or "") for command in build_parser()[1]]
    return _markdown(("command", "what it does"), rows)


def _usage(command: argparse.ArgumentParser) -> str:
    command.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=1000)
    return command.format_usage().removeprefix("usage: ").replace(" [-h]", "").strip()


def _tables() -> str:
    """The tables with the names of their keys."""
    names: dict[str, list[str]] = {}
    for table, name, _ in config_keys():
        names.setdefault(table, []).append(f"`{name}`")
    return _markdown(("table", "keys"), [(f"`{table}`", ", ".join(keys)) for table, keys in names.items()])


def _keys() -> str:
    """A section a table, a row a key."""
    rows: dict[str, list[tuple[str, ...]]] = {}
    for table, name, field in config_keys():
        is_service = name == "kind" and table == "[services.NAME]"
        takes = ", ".join(f"`{kind}`" for kind in known_kinds()) if is_service else _takes(field)
        rows.setdefault(table, []).append((f"`{name}`", takes, _default(field), field.description or ""))
    head = ("key", "takes", "default", "what it is for")
    return "\n\n".join(f"## `{table}`\n\n{_markdown(head, keys)}" for table, keys in rows.items())


def _decisions() -> str:
    """A line a record, by its heading."""
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    headings = [record.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for record in records]
    return "\n".join(f"- [{heading}]({record.name})" for heading, record in zip(headings, records, strict=True))


def _takes(field: FieldInfo) -> str:
    bounds = (("from", "ge"), ("above", "gt"), ("to", "le"))
    found = [f"{word} {getattr(m, name):g}" for m in field.metadata for word, name in bounds if hasattr(m, name)]
    return " ".join([_type(field.annotation), *found])


def _type(annotation: Any) -> str:
    inner = [arg for arg in get_args(annotation) if arg is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if get_origin(annotation) is list:
        return f"list of {_type(inner[0])}"
    if inner:
        return ", ".join(_type(arg) for arg in inner)
    return {bool: "`true`, `false`", int: "whole number", float: "number"}.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    return "" if field.default in (None, "") else f"`{json.dumps(field.default)}`"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
