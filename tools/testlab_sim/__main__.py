"""`python -m testlab_sim`: the simulated lab alone, on 127.0.0.1, until it is told to stop."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from testlab_sim import BESIDES, SERVICES

EXIT_USAGE = 2


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or, with `--exit-with-stdin`, the end of standard input; the exit code."""
    args = _parser().parse_args(argv)
    from testlab_sim.listening import HOST, listen

    try:
        listener = listen(args.port)
    except OSError as exc:
        sys.stderr.write(f"testlab_sim: cannot listen on {HOST}:{args.port}: {exc.strerror}\n")
        return EXIT_USAGE
    with listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        lab = describe_lab(url)
        if args.early:
            _announce(lab, args.ready_file)
        from testlab_sim.app import create_app, create_world
        from testlab_sim.serving import serve

        world = create_world(args.seed, args.speed, args.runs)
        world.base_url = url
        ready = (lambda: None) if args.early else partial(_announce, lab, args.ready_file)
        serve(create_app(world), listener, ready, with_stdin=args.exit_with_stdin)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("testlab_sim", description="A simulated test lab on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--ready-file", type=Path, help="written once connections are accepted: URLs, tokens")
    parser.add_argument(
        "--early", action="store_true", help="write it at once: who connects waits for the lab to start"
    )
    parser.add_argument("--speed", type=float, default=20.0, help="how many times faster than life tests run")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--runs", type=_count_runs, default=0, help="production runs: about so many, up to 2,000,000 (default: 17,000)"
    )
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when standard input does")
    return parser


def _count_runs(text: str) -> int:
    from testlab_sim.production.large import MAX_RUNS

    if not text.isdigit() or not 1000 <= int(text) <= MAX_RUNS:
        raise argparse.ArgumentTypeError(f"a whole number from 1000 to {MAX_RUNS} is expected")
    return int(text)


def describe_lab(url: str) -> dict[str, Any]:
    """What the ready file says: where each service is and which tokens open it."""
    from testlab_sim.world import COLLEAGUE, YOU

    kinds = [*SERVICES, *BESIDES]
    services: dict[str, dict[str, str]] = {kind: {"url": f"{url}/{kind}", "token": YOU.token} for kind in kinds}
    services["stbtester"]["colleague_token"] = COLLEAGUE.token
    return {"url": url, "services": services}


def _announce(lab: dict[str, Any], ready_file: Path | None) -> None:
    if ready_file is not None:
        _write_privately(ready_file, json.dumps(lab, indent=2) + "\n")
    lines = [f"Simulated test lab at {lab['url']}/", ""]
    lines += [
        f"  {name:<11} {service['url']:<38} token {service['token']}" for name, service in lab["services"].items()
    ]
    sys.stderr.write("\n".join([*lines, ""]))


def _write_privately(path: Path, text: str) -> None:
    """Readable by this user alone, and never half written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
