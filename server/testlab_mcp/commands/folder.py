"""A config that is one folder of reports, for `--folder DIR`: no file has to be written first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from testlab_mcp.commands.config_text import write_tables
from testlab_mcp.config.config import Config
from testlab_mcp.config.loading import parse_config
from testlab_tools.errors import ConfigError
from testlab_tools.extra import has_statistics

NAME = "reports"


def folder_table(folder: str) -> Mapping[str, Mapping[str, str]]:
    """The service table of a folder. Raises ConfigError where there is none."""
    path = os.path.abspath(Path(folder).expanduser())
    if not os.path.isdir(path):
        raise ConfigError(f"there is no folder at {path}", "", "--folder takes the folder of your reports.")
    return {NAME: {"kind": "folder", "path": path}}


def folder_config(folder: str) -> Config:
    """The config of a folder. It stands for a config file's path too: what is on its way to one folder never comes to
    another. Raises ConfigError."""
    table = folder_table(folder)
    return parse_config(write_tables("operate", table, has_statistics()), Path(table[NAME]["path"]))
