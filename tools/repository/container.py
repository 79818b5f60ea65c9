"""`./do container`: the Dockerfile and compose.yaml as they are, built and run by podman on base images that are made
here by debootstrap: none is fetched. All is kept in a temporary folder. Debian's packages and root are needed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from testlab_mcp.access.callers import digest_token
from testlab_sim.world import YOU
from testlab_tools.durable.database import SCHEMA

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("podman", "runc", "debootstrap", "/usr/lib/podman/aardvark-dns")
PACKAGES = "podman runc debootstrap aardvark-dns"
CERTIFICATES = Path("/etc/ssl/certs")
PROJECT = "testlab-container"
SERVER, DATABASE = f"{PROJECT}_testlab_1", f"{PROJECT}_db_1"
PORT, LAB_PORT = 8000, 9000
WELL_S, STOP_S = 60, 20
DELIVERED = f"SELECT count(*) FROM {SCHEMA}.workflow_status WHERE status = 'SUCCESS'"
SCRATCH = {"/run", "/tmp", "/var/tmp"}
"""Where a container whose root is read only may write as well: in memory, and gone with it."""
LOOK = """
import json, os
said = dict(line.split(":", 1) for line in open("/proc/1/status"))
places = []
for place, folders, files in os.walk("/"):
    if os.access(place, os.W_OK):
        places.append(place)
    folders[:] = [] if place in ("/proc", "/sys", "/dev") or places[-1:] == [place] else folders
seen = {"uid": said["Uid"].split()[1], "rights": int(said["CapEff"], 16), "more": said["NoNewPrivs"].strip() == "0"}
print(json.dumps({**seen, "places": places, "config": os.access("/etc/testlab.toml", os.W_OK)}))
"""
AWAIT_LAB = f"""
import socket, time
for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", {LAB_PORT})).close()
        break
    except OSError:
        time.sleep(0.1)
"""
POSTGRESQL = """
FROM {base}
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-{version}
ENV PATH=/usr/lib/postgresql/{version}/bin:$PATH PGDATA=/var/lib/postgresql/data
RUN install --directory --owner postgres $PGDATA /run/postgresql
USER postgres
ENTRYPOINT ["sh", "-ec", "test -s $PGDATA/PG_VERSION || {{ \\
  echo $POSTGRES_PASSWORD > /tmp/password; \\
  initdb --username $POSTGRES_USER --pwfile /tmp/password --locale C.UTF-8 --auth-local trust; \\
  echo host all all all scram-sha-256 >> $PGDATA/pg_hba.conf; \\
  echo CREATE DATABASE $POSTGRES_USER | postgres --single postgres; \\
}}; exec postgres -c listen_addresses=*"]
"""
CONFIG = """
[http]
public_url = "http://127.0.0.1:{port}/mcp"
[durable]
database_url = "postgresql://testlab@db/testlab"
answer_within_seconds = 20
[callers.check]
token_sha256 = "{digest}"
access = "operate"
[services.factory]
kind = "tofupilot"
url = "http://127.0.0.1:{lab_port}/tofupilot"
token_env = "FACTORY_TOKEN"
"""


@dataclass(frozen=True)
class Base:
    """The image that the stages of the Dockerfile begin with."""

    image: str
    python: str
    release: str


def read_base(dockerfile: str) -> Base:
    """The one official image of Python that a Dockerfile begins each stage with. Raises ValueError: it is not one, or
    its tag does not say on which release of Debian it is."""
    images = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))
    found = re.fullmatch(r"python:(\d+\.\d+)-slim-(\w+)", next(iter(images), ""))
    if len(images) != 1 or found is None:
        raise ValueError(f"not one python:VERSION-slim-RELEASE: {', '.join(sorted(images)) or 'no FROM'}")
    return Base(found[0], found[1], found[2])


def read_database(compose: str) -> tuple[str, str]:
    """The image of PostgreSQL that compose.yaml names, and its version. Raises ValueError: it names none."""
    found = re.search(r"^ +image: (postgres:(\d+))$", compose, re.MULTILINE)
    if found is None:
        raise ValueError("no image of postgres")
    return found[1], found[2]


def read_sources(dockerignore: str) -> list[str]:
    """The files and folders that .dockerignore lets through to the build."""
    return re.findall(r"^!(.+)$", dockerignore, re.MULTILINE)


class Podman:
    """podman, and podman-compose, with all that they keep in one folder."""

    def __init__(self, folder: Path, compose: Path) -> None:
        self._folder, self._compose = folder, compose
        self.project = folder / "project"
        storage = f'driver = "overlay"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n'
        _write(folder / "storage.conf", f"[storage]\n{storage}")
        # runc works under cgroups of either version; limits above those of this process need rights that root may lack.
        limits = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
        own = f'[engine]\nruntime = "runc"\nlock_type = "file"\ntmp_dir = "{folder}/tmp"\n'
        _write(folder / "containers.conf", f'{limits}{own}[network]\nnetwork_config_dir = "{folder}/networks"\n')
        self.mounts = self._mount_registry()
        self.env = os.environ | {
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "BUILDAH_FORMAT": "docker",  # the other one has no health check
            "BUILDAH_ISOLATION": "chroot",
            "POSTGRES_PASSWORD": secrets.token_hex(16),
        }

    def _mount_registry(self) -> list[str]:
        """While an image is built, its pip and uv ask the index that this machine's pip is configured for, and trust
        the certificates that this machine trusts."""
        index = os.environ.get("UV_DEFAULT_INDEX")
        pip, uv = self._folder / "pip.conf", self._folder / "uv.toml"
        _write(pip, f"[global]\nindex-url = {index}\n" if index else "")
        _write(uv, "system-certs = true\n" + (f'[[index]]\nurl = "{index}"\ndefault = true\n' if index else ""))
        places = {pip: "/etc/pip.conf", uv: "/etc/uv/uv.toml", CERTIFICATES: str(CERTIFICATES)}
        return [word for source, place in places.items() for word in ("--volume", f"{source}:{place}:ro")]

    def __call__(self, *words: object, stdin: str | None = None) -> str:
        return _run("podman", *words, env=self.env, stdin=stdin)

    def compose(self, *words: object) -> str:
        build = f"--podman-build-args={' '.join(['--pull=never', *self.mounts])}"
        return _run(self._compose, "--project-name", PROJECT, build, *words, env=self.env, cwd=self.project)

    def await_health(self, container: str) -> None:
        """Ask the container's own health check until it says well: here no systemd runs it at intervals."""
        deadline = time.monotonic() + WELL_S
        while subprocess.run(["podman", "healthcheck", "run", container], env=self.env, capture_output=True).returncode:
            if time.monotonic() > deadline:
                sys.exit(f"container: {container} is not well after {WELL_S} s:\n{self('logs', container)}")
            time.sleep(0.5)

    def close(self) -> None:
        """End and remove what is left, and unmount the storage."""
        for words in (("pod", "rm", "--all", "--force"), ("rm", "--all", "--force", "--time", "5")):
            subprocess.run(["podman", *words], env=self.env, capture_output=True, check=False)
        subprocess.run(["podman", "network", "prune", "--force"], env=self.env, capture_output=True, check=False)
        for place in reversed(_find_mounts(self._folder)):
            subprocess.run(["umount", "--lazy", place], check=False)


def main(tools: str) -> int:
    """Build, run and stop both containers, and look at what they do and leave; podman-compose is in `tools`."""
    if sys.platform != "linux" or os.geteuid() or not all(shutil.which(command) for command in COMMANDS):
        print(f"container: needs Debian, root and: apt-get install {PACKAGES}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="testlab-container-") as name:
        folder = Path(name)
        podman = Podman(folder, Path(tools) / "podman-compose")
        try:
            _make_bases(podman, folder)
            _check(podman)
        finally:
            podman.close()
        left = _find_left(folder)
    if left:
        sys.exit("container: left behind: " + ", ".join(left))
    print("container: nothing is left mounted or running")
    return 0


def _make_bases(podman: Podman, folder: Path) -> None:
    base = read_base((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    image, version = read_database((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    root = folder / "root"
    with _step(f"a root of Debian {base.release}, in place of {base.image}"):
        mirror = _run(
            "apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"
        ).splitlines()[:1]
        include = "--include=ca-certificates,python3,python3-pip,python3-venv"
        apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child")  # what it mounts and starts ends with it
        _run(*apart, "debootstrap", "--variant=minbase", include, base.release, root, *mirror)
        if not (root / f"usr/bin/python{base.python}").exists():
            sys.exit(f"container: Debian {base.release} has no Python {base.python}: {base.image} has another Python")
        next(root.glob("usr/lib/python3*/EXTERNALLY-MANAGED")).unlink()
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        _run("tar", "--create", "--directory", root, "--file", folder / "root.tar", ".")
        path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        podman("import", "--change", f"ENV {path}", folder / "root.tar", f"docker.io/library/{base.image}")
    with _step(f"PostgreSQL {version} there, in place of {image}"):
        text = POSTGRESQL.format(base=base.image, version=version)
        podman(
            "build", "--pull=never", "--tag", f"docker.io/library/{image}", "--file", "-", folder / "run", stdin=text
        )


def _check(podman: Podman) -> None:
    token = secrets.token_urlsafe(32)
    _write_project(podman.project, token)
    with _step("the Dockerfile's steps"):
        podman.compose("build")
    with _step("the image serves the demo"):
        nodes = json.loads(podman("run", "--rm", f"{PROJECT}_testlab", "call", "list_nodes", "--demo", "--json"))
        _expect("nodes of the demo", bool(nodes["nodes"]), True)
    with _step("compose.yaml: both containers are well"):
        podman.compose("up", "--detach", "db")
        podman.await_health(DATABASE)
        podman.compose("up", "--detach", "--no-deps", "testlab")
        podman.await_health(SERVER)
    with _step("the server's process has no rights, and writes only below /data"):
        seen = json.loads(podman("exec", SERVER, "python", "-c", LOOK))
        seen["places"] = [place for place in seen["places"] if place not in SCRATCH]
        _expect("process", seen, {"uid": "10001", "rights": 0, "more": False, "places": ["/data"], "config": False})
    with _step("a run is recorded over MCP, by way of PostgreSQL"):
        podman("exec", "--detach", SERVER, "testlab-mcp", "simlab", "--port", LAB_PORT)
        podman("exec", SERVER, "python", "-c", AWAIT_LAB)
        run = asyncio.run(_record_run(token))
        count = podman("exec", DATABASE, "psql", "--username", "testlab", "--tuples-only", "--command", DELIVERED)
        _expect("delivered, as PostgreSQL says", int(count), 1)
        print(f"container:   {run}")
    with _step("the server ends at SIGTERM, by itself"):
        podman("stop", "--time", STOP_S, SERVER)
        _expect("exit code", podman("inspect", "--format", "{{.State.ExitCode}}", SERVER).strip(), "0")
    with _step("compose down"):
        podman.compose("down", "--volumes")
        _expect("containers", podman("ps", "--all", "--quiet"), "")


def _write_project(folder: Path, token: str) -> None:
    """What a build is given, compose.yaml, and the two files beside it that an operator writes."""
    folder.mkdir()
    for name in ("Dockerfile", "compose.yaml", ".dockerignore", *read_sources((ROOT / ".dockerignore").read_text())):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    _write(folder / "lab.toml", CONFIG.format(port=PORT, lab_port=LAB_PORT, digest=digest_token(token)))
    os.chown(folder / "lab.toml", 10001, 10001)
    _write(folder / "lab.env", f"FACTORY_TOKEN={YOU.token}\n")


async def _record_run(token: str) -> str:
    """Record a production run over MCP, and find it among the unit's runs; its id."""
    unit = {"serial_number": "BOX-0001", "part_number": "STB-4K", "revision": "B"}
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(f"http://127.0.0.1:{PORT}/mcp", http_client=http)) as client,
    ):
        run: dict[str, Any] = {"service": "factory", "procedure_id": "Main board FCT", "outcome": "pass", **unit}
        created: dict[str, Any] = (await client.call_tool("create_run", run)).structured_content or {}
        said = await client.call_tool("list_runs", {"unit": unit["serial_number"]})
        listed: dict[str, Any] = said.structured_content or {}
    run_id = str(created.get("run_id", ""))
    if run_id not in [item["run_id"] for item in listed.get("runs", [])]:
        sys.exit(f"container: the run is not there: {json.dumps([created, listed])}")
    return run_id


def _find_mounts(folder: Path) -> list[str]:
    """What is mounted below a folder, in the order of mounting."""
    mounts = (line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines())
    return [place for place in mounts if Path(place).is_relative_to(folder)]


def _find_left(folder: Path) -> list[str]:
    """Mounts below a folder, and processes that name it."""
    left = _find_mounts(folder)
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(folder) in (words := process.read_bytes()):
                left.append(words.replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return left


@contextmanager
def _step(title: str) -> Generator[None]:
    start = time.monotonic()
    print(f"container: {title}", flush=True)
    yield
    print(f"container:   well, {time.monotonic() - start:.1f} s", flush=True)


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        sys.exit(f"container: {what}: {found!r}, where {wanted!r} is right")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def _run(*command: object, env: dict[str, str] | None = None, cwd: Path | None = None, stdin: str | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, env=env, cwd=cwd, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"container: {' '.join(words)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
