"""`./do build`: wheel, sdist, MCP bundle and registry entry into dist/, each checked; container files are linted."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from testlab_mcp import __version__
from testlab_tools.tools import all_tools

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
DESCRIPTION = "One MCP server in front of a whole test lab: Stb-tester, TofuPilot, StandCloud, HardPy, labgrid."
SERVER_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
MCPB = "@anthropic-ai/mcpb@2.1.2"
BUNDLED = ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "server", "tools/testlab_tools", "tools/testlab_sim")
LINTS = (
    ("hadolint", "Dockerfile"),
    ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"),
    ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows"),
)


def main(arguments: Sequence[str]) -> int:
    """Build and check all. The tools of publishing are in the folder that the first argument names."""
    parser = argparse.ArgumentParser("do build")
    parser.add_argument("tools", type=Path)
    parser.add_argument("--owner", default=os.environ.get("GITHUB_REPOSITORY_OWNER", "owner"), help="of the repository")
    args = parser.parse_args(arguments)
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    _run(Path(sys.executable).with_name("hatchling"), "build", "-d", DIST)
    files = sorted(DIST.iterdir())
    _run(args.tools / "twine", "check", "--strict", *files)
    (DIST / "server.json").write_text(json.dumps(describe_server(args.owner), indent=2) + "\n", encoding="utf-8")
    bundle(DIST / f"testlab-mcp-{__version__}.mcpb")
    for name, *rest in LINTS:
        where = [str(path) for path in sorted((ROOT / rest[-1]).glob("*.yml"))] or rest[-1:]
        _run(args.tools / name, *rest[:-1], *where)
    for path in sorted(DIST.iterdir()):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:,.0f} kB")
    return 0


def describe_server(owner: str) -> dict[str, Any]:
    """The entry of the MCP registry: which package, and how a client starts it."""
    config = "the config that `testlab-mcp init` writes"
    return {
        "$schema": SERVER_SCHEMA,
        "name": f"io.github.{owner}/testlab-mcp",
        "title": "testlab-mcp",
        "description": DESCRIPTION,
        "version": __version__,
        "packages": [
            {
                "registryType": "pypi",
                "registryBaseUrl": "https://pypi.org",
                "identifier": "testlab-mcp",
                "version": __version__,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "packageArguments": [
                    {"type": "positional", "value": "serve"},
                    {"type": "named", "name": "--config", "format": "filepath", "description": config},
                ],
            }
        ],
    }


def describe_bundle() -> dict[str, Any]:
    """The manifest of the MCP bundle: uv starts it with what uv.lock names, on a config that the user chooses."""
    serve = ["testlab-mcp", "serve", "--config", "${user_config.config}"]
    return {
        "manifest_version": "0.4",
        "name": "testlab-mcp",
        "display_name": "Test lab",
        "version": __version__,
        "description": DESCRIPTION,
        "author": {"name": "The testlab-mcp authors"},
        "license": "MIT",
        "server": {
            "type": "uv",
            "entry_point": "server/testlab_mcp/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--frozen", "--no-dev", "--directory", "${__dirname}", *serve],
            },
        },
        "user_config": {
            "config": {
                "type": "file",
                "title": "Config file",
                "description": "The services of your lab, as `testlab-mcp init` writes them",
                "required": True,
            }
        },
        "tools": [{"name": tool.name, "description": tool.description.splitlines()[0]} for tool in all_tools()],
        "prompts_generated": True,
        "compatibility": {"platforms": ["darwin", "win32", "linux"], "runtimes": {"python": ">=3.11"}},
    }


def bundle(path: Path) -> None:
    """Pack the bundle with its own tool, which validates it; without npx as a plain archive, and say so."""
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        for name in BUNDLED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, staged / name, **_without_caches(ROOT / name))
        manifest = staged / "manifest.json"
        manifest.write_text(json.dumps(describe_bundle(), indent=2) + "\n", encoding="utf-8")
        if npx := shutil.which("npx"):
            _run(npx, "--yes", MCPB, "validate", manifest)
            _run(npx, "--yes", MCPB, "pack", staged, path)
            return
        print("no npx: the bundle is packed without its own tool, and its manifest is not validated")
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            for file in sorted(staged.rglob("*")):
                archive.write(file, file.relative_to(staged))


def _without_caches(path: Path) -> dict[str, Any]:
    return {"ignore": shutil.ignore_patterns("__pycache__")} if path.is_dir() else {}


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    print(f"build: {' '.join([Path(words[0]).name, *words[1:]])}", file=sys.stderr, flush=True)
    if code := subprocess.run(words, cwd=ROOT, check=False).returncode:
        sys.exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
