"""What `testlab-mcp init` asks at a terminal."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from testlab_mcp.commands.config_text import Tables
from testlab_tools.errors import BadInput
from testlab_tools.files.io import write_file
from testlab_tools.services import known_kinds, load_kind

PLACES = {"url": "URL", "path": "path of a folder", "coordinator": "host of its coordinator"}
TOKENS = {
    "1": ("token_env", "in an environment variable", "Its name"),
    "2": ("token_file", "in a file", "Its path"),
    "3": ("token_command", "printed by a command, such as a password manager's", "The command"),
    "4": ("", "I type it now; it is kept in a file that only I can read", ""),
    "5": ("", "nowhere: none is needed, or I sign in by `testlab-mcp login`, or add it later", ""),
}


def ask_services(folder: Path) -> Tables:
    """The service tables that a person describes; a token that is typed is kept in a file in `folder`.

    Raises:
        BadInput: none was described, or a token could not be kept.
    """
    kinds = known_kinds()
    tables: dict[str, dict[str, str]] = {}
    print("Which services does the lab have? Leave the URL or path empty for those it does not.\n")
    for kind in kinds:
        settings = load_kind(kind).Settings
        while place := _ask(f"{kind}: {PLACES.get(settings.place, settings.place)}"):
            name = _ask("  A name for it; it stands before every id", kind)
            token = _ask_token(name, folder) if "token" in settings.model_fields else {}
            tables[name] = {"kind": kind, settings.place: place, **token}
            if not ask_yes(f"  Another {kind}?"):
                break
    if not tables:
        raise BadInput("No service was named", "", "testlab-mcp serve --demo needs none.")
    return tables


def ask_yes(question: str) -> bool:
    """Whether the person says yes."""
    return _ask(f"{question} [y/N]").casefold() in ("y", "yes")


def _ask_token(name: str, folder: Path) -> dict[str, str]:
    print("  Where is its token?")
    for number, (_, where, _) in TOKENS.items():
        print(f"    {number}. {where}")
    while (choice := _ask("  One of these", "1")) not in TOKENS:
        print(f"  {choice!r} is none of them.")
    key, _, what = TOKENS[choice]
    if key:
        return {key: _ask(f"  {what}")}
    if choice == "5":
        return {}
    path = folder / f"{name}.token"
    while os.path.lexists(path):
        path = path.with_name(f"{path.stem}-new.token")
    write_file(path, getpass.getpass("  Token (not shown): ").strip().encode())
    return {"token_file": str(path)}


def _ask(question: str, otherwise: str = "") -> str:
    shown = f"{question} [{otherwise}]: " if otherwise else f"{question}: "
    try:
        return input(shown).strip() or otherwise
    except EOFError:
        raise BadInput("The input ended before all was answered", "", "Nothing was written.") from None
