"""Icons for people's menus, one a toolset: SVG in a `data:` URI, some 200 bytes each, nothing to fetch.

MCP, Icon: "a `data:` URI with Base64-encoded image data". The server itself has none: the SDK would send it with every
result of 2026-07-28, in `serverInfo`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Literal

from mcp_types import Icon

from testlab_tools.registry import Toolset

Extra = Literal["services", "skills"]
PATHS: Mapping[Toolset | Extra, str] = {
    "runs": "M1 2l1 1 1-2m2 1h4M1 5l1 1 1-2m2 1h4M1 8l1 1 1-2m2 1h4",
    "units": "M3 3h4v4H3zM4 1v2m2-2v2M4 7v2m2-2v2M1 4h2M1 6h2m4-2h2M7 6h2",
    "nodes": "M1 1h8v6H1zm4 6v2M3 9h4",
    "jobs": "M5 1a4 4 0 1 0 .1 0zM4 3l3 2-3 2z",
    "production": "M1 9V4l3 2V4l3 2V1h2v8z",
    "insight": "M4 1a3 3 0 1 0 .1 0zm2 5l3 3",
    "statistics": "M1 1v8h8M3 7V5m2 2V3m2 4V4",
    "campaigns": "M2 1v8M2 1h6L6 3l2 2H2",
    "deliveries": "M5 1l4 2v4L5 9 1 7V3zM1 3l4 2 4-2M5 5v4",
    "skills": "M1 2h3l1 1 1-1h3v6H6L5 9 4 8H1zm4 1v6",
    "services": "M1 1h8v3H1zm0 5h8v3H1zm1-3.5h2M2 7.5h2",
}
"""What each is drawn of, as the `d` of an SVG path in a square of 10."""


def write_svg(path: str) -> str:
    """The picture of a path, in a blue that shows on light and dark."""
    frame = 'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10" fill="none" stroke="#37c"'
    return f'<svg {frame}><path d="{path}"/></svg>'


@cache
def draw_icon(name: Toolset | Extra) -> list[Icon] | None:
    """The icon of a toolset, as clients get it; None where nobody has drawn it yet."""
    if name not in PATHS:
        return None
    data = b64encode(write_svg(PATHS[name]).encode()).decode()
    return [Icon(src=f"data:image/svg+xml;base64,{data}")]
