"""`./do new-service NAME`: a new kind of service that works, against a simulated counterpart, to be made the real one.

The files below `service/` are copied to their places, with `kind_name` and `KindName` replaced.
"""

from __future__ import annotations

import keyword
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).resolve().parent / "service"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NEXT = """
Next:
1. Make models.py, client.py and the capabilities those of the real service; each capability is a module of
   tools/testlab_tools/capabilities. Have the simulated counterpart answer as the service's documentation says.
2. Is it reached over HTTP? Add it to tests/service_samples.py: tests of outages, faults and hostile text then cover it.
3. Say it in a page of docs/services/, config.example.toml and CHANGELOG.md; then `./do docs`.
docs/adding-a-service.md says each step, and ends in a checklist.
"""


def main(arguments: list[str]) -> int:
    """Write the files of a new service; the exit code."""
    if len(arguments) != 1 or not NAME.fullmatch(arguments[0]) or keyword.iskeyword(arguments[0]):
        sys.stderr.write("usage: ./do new-service NAME      (NAME: lower case, as kind in the config: my_lab)\n")
        return 2
    try:
        made = write_service(arguments[0])
    except FileExistsError as there:
        sys.stderr.write(f"new-service: {there} is there already\n")
        return 2
    sys.stdout.write("\n".join(["Made:", *(f"  {path.relative_to(ROOT)}" for path in made), NEXT]))
    return 0


def write_service(name: str, root: Path = ROOT) -> list[Path]:
    """Write the files of a new kind of service below `root`, sorted and formatted, and return their paths.

    Raises FileExistsError when there is such a folder; then nothing is written.
    """
    title = "".join(part.capitalize() for part in name.split("_"))
    dashed = name.replace("_", "-")
    texts: dict[Path, str] = {}
    for template in sorted(TEMPLATES.rglob("*.py")):
        path = root / str(template.relative_to(TEMPLATES)).replace("kind_name", name)
        text = template.read_text(encoding="utf-8").replace("kind_name", name).replace("KindName", title)
        texts[path] = text.replace("kind-name", dashed).replace("KIND_NAME", name.upper())
    for path in texts:
        if any(path.parent.glob("*.py")):  # git leaves a folder of what Python compiled behind
            raise FileExistsError(path.parent.relative_to(root).as_posix())
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for command in (("check", "--quiet", "--select", "I", "--fix"), ("format", "--quiet")):
        subprocess.run([sys.executable, "-m", "ruff", *command, *map(str, texts)], cwd=root, check=True)
    return list(texts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
