"""Which files of tests a change touches: for `--changed`, a quick look before the whole suite.

A file of tests is touched by a Python file that it or a conftest above it imports, directly or through another file of
tests; by any file in the room that it mirrors (`tools/testlab_tools/http/` for `tests/tools/http/`); and by a file
beside the code that it names (a sample, a snapshot). What imports what within the product is not followed: nearly
everything would be touched by everything.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MIRRORED = {
    "server/testlab_mcp": "tests/server",
    "tools/testlab_tools": "tests/tools",
    "tools/testlab_sim": "tests/sim",
}
BASE = "main"


def touched_tests() -> set[Path]:
    """The files of tests that the changes since `main`, committed or not, touch.

    Raises:
        OSError: git cannot say what has changed.
    """
    changed = [Path(name) for name in sorted(set(_changed_names()))]
    return set(touched_by(changed, (ROOT / "tests").rglob("test_*.py")))


def touched_by(changed: Iterable[Path], tests: Iterable[Path]) -> Iterator[Path]:
    """Of `tests`, those that the `changed` files, named from the repository's root, touch."""
    changed = list(changed)
    code = {ROOT / path for path in changed if path.suffix == ".py"}
    rooms = {room for path in changed if (room := _mirror_of(path))}
    beside = {path.name for path in changed if path.suffix != ".py"}
    beside |= {path.parent.name for path in changed if path.suffix != ".py" and path.is_relative_to("tests")}
    imported: dict[Path, set[Path]] = {}
    for test in tests:
        reached = _reached_from(test, imported)
        room = test.relative_to(ROOT).as_posix()
        if (
            code & reached
            or any(room.startswith((f"{of}/", f"{of}.", f"{of}_")) for of in rooms)
            or beside & _names_in(test)
        ):
            yield test


def _changed_names() -> Iterator[str]:
    since = _git("merge-base", BASE, "HEAD").strip()
    yield from _git("diff", "--name-only", since).splitlines()
    yield from _git("ls-files", "--others", "--exclude-standard").splitlines()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise OSError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _mirror_of(path: Path) -> str:
    """The folder or file of tests that mirrors a product file, without suffix: `tests/tools/http`."""
    for package, tests in MIRRORED.items():
        if path.as_posix().startswith(f"{package}/"):
            first, *rest = path.relative_to(package).parts
            return f"{tests}/{first}" if rest else f"{tests}/test_{path.stem}"
    return ""


def _reached_from(test: Path, imported: dict[Path, set[Path]]) -> set[Path]:
    """A file of tests, the conftests above it, and what these import; helpers in `tests/` are followed."""
    reached: set[Path] = set()
    above = [folder / "conftest.py" for folder in test.parents if folder.is_relative_to(ROOT / "tests")]
    waiting = [test, *(path for path in above if path.exists())]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            if path.is_relative_to(ROOT / "tests"):
                if path not in imported:
                    imported[path] = set(_imports_of(path))
                waiting += imported[path]
    return reached


def _imports_of(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from _files_of(node.module)
            for name in node.names:
                yield from _files_of(f"{node.module}.{name.name}")
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield from _files_of(name.name)


def _files_of(module: str) -> Iterator[Path]:
    for root in (ROOT / "server", ROOT / "tools", ROOT):
        path = root.joinpath(*module.split("."))
        yield from (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())


def _names_in(test: Path) -> set[str]:
    """The texts in a file of tests that may name a file or folder, part by part."""
    tree = ast.parse(test.read_text(encoding="utf-8"))
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {part for text in texts if len(text) < 100 for part in text.split("/")}
