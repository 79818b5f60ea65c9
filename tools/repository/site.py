"""`./do site`: README.md, docs/ and the pages beside them as a site. A link that leads nowhere fails the build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS, SITE = ROOT / "docs", ROOT / "site"
BESIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "AGENTS.md", "config.example.toml")
"""Files of the repository that docs/ links to: they stand beside its pages in the site."""


def main(tools: str) -> int:
    """Build the site into site/html with the generator in the folder `tools`."""
    shutil.rmtree(SITE, ignore_errors=True)
    collect(SITE / "source")
    shutil.copy(DOCS / "zensical.toml", SITE)
    build = [Path(tools) / "zensical", "build", "--clean", "--strict", "--config-file", "zensical.toml"]
    code = subprocess.run(build, cwd=SITE, check=False).returncode
    if code == 0:
        print(f"built {len(list((SITE / 'html').rglob('*.html')))} pages: site/html/index.html")
    return code


def collect(folder: Path) -> None:
    """Copy the pages into one folder, README.md as its index, with the links between them as they are there."""
    files = [path for path in DOCS.rglob("*") if path.is_file() and path.name != "zensical.toml"]
    places = {path: folder / path.relative_to(DOCS) for path in files}
    places |= {ROOT / name: folder / name for name in BESIDE}
    places[ROOT / "README.md"] = folder / "index.md"
    for path, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            place.write_text(_relink(path, places), encoding="utf-8")
        else:
            shutil.copy(path, place)


def _relink(page: Path, places: dict[Path, Path]) -> str:
    """A page's text with each link to a file that moves leading to its new place."""

    def move(link: re.Match[str]) -> str:
        name, hash_sign, anchor = link[1].partition("#")
        target = places.get((page.parent / name).resolve())
        if not name or target is None:
            return link[0]
        return f"]({Path(os.path.relpath(target, places[page].parent)).as_posix()}{hash_sign}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", move, page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
