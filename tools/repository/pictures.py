"""`./do pictures`: the pictures of README.md. The demo in a terminal as SVG, and what the simulated nodes show."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
from io import BytesIO, StringIO
from pathlib import Path

from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from testlab_sim.stbtester.nodes import Node
from testlab_sim.stbtester.portal import Portal
from testlab_sim.stbtester.screens import png
from testlab_sim.stbtester.screens.canvas import FAINT, MIST, NIGHT, SLATE, WHITE, Canvas, Colour
from testlab_sim.world import Clock

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
COLUMNS = 104
NEXT_HEADING = "3. May that unit ship?"
"""Of the demo the steps before this one are shown."""
ANSI = ["#0b0f1c", "#ff6b5e", "#48c774", "#f0be50", "#409cff", "#be8cff", "#50c8dc", "#d6dce8"]
THEME = TerminalTheme((11, 15, 28), (214, 220, 232), [Color.parse(name).get_truecolor() for name in ANSI])
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"

SEED = 7
TILE = (400, 225)
GAP, CAPTION, ACROSS = 16, 34, 3
KEYS = {1: ["KEY_CHANNELUP"], 4: ["KEY_INFO"], 5: ["KEY_PLAY"], 6: ["KEY_MENU", "KEY_DOWN"]}
"""What was pressed on the remote control of each idle node."""
STATES: dict[str, Colour] = {"free": (72, 199, 116), "runs": (64, 156, 255), "reserved": (240, 190, 80)}


def main() -> int:
    """Draw both, and name what was written. The demo needs a pseudo-terminal, which Windows has not."""
    PICTURES.mkdir(exist_ok=True)
    terminal, wall = PICTURES / "demo.svg", PICTURES / "screens.jpg"
    terminal.write_text(draw_terminal(record_demo()), encoding="utf-8")
    draw_wall().save(wall, quality=82, optimize=True)
    for path in (terminal, wall):
        print(f"wrote {path.relative_to(PICTURES.parents[1])}, {path.stat().st_size / 1000:.0f} kB")
    return 0


def record_demo() -> str:
    """What `testlab-mcp demo` writes to a terminal, up to its fourth step."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm-256color"}
    seen = b""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "testlab_mcp", "demo", "--save-to", folder]
        demo = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env)
        os.close(theirs)
        while NEXT_HEADING.encode() not in seen:
            seen += os.read(ours, 65536)
        demo.send_signal(signal.SIGINT)
        while demo.poll() is None:  # it writes on while it ends
            try:
                os.read(ours, 65536)
            except OSError:
                break
        demo.wait()
        os.close(ours)
    return seen.decode("utf-8").replace("\r\n", "\n").partition(NEXT_HEADING)[0]


def draw_terminal(text: str) -> str:
    """A terminal's text, with its colours, as SVG that fetches nothing."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ uvx testlab-mcp demo\n\n{text.rstrip()}"))
    drawn = console.export_svg(title="testlab-mcp demo", theme=THEME, unique_id="demo")
    drawn = re.sub(r"@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL).replace("Fira Code, monospace", FONT)
    return "\n".join(line.rstrip() for line in drawn.splitlines() if line.strip()) + "\n"


def draw_wall() -> Image.Image:
    """The nodes' screens side by side, each with its name and state."""
    portal = Portal.seeded(SEED, Clock())
    nodes = list(portal.nodes.values())[: ACROSS * ACROSS]
    for index, keys in KEYS.items():
        for key in keys:
            nodes[index].remote.press(key)
    width = GAP + ACROSS * (TILE[0] + GAP)
    height = GAP + -(-len(nodes) // ACROSS) * (TILE[1] + CAPTION + GAP)
    wall = Canvas(Image.new("RGB", (width, height), NIGHT))
    for index, node in enumerate(nodes):
        x = GAP + index % ACROSS * (TILE[0] + GAP)
        y = GAP + index // ACROSS * (TILE[1] + CAPTION + GAP)
        _draw_node(wall, portal, node, x, y)
    return wall.image


def _draw_node(wall: Canvas, portal: Portal, node: Node, x: int, y: int) -> None:
    """A node's screen, or what stands in its way, with a line below."""
    state = _state(portal, node)
    if node.online and node.licensed:
        screen = Image.open(BytesIO(png(portal.screen(node)))).convert("RGB")
        wall.picture(screen.resize(TILE, Image.Resampling.LANCZOS), x, y)
    else:
        wall.panel((x, y, x + TILE[0], y + TILE[1]), SLATE)
        wall.text(x + TILE[0] // 2, y + TILE[1] // 2, state, 22, MIST, "mm")
    middle = y + TILE[1] + CAPTION // 2 + 2
    wall.disc(x + 10, middle, 6, STATES.get(state.partition(" ")[0], FAINT))
    wall.text(x + 26, middle, f"{node.friendly_name}   {node.device_type}", 17, WHITE, "lm")
    wall.text(x + TILE[0], middle, state, 17, MIST, "rm")


def _state(portal: Portal, node: Node) -> str:
    reason = portal.unavailable(node)
    for word, state in (("offline", "offline"), ("licence", "licence expired"), ("running", "runs tests")):
        if reason and word in reason:
            return state
    return f"reserved by {reason.rpartition('@')[2]}" if reason else "free"


if __name__ == "__main__":
    sys.exit(main())
