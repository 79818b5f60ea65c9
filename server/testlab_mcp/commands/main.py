"""The command line. Each command's module is imported only when it is run, so that `serve` starts fast."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from typing import TypeAlias

from testlab_mcp import __version__
from testlab_mcp.startup.early import Early
from testlab_tools.errors import ConfigError, LabError

CLIENTS = ("claude-code", "claude-desktop", "vscode", "cursor", "codex")
SHELLS = ("bash", "zsh", "fish", "powershell")
LEVELS = ("observe", "operate", "admin")
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]


def main(argv: Sequence[str] | None = None, early: Early | None = None) -> int:
    """Run a command. Exit codes: 0 well, 1 something in the lab is wrong, 2 usage or config is (a line on stderr).
    `early` gives the first answers of `serve` over stdio until that can."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["simlab"]:
        from testlab_sim.__main__ import main as simlab

        return simlab(given[1:])
    completes = "_ARGCOMPLETE" in os.environ
    parser, commands = build_parser(only_serve=given[:1] == ["serve"] and not completes)
    if completes:
        from testlab_mcp.commands.completion import complete

        complete(parser, _find_call(commands))
    args, words = parser.parse_known_args(given)
    if words and args.command != "call":
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    if words and not args.tool and words[0] in ("-h", "--help"):
        _find_call(commands).print_help()
        return 0
    try:
        code = _run(args, words, early)
        sys.stdout.flush()
        return code
    except LabError as error:
        print(f"testlab-mcp {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again as it ends
        print(f"testlab-mcp {args.command}: what read its output has gone", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _find_call(commands: Sequence[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    return next(command for command in commands if command.prog.endswith(" call"))


def _run(args: argparse.Namespace, words: Sequence[str], early: Early | None) -> int:
    match args.command:
        case "call":
            return _run_call(args, words)
        case "record":
            from testlab_mcp.commands.record import record

            return record(args.report, args.service, args.config, args.json)
        case "serve":
            return _run_serve(args, early)
        case "worker":
            from testlab_mcp.commands.worker import work

            return work(args.config)
        case "demo":
            from testlab_mcp.commands.demo import demo

            return demo(args.report, args.save_to)
        case "init":
            return _run_init(args)
        case "doctor":
            from testlab_mcp.commands.doctor import doctor

            return doctor(args.config, args.json)
        case "sync":
            from testlab_mcp.commands.sync import sync

            return sync(args.service, args.config, args.measurements, args.full)
        case "login" | "logout":
            return _run_login(args)
        case "tools":
            from testlab_mcp.commands.tools import list_tools

            return list_tools(args.config, args.tokens)
        case "token":
            from testlab_mcp.commands.token import new_token

            return new_token(args.name, args.access)
        case "completion":
            from testlab_mcp.commands.completion import print_script

            return print_script(args.shell)
        case "audit":
            from testlab_mcp.commands.audit import audit_verify

            return audit_verify(args.file, args.config, args.anchor)
        case _:
            from testlab_mcp.commands.client_config import client_config

            return client_config(args.client, args.config, args.demo)


def _run_call(args: argparse.Namespace, words: Sequence[str]) -> int:
    from testlab_mcp.commands.call import Options, call

    return call(args.tool, words, Options(args.config, args.demo, args.json, args.wait, args.junit))


def _run_login(args: argparse.Namespace) -> int:
    from testlab_mcp.commands.login import login, logout

    return (login if args.command == "login" else logout)(args.service, args.config)


def _run_serve(args: argparse.Namespace, early: Early | None) -> int:
    if args.workers is not None:
        raise ConfigError(
            "--workers is not offered: sessions, reservations and rates are a process's own, which processes on one "
            "socket would mix up; run replicas, as docs/deployment.md has them"
        )
    gc.disable()  # looking for garbage among what is imported would be a sixth of the start; `serve` has it on again
    try:
        from testlab_mcp.startup.sdk import import_sdk

        import_sdk(bool(args.http))
        from testlab_mcp.commands.serve import serve

        return serve(args.config, args.demo, args.http, args.folder, not args.no_pictures, early)
    finally:
        gc.enable()


def _run_init(args: argparse.Namespace) -> int:
    from testlab_mcp.commands.init import Options, init

    given = (args.config, args.service or (), args.set or (), args.access, args.client or ())
    return init(Options(*given, check=not args.no_check, force=args.force, folder=args.folder))


def build_parser(only_serve: bool = False) -> tuple[argparse.ArgumentParser, list[argparse.ArgumentParser]]:
    """The parser of the whole command line, and that of each command; or `serve` alone, which is waited for."""
    parser = argparse.ArgumentParser(
        prog="testlab-mcp", description="One MCP server in front of a whole test lab.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"testlab-mcp {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = _serve(commands)
    if only_serve:
        return parser, [serve]
    worker = _add(commands, "worker", "run deliveries and long work, for servers that leave them to it")
    _config(worker)

    doctor = _add(commands, "doctor", "check config, reachability, auth and clock of every service")
    _config(doctor)
    doctor.add_argument("--json", action="store_true", help="the findings as JSON")

    tools = _add(commands, "tools", "list the tools a config turns on, and why not the others")
    _config(tools)
    tools.add_argument("--tokens", action="store_true", help="what the tools cost a model, against the budget")

    client = _add(commands, "client-config", "print what to put into an MCP client's config")
    client.add_argument("client", choices=CLIENTS)
    _config(client)
    client.add_argument("--demo", action="store_true", help="for the simulated lab")

    signing = [
        _add(commands, "login", "sign in to a service without a key: confirm a code in the browser"),
        _add(commands, "logout", "forget such a sign-in"),
    ]
    for command in signing:
        command.add_argument("service", metavar="SERVICE", help="its name in the config")
        _config(command)
    named = [
        serve,
        worker,
        _init(commands),
        doctor,
        tools,
        _call(commands),
        _record(commands),
        client,
        *signing,
        _sync(commands),
        _token(commands),
        _audit(commands),
        _completion(commands),
    ]
    return parser, [*named, *_simulated(commands)]


def _serve(commands: Commands) -> argparse.ArgumentParser:
    serve = _add(commands, "serve", "serve MCP over stdio, or over HTTP with --http")
    _config(serve)
    serve.add_argument("--demo", action="store_true", help="serve the simulated lab; needs no config")
    serve.add_argument("--folder", metavar="DIR", default="", help="serve a folder of reports; needs no config")
    serve.add_argument("--http", metavar="HOST:PORT", default="", help="Streamable HTTP at http://HOST:PORT/mcp")
    serve.add_argument("--workers", metavar="N", help=argparse.SUPPRESS)  # looked for, and refused with the reason
    serve.add_argument("--no-pictures", action="store_true", help="no images in answers, for clients that show none")
    return serve


def _completion(commands: Commands) -> argparse.ArgumentParser:
    completion = _add(commands, "completion", "print what makes a shell complete commands, tools and their arguments")
    completion.add_argument("shell", choices=SHELLS)
    return completion


def _init(commands: Commands) -> argparse.ArgumentParser:
    init = _add(commands, "init", "ask for the services, try each, and write the config; or take all from flags")
    _config(init)
    init.add_argument("--service", action="append", metavar="NAME:KIND=URL", help="as often as there are services")
    init.add_argument("--set", action="append", metavar="NAME.KEY=VALUE", help="portal.token_env=STBT_AUTH_TOKEN")
    init.add_argument("--folder", metavar="DIR", default="", help="a folder of reports, as a service")
    init.add_argument("--access", choices=LEVELS, default="operate")
    init.add_argument("--client", action="append", choices=CLIENTS, help="add the server to this MCP client")
    init.add_argument("--no-check", action="store_true", help="write the config without trying the services")
    init.add_argument("--force", action="store_true", help="replace the config there is; a copy is kept")
    return init


def _call(commands: Commands) -> argparse.ArgumentParser:
    call = commands.add_parser(
        "call",
        help="call one tool from a shell or from CI",
        description="Call one tool: testlab-mcp call TOOL --argument value … Its own arguments: call TOOL --help.",
        epilog="Exit codes: 0 well, 1 the tool failed or its job did not pass, 2 usage or config is wrong.",
        allow_abbrev=False,
        add_help=False,
    )
    call.add_argument("tool", metavar="TOOL", nargs="?", default="", help="`testlab-mcp tools` lists them")
    call.add_argument("--json", action="store_true", help="the answer as JSON")
    call.add_argument("--wait", action="store_true", help="run_tests: reserve the node, wait for the end, give it back")
    call.add_argument("--junit", metavar="FILE", default="", help="run_tests: as --wait, and write a JUnit report")
    call.add_argument("--demo", action="store_true", help="ask the simulated lab; needs no config")
    _config(call)
    return call


def _record(commands: Commands) -> argparse.ArgumentParser:
    record = _add(commands, "record", "record the run of a test report at a service")
    record.add_argument("report", metavar="REPORT", help="a file, or a folder of Allure results")
    record.add_argument("--service", metavar="NAME", default="", help="its name in the config, where several take runs")
    record.add_argument("--json", action="store_true", help="the answer as JSON")
    _config(record)
    return record


def _sync(commands: Commands) -> argparse.ArgumentParser:
    sync = _add(commands, "sync", "read the history of runs ahead of the questions, and show what is held")
    sync.add_argument("--service", metavar="NAME", default="", help="only this one")
    sync.add_argument("--measurements", action="store_true", help="also all measurements, twenty times as many as runs")
    sync.add_argument("--full", action="store_true", help="read all once more, to notice what was deleted or changed")
    _config(sync)
    return sync


def _token(commands: Commands) -> argparse.ArgumentParser:
    actions = _add(commands, "token", "make a token for a caller over HTTP").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    new = _add(actions, "new", "print a token for a caller over HTTP, and the config that lets it in")
    new.add_argument("name", metavar="NAME", help="of the caller: letters, digits, - and _")
    new.add_argument("--access", choices=LEVELS, default="observe")
    return new


def _audit(commands: Commands) -> argparse.ArgumentParser:
    checks = _add(commands, "audit", "check that no line of the audit was removed or altered").add_subparsers(
        dest="check", required=True, metavar="verify"
    )
    verify = _add(checks, "verify", "name the lines of the audit that were removed, altered, inserted or moved")
    verify.add_argument("file", nargs="?", metavar="FILE", default="", help="default: the config's own")
    verify.add_argument("--anchor", metavar="SEQ:HASH", default="", help="a line known to be genuine")
    _config(verify)
    return verify


def _simulated(commands: Commands) -> tuple[argparse.ArgumentParser, ...]:
    demo = _add(commands, "demo", "tour the simulated lab through a real MCP client")
    demo.add_argument("--report", metavar="FILE", default="", help="also record this OpenHTF report (JSON)")
    demo.add_argument("--save-to", metavar="DIR", default="testlab-demo", help="where the screenshot goes")
    return demo, _add(commands, "simlab", "run the simulated lab alone (simlab --help has its options)")


def _add(commands: Commands, name: str, does: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", default="", help="default: $TESTLAB_MCP_CONFIG, else config.toml")
