"""Imports the SDK as a server needs it: its models are built at their first use, and its client is not imported.

That is half of what the SDK takes to import, and a tenth of the memory. Of the models of three protocol revisions, a
connection uses a few of one.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec, module_from_spec
from typing import Any

from pydantic import BaseModel, TypeAdapter


def import_sdk(over_http: bool) -> None:
    """Import it, unless it has been imported already; uvicorn only to serve `over_http`."""
    if "mcp" in sys.modules or "mcp_types" in sys.modules:
        return
    with _models_built_late():
        __import__("mcp_types.methods")
    from mcp_types import jsonrpc_message_adapter
    from mcp_types._types import MCPModel  # pyright: ignore[reportPrivateUsage]
    from mcp_types._wire_base import WireModel  # pyright: ignore[reportPrivateUsage]

    jsonrpc_message_adapter.rebuild(_parent_namespace_depth=0)
    for base in (MCPModel, WireModel):
        base.model_rebuild = classmethod(_rebuild)  # pyright: ignore[reportAttributeAccessIssue]
    _postpone_package()
    if not over_http:
        with _without("uvicorn"):
            __import__("mcp.server.mcpserver")


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
    a class takes the config of its base, and an adapter has none to take."""
    adapter: Any = TypeAdapter
    config, init = BaseModel.model_config, adapter.__init__

    def init_late(self: Any, type: Any, *, _parent_depth: int = 2, **options: Any) -> None:
        init(self, type, **{"config": {"defer_build": True}} | options, _parent_depth=_parent_depth + 1)

    BaseModel.model_config = {**config, "defer_build": True}
    adapter.__init__ = init_late
    try:
        yield
    finally:
        BaseModel.model_config, adapter.__init__ = config, init


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
