"""A folder of reports: an archive without a server. docs/services/folder.md

[services.reports]
kind = "folder"
path = "~/reports"                 # or a list; globs too: "~/bench-*/results/**/*.xml"
# write_to = "~/reports/new"       # where new runs are written; left out, the first of path
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from testlab_tools.adapters.folder.history import FolderHistory
from testlab_tools.adapters.folder.places import Place, expand
from testlab_tools.adapters.folder.recording import FolderRecording
from testlab_tools.adapters.folder.run_files import FolderFiles
from testlab_tools.services import ServiceSettings


class Settings(ServiceSettings):
    """Keys of a `kind = "folder"` table."""

    example = {"path": ["reports"]}
    place = "path"

    path: list[str] = Field(min_length=1, description="folders of reports, or globs such as `~/bench/**/*.xml`")
    write_to: str = Field(
        default="", description="the folder that new runs are written to; left out, the first of `path` without a glob"
    )
    index_folder: str = Field(
        default="", description="where the index of the reports is kept; left out, in the user's cache folder"
    )
    rescan_seconds: float = Field(
        default=60.0, ge=1, le=3600, description="how often all is looked through where the system tells of changes"
    )

    @field_validator("path")
    @classmethod
    def _places(cls, paths: list[str]) -> list[str]:
        for path in paths:
            Place.parse(path)
        return paths

    @field_validator("write_to", "index_folder")
    @classmethod
    def _folder(cls, path: str) -> str:
        if path:
            expand(path)
        return path


class Folder(FolderHistory, FolderFiles, FolderRecording):
    """All that a folder of reports can do."""


def connect(name: str, settings: Settings) -> Folder:
    """The folder; nothing in it is looked at before the first question."""
    places = [Place.parse(path) for path in settings.path]
    write_to = expand(settings.write_to) if settings.write_to else next((p.root for p in places if p.is_whole), None)
    if write_to is not None and not any(place.takes_from(write_to) for place in places):
        places.append(Place(write_to))
    index_folder = expand(settings.index_folder) if settings.index_folder else _cache_folder()
    return Folder(name, places, write_to, index_folder, settings.rescan_seconds)


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("testlab-mcp", appauthor=False) / "folders"
