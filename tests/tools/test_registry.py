"""What every tool of the catalog keeps, and how one is made."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import TypeAdapter

import testlab_tools.tools
from testlab_tools.capabilities import RunArchive, Service
from testlab_tools.models.lab import ResultModel
from testlab_tools.registry import ADD, END, LEVELS, LOOK, Call, Picture, ToolSpec, tool
from testlab_tools.tools import all_tools

TOOLS = all_tools()


class Found(ResultModel):
    n: int


def test_a_function_becomes_a_tool() -> None:
    @tool(toolset="runs", access="observe", needs=RunArchive, hints=LOOK)
    async def count_runs(call: Call, unit: str = "") -> Found:
        """Count the runs
        of a unit.

        Not their
        cases.
        """
        return Found(n=len(unit))

    assert isinstance(count_runs, ToolSpec)
    assert (count_runs.name, count_runs.toolset, count_runs.access) == ("count_runs", "runs", "observe")
    assert (count_runs.needs, count_runs.hints, count_runs.returns) == (RunArchive, LOOK, Found)
    assert count_runs.description == "Count the runs of a unit.\nNot their cases."


def test_all_tools_lists_every_tool_of_the_catalog_once() -> None:
    modules = [
        importlib.import_module(f"testlab_tools.tools.{m.name}")
        for m in pkgutil.iter_modules(testlab_tools.tools.__path__)
    ]
    written = {v.name for module in modules for v in vars(module).values() if isinstance(v, ToolSpec)}

    assert sorted(t.name for t in TOOLS) == sorted(written)


@pytest.mark.parametrize("spec", TOOLS, ids=lambda spec: spec.name)
class TestEveryTool:
    """What holds for each tool of the catalog."""

    def test_says_what_it_does(self, spec: ToolSpec) -> None:
        first, *_ = spec.description.splitlines()
        assert first.endswith(".")
        assert 40 < len(spec.description) < 500

    def test_needs_a_capability_and_gives_a_noun_or_a_picture(self, spec: ToolSpec) -> None:
        needed = spec.needs if isinstance(spec.needs, tuple) else (spec.needs,)
        assert all(issubclass(one, Service) for one in needed)
        assert spec.needs is not Service
        assert issubclass(spec.returns, ResultModel | Picture)

    def test_has_hints_that_fit_its_access(self, spec: ToolSpec) -> None:
        assert spec.access in LEVELS
        assert spec.hints.read_only is (spec.access == "observe")
        assert not (spec.hints.read_only and spec.hints.destructive)

    def test_takes_the_call_first_and_then_arguments_by_name(self, spec: ToolSpec) -> None:
        first, *rest = inspect.signature(spec.handler).parameters.values()
        assert first.name == "call"
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        assert all(parameter.kind in named for parameter in rest)

    def test_has_arguments_without_unions_or_nulls(self, spec: ToolSpec) -> None:
        hints = get_type_hints(spec.handler, include_extras=True)
        arguments = {name: hint for name, hint in hints.items() if name not in ("call", "return")}
        for name, hint in arguments.items():
            schema = TypeAdapter[Any](hint).json_schema()
            assert "anyOf" not in str(schema), name
            assert "null" not in str(schema), name

    def test_has_defaults_its_arguments_take(self, spec: ToolSpec) -> None:
        hints = get_type_hints(spec.handler, include_extras=True)
        for p in list(inspect.signature(spec.handler).parameters.values())[1:]:
            if p.default is not inspect.Parameter.empty:
                assert TypeAdapter[Any](hints[p.name]).validate_python(p.default, strict=True) == p.default


def test_the_hints_say_all_four() -> None:
    assert [(h.read_only, h.destructive, h.idempotent, h.open_world) for h in (LOOK, ADD, END)] == [
        (True, False, True, True),
        (False, False, False, True),
        (False, False, True, True),
    ]


def test_access_levels_rise() -> None:
    assert LEVELS == ("observe", "operate", "admin")
    assert get_args(ToolSpec.__annotations__["access"]) in ((), LEVELS)
