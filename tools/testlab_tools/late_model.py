"""Models that pydantic builds at their first use, so that starting the server does not pay for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class LateModel(BaseModel):
    """A model of a module, built at its first use, wherever that is."""

    model_config = ConfigDict(defer_build=True)

    @classmethod
    def model_rebuild(
        cls,
        *,
        force: bool = False,
        raise_errors: bool = True,
        _parent_namespace_depth: int = 2,
        _types_namespace: Mapping[str, Any] | None = None,
    ) -> bool | None:
        """As pydantic's, but names are looked up in the module alone: Python 3.13.0 crashes when the locals of some
        frames with a comprehension are read, and the first use may be in one."""
        return super().model_rebuild(
            force=force, raise_errors=raise_errors, _parent_namespace_depth=0, _types_namespace=_types_namespace
        )
