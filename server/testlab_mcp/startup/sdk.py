"""Imports the SDK as a server needs it: its models are built at their first use, and its client is not imported.

That is half of what the SDK takes to import, and a tenth of the memory. Of the models of three protocol revisions, a
connection uses a few of one.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec, module_from_spec
from typing import Any

from pydantic import BaseModel, TypeAdapter


def import_sdk(over_http: bool) -> None:
    """Import it, unless it has been imported already; uvicorn only to serve `over_http`."""
    if "mcp" in sys.modules or "mcp_types" in sys.modules:
        return
    _postpone_package()
    with _models_built_late(), nullcontext() if over_http else _without("uvicorn"):
        __import__("mcp.server.mcpserver")
    from mcp_types import jsonrpc_message_adapter

    jsonrpc_message_adapter.rebuild(_parent_namespace_depth=0)


@contextmanager
def _without(package: str) -> Generator[None]:
    """Have a package that is optional, and is not imported yet, not be there meanwhile."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault(package, None)
    try:
        yield
    finally:
        if modules[package] is None:
            del modules[package]


@contextmanager
def _models_built_late() -> Generator[None]:
    """Models and adapters that are defined meanwhile are built at their first use, as pydantic's `defer_build` has it:
    a class takes the config of its base, and an adapter has none to take. Not even where the SDK asks for a rebuild, or
    makes a model of a generic one."""
    adapter: Any = TypeAdapter
    model: Any = BaseModel
    config, init, rebuild = BaseModel.model_config, adapter.__init__, model.__dict__["model_rebuild"]

    def rebuild_late(cls: type[BaseModel], raise_errors: bool = True, **options: Any) -> bool | None:
        at_its_use = not raise_errors  # as pydantic asks for it then
        if not at_its_use:
            return None
        return rebuild.__func__(cls, raise_errors=False, **options | {"_parent_namespace_depth": 0})

    before = set(model.__subclasses__())

    def init_late(self: Any, type: Any, *, _parent_depth: int = 2, **options: Any) -> None:
        init(self, type, **{"config": {"defer_build": True}} | options, _parent_depth=_parent_depth + 1)

    BaseModel.model_config = {**config, "defer_build": True}
    adapter.__init__, model.model_rebuild = init_late, classmethod(rebuild_late)
    try:
        yield
    finally:
        BaseModel.model_config, adapter.__init__, model.model_rebuild = config, init, rebuild
    for base in set(model.__subclasses__()) - before:
        base.model_rebuild = classmethod(_rebuild)


def _rebuild(cls: type[BaseModel], **options: Any) -> bool | None:
    """As LateModel's: names are looked up in the model's module alone."""
    rebuild: Any = BaseModel.model_rebuild
    return rebuild.__func__(cls, **options | {"_parent_namespace_depth": 0})


def _postpone_package() -> None:
    """Have `import mcp.server` not run `mcp/__init__.py`, which imports the client; using a name of it does."""
    spec = find_spec("mcp")
    assert spec is not None
    package = module_from_spec(spec)
    package.__getattr__ = partial(_load_package, package)  # type: ignore[method-assign]
    sys.modules["mcp"] = package


def _load_package(package: Any, name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    del package.__getattr__
    package.__spec__.loader.exec_module(package)
    return getattr(package, name)
