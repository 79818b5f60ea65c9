#!/usr/bin/env python3
"""Install what uv.lock names into this Python's own environment, then run a word of `tools/repository/words.py` there.

Needs Python 3.11 or newer and pip. On Windows: python do WORD.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
UV = "uv==0.13.8"

if sys.version_info < (3, 11):
    sys.exit(f"do: Python 3.11 or newer is needed, this is {sys.version.split()[0]} ({sys.executable})")
sys.path.insert(0, str(ROOT / "tools"))
from repository import words  # noqa: E402
from repository.words import PIP, uv_settings  # noqa: E402


def prepare():
    """Return the environment's Python, and uv."""
    ours = "{}.{}".format(*sys.version_info)
    config = ROOT / ".venv/pyvenv.cfg"
    is_first = not config.exists() or re.search(rf"^version\w* *= *{ours}\b", config.read_text("utf-8"), re.MULTILINE)
    environment = ROOT / (".venv" if is_first else f".venv-{ours}")
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = environment / "installed.sha256"
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in ("do", "uv.lock", "pyproject.toml")))
    uv = ROOT / ".uv" / UV.partition("==")[2] / ("bin/uv.exe" if os.name == "nt" else "bin/uv")
    if not uv.exists():
        env = os.environ | {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"}
        run(*PIP, "install", "--quiet", "--upgrade", "--target", uv.parents[1], UV, env=env)
    if not (python.exists() and stamp.exists() and stamp.read_text("utf-8") == wanted.hexdigest()):
        print(f"do: installing what uv.lock names into {environment.name}", file=sys.stderr)
        env = uv_settings()
        pins = environment / "requirements.txt"  # without the addresses in uv.lock, which are those of one index
        run(uv, "--quiet", "venv", "--allow-existing", "--python", sys.executable, environment, env=env)
        run(uv, "--quiet", "export", "--frozen", "--no-emit-project", "--output-file", pins, cwd=ROOT, env=env)
        run(uv, "--quiet", "pip", "sync", "--python", python, "--require-hashes", pins, env=env)
        editable = ("--no-deps", "--no-build-isolation", "--editable", ROOT)
        run(uv, "--quiet", "pip", "install", "--python", python, *editable, env=env)
        stamp.write_text(wanted.hexdigest(), "utf-8")
    return python, uv


def run(*command, **options):
    if code := subprocess.run(command, **options).returncode:
        sys.exit(f"do: failed with exit code {code}: {' '.join(map(str, command))}")


if __name__ == "__main__":
    sys.exit(words.main(sys.argv[1:], prepare))
