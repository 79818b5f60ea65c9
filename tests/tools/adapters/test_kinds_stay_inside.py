"""Nothing outside `adapters/<kind>/` names a kind of service: a kind is added, and taken away, as one folder."""

from __future__ import annotations

from pathlib import Path

from testlab_tools.services import known_kinds

ROOT = Path(__file__).parents[3]
EXCEPTIONS = {
    "server/testlab_mcp/commands/folder.py": "--folder: the kind that needs no config file",
    "tools/testlab_tools/limits.py": "documentation: whose validators it reads beside OpenHTF's",
    "tools/testlab_tools/models/lab.py": "documentation: what a run is called in each service",
    "tools/testlab_tools/outbox/payload.py": "documentation: where a bound comes from",
    "tools/testlab_tools/pytest_plugin/__init__.py": "a key of its own settings, no kind",
    "tools/testlab_tools/pytest_plugin/delivery.py": "a key of its own settings, no kind",
    "tools/testlab_tools/reports/formats.py": "documentation: where importers' names come from",
    "tools/testlab_tools/reports/hardpy.py": "HardPy is a framework as well: the reader of its reports",
    "tools/testlab_tools/reports/read.py": "as the reader of HardPy's reports",
    "tools/testlab_tools/signin/protocol.py": "documentation: what another client of the same sign-in does",
    "tools/testlab_tools/signin/session.py": "documentation: what another client of the same sign-in does",
    "tools/testlab_tools/tools/production.py": "documentation: where a rule comes from",
    "tools/testlab_tools/tools/units.py": "what the model reads of one API version: part of the surface",
}


WORDS = {"folder"}
"""Kinds that are words of English: elsewhere they stand for themselves, but in quotation marks."""


def names(text: str, kind: str) -> bool:
    return (f'"{kind}"' if kind in WORDS else kind) in text


def product_files() -> dict[str, str]:
    """The product's text by path, without the adapters and the simulated lab, which are of kinds."""
    every = [*ROOT.glob("server/**/*.py"), *ROOT.glob("tools/testlab_tools/**/*.py")]
    names = {path.relative_to(ROOT).as_posix(): path for path in every}
    return {
        name: path.read_text(encoding="utf-8").casefold()
        for name, path in names.items()
        if not name.startswith("tools/testlab_tools/adapters/")
    }


def test_no_kind_is_named_elsewhere() -> None:
    found = {name for name, text in product_files().items() if any(names(text, kind) for kind in known_kinds())}
    assert found == EXCEPTIONS.keys(), "name capabilities, not kinds; or say here why the kind has to be named"
