"""The command line. Each command's module is imported only when it is run, so that `serve` starts fast."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from testlab_tools.errors import LabError

CLIENTS = ("claude-code", "claude-desktop", "vscode", "cursor")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Exit codes: 0 well, 1 something in the lab is wrong, 2 usage or config is (a line on stderr)."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["simlab"]:
        from testlab_sim.__main__ import main as simlab

        return simlab(given[1:])
    args = _parser().parse_args(given)
    try:
        return _run(args)
    except LabError as error:
        print(f"testlab-mcp {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(args: argparse.Namespace) -> int:
    match args.command:
        case "serve":
            from testlab_mcp.serve import serve

            return serve(args.config, args.demo, args.http)
        case "demo":
            from testlab_mcp.demo import demo

            return demo(args.report, args.save_to)
        case "doctor":
            from testlab_mcp.doctor import doctor

            return doctor(args.config)
        case "login" | "logout":
            from testlab_mcp.login import login, logout

            return (login if args.command == "login" else logout)(args.service, args.config)
        case "tools":
            from testlab_mcp.listing import list_tools

            return list_tools(args.config, args.tokens)
        case "token":
            from testlab_mcp.access.new_token import new_token

            return new_token(args.name, args.access)
        case "audit":
            from testlab_mcp.audit.command import audit_verify

            return audit_verify(args.file, args.config, args.anchor)
        case _:
            from testlab_mcp.client_config import client_config

            return client_config(args.client, args.config, args.demo)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="testlab-mcp", description="One MCP server in front of a whole test lab.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve MCP over stdio, or over HTTP with --http")
    _config(serve)
    serve.add_argument("--demo", action="store_true", help="serve the simulated lab; needs no config")
    serve.add_argument("--http", metavar="HOST:PORT", default="", help="Streamable HTTP at http://HOST:PORT/mcp")

    demo = commands.add_parser("demo", help="tour the simulated lab through a real MCP client")
    demo.add_argument("--report", metavar="FILE", default="", help="also record this OpenHTF report (JSON)")
    demo.add_argument("--save-to", metavar="DIR", default="testlab-demo", help="where the screenshot goes")

    doctor = commands.add_parser("doctor", help="check config, reachability, auth and clock of every service")
    _config(doctor)

    for name, words in (("login", "sign in to a service without a key"), ("logout", "forget such a sign-in")):
        signing = commands.add_parser(name, help=words)
        signing.add_argument("service", metavar="SERVICE", help="its name in the config")
        _config(signing)

    tools = commands.add_parser("tools", help="list the tools a config turns on")
    _config(tools)
    tools.add_argument("--tokens", action="store_true", help="what the tools cost a model, against the budget")

    client = commands.add_parser("client-config", help="print what to put into an MCP client's config")
    client.add_argument("client", choices=CLIENTS)
    _config(client)
    client.add_argument("--demo", action="store_true", help="for the simulated lab")

    token = commands.add_parser("token", help="make a token for a caller over HTTP")
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser("new", help="print a new token, and the config that lets it in")
    new.add_argument("name", metavar="NAME", help="of the caller: letters, digits, - and _")
    new.add_argument("--access", choices=("observe", "operate", "admin"), default="observe")
    audit = commands.add_parser("audit", help="check that no line of the audit was removed or altered")
    checks = audit.add_subparsers(dest="check", required=True, metavar="verify")
    whole = checks.add_parser("verify", help="name the lines that were; exit 1 if there are any")
    whole.add_argument("file", nargs="?", metavar="FILE", default="", help="default: the config's own")
    whole.add_argument("--anchor", metavar="SEQ:HASH", default="", help="a line known to be genuine")
    _config(whole)

    commands.add_parser("simlab", help="run the simulated lab alone (simlab --help has its options)")
    return parser


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", default="", help="default: $TESTLAB_MCP_CONFIG, else config.toml")


if __name__ == "__main__":
    sys.exit(main())
