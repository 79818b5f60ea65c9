"""The command line of `serve` over stdio, and the config that it names, before anything is imported that reads them."""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CONFIG_BYTES = 2**20
_VALUES, _FLAGS = ("--config", "--folder"), ("--demo", "--no-pictures")
_MAC = {"XDG_CACHE_HOME": "~/Library/Caches", "XDG_CONFIG_HOME": "~/Library/Application Support"}
_DEFAULTS = {"XDG_CACHE_HOME": "~/.cache", "XDG_CONFIG_HOME": "~/.config"}


def read_options(arguments: Sequence[str]) -> dict[str, str] | None:
    """The options of `serve` over stdio; None for any other command, and for what the parser has to judge."""
    if not arguments or arguments[0] != "serve":
        return None
    options: dict[str, str] = {}
    words = iter(arguments[1:])
    for word in words:
        name, equals, value = word.partition("=")
        if name in _VALUES:
            value = value if equals else next(words, "")
            if not value or value.startswith("-"):
                return None
        elif name not in _FLAGS or equals:
            return None
        if name in options:
            return None
        options[name] = value
    several = [name for name in ("--config", "--demo", "--folder") if name in options]
    return options if len(several) < 2 else None


def read_surface(options: dict[str, str]) -> list[str | bytes] | None:
    """What the options make of the surface: they themselves, and the config that they or the environment name. None
    where there is no such config, or folder."""
    flags = sorted(name for name in options if name in _FLAGS)
    try:
        if "--folder" in options:
            folder = os.path.abspath(os.path.expanduser(options["--folder"]))
            return [*flags, "--folder", folder] if os.path.isdir(folder) else None
        if "--demo" in options:
            return [*flags]
        return [*flags, "--config", _read_config(_find_config(options))]
    except (OSError, ValueError):
        return None


def user_folder(variable: str) -> str:
    """The user's folder of this product, as platformdirs finds it: that takes longer to import than the answers."""
    named = os.environ.get(variable, "")
    default = (_MAC if sys.platform == "darwin" else _DEFAULTS)[variable]
    return os.path.join(named if os.path.isabs(named) else os.path.expanduser(default), "testlab-mcp")


def _find_config(options: dict[str, str]) -> str:
    named = options.get("--config") or os.environ.get("TESTLAB_MCP_CONFIG", "")
    return os.path.expanduser(named) if named else os.path.join(user_folder("XDG_CONFIG_HOME"), "config.toml")


def _read_config(path: str) -> bytes:
    """The file's content. Raises OSError, and for a pipe, which can be read only once."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError
    with open(path, "rb") as file:
        content = file.read(MAX_CONFIG_BYTES + 1)
    if len(content) > MAX_CONFIG_BYTES:
        raise OSError
    return content
