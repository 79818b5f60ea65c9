"""The commands, as a person types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from testlab_mcp import __version__
from testlab_mcp.commands import tools
from testlab_mcp.commands.client_config import snippet
from testlab_mcp.commands.main import CLIENTS, main
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.commands.tools import BUDGETS
from tests.server_processes import server_command

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "tests" / "samples" / "openhtf_lot" / "SN-0004.1.json"


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "testlab_mcp", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=90, cwd=cwd, check=False)


def test_the_demo_tours_the_six_operations_and_explains_a_report(tmp_path: Path) -> None:
    done = run("demo", "--report", str(REPORT), "--save-to", "shots", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for tool in ("list_runs", "get_failed_cases", "list_nodes", "reserve_nodes", "run_tests", "grab_screenshot"):
        assert f"{tool}(" in done.stdout
    assert "8 of 8 tests done" in done.stdout
    assert "4.85 <= x <= 5.15" in done.stdout
    assert "flash_firmware after 2 attempts" in done.stdout
    saved = re.search(r"Saved to (.*screen-\d+-\d+\.png)", done.stdout)
    assert saved
    assert Path(saved[1]).read_bytes().startswith(b"\x89PNG")
    assert Path(saved[1]).is_relative_to(tmp_path)
    chart = re.search(r"Saved to (.*yield-\d+-\d+\.svg)", done.stdout)
    assert chart
    assert "FVT-03" in Path(chart[1]).read_text(encoding="utf-8")
    assert "\x1b[" not in done.stdout, "no colours where there is no terminal"
    assert done.stderr == ""


@pytest.mark.parametrize(("content", "told"), [("{}", "not an OpenHTF report"), ("no json", "not JSON")])
def test_a_report_that_is_none_is_one_line_and_exit_code_2(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(content, encoding="utf-8")
    done = run("demo", "--report", str(path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr


@pytest.mark.parametrize("count", ["1", "2", "many"])
def test_workers_on_one_socket_are_refused_for_replicas(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--demo", "--http", "127.0.0.1:0", "--workers", count]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "sessions, reservations and rates are a process's own" in said.err
    assert "replicas" in said.err
    assert "docs/deployment.md" in said.err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"testlab-mcp {__version__}\n"


def test_doctor_finds_nothing_wrong_with_the_simulated_lab(
    sim: SimLab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(sim.config_toml(), encoding="utf-8")
    assert main(["doctor", "--config", str(path)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"portal +stbtester +yes +ok +ok +you", printed)
    assert re.search(r"factory +tofupilot +yes +ok +ok", printed)
    assert re.search(r"cloud +standcloud +yes +ok +ok", printed)
    assert "sim-token" not in printed
    assert re.search(r"you hold portal:stb-tester-\S+ until \S+ \(reservation portal:\d+\)", printed)


def test_doctor_says_what_is_wrong_with_each_service(
    sim: SimLab, dead_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_backoff: None
) -> None:
    config = sim.config_toml().replace('token = "', 'token = "wrong-', 1)
    config += f'[services.gone]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken = "t"\n'
    config += f'[services.mute]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken_env = "NO_SUCH_TOKEN_IS_SET"\n'
    path = tmp_path / "config.toml"
    path.write_text(config, encoding="utf-8")
    assert main(["doctor", "--config", str(path)]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"portal +stbtester +yes +refused", printed)
    assert re.search(r"gone +tofupilot +no", printed)
    assert re.search(r"mute +tofupilot +not asked +missing", printed)
    assert "NO_SUCH_TOKEN_IS_SET" in printed
    assert "user menu" in printed


def test_tools_says_why_a_tool_is_off(
    sim: SimLab, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "config.toml"
    path.write_text('[server]\naccess = "observe"\n' + sim.config_toml(), encoding="utf-8")
    assert main(["tools", "--config", str(path)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"list_runs +runs +observe +on", printed)
    assert re.search(r'run_tests +jobs +operate +run_tests needs \[server\] access = "operate"', printed)


def test_without_a_tokenizer_tokens_are_estimated_and_nothing_is_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    tools._load_tokenizer.cache_clear()
    monkeypatch.setattr(tools, "TOOL_LIMIT", 1)
    assert main(["tools", "--tokens"]) == 0
    printed = capsys.readouterr().out
    assert "estimates, rather too high" in printed
    assert "over budget" not in printed


def test_tools_tokens_prints_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools", "--tokens"]) == 0
    printed = capsys.readouterr().out
    for budget in BUDGETS:
        assert re.search(rf"{budget.name} +\d+ +{budget.limit}", printed)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_clients_snippet_has_its_own_keys_and_absolute_paths(
    client: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["client-config", client, "--config", "lab.toml"]) == 0
    printed = capsys.readouterr()
    parsed = tomllib.loads(printed.out) if client == "codex" else json.loads(printed.out)
    (top,) = parsed
    assert top == {"vscode": "servers", "codex": "mcp_servers"}.get(client, "mcpServers")
    entry = parsed[top]["testlab"]
    assert Path(entry["command"]).is_absolute()
    assert entry["args"][-3:-1] == ["serve", "--config"]
    assert Path(entry["args"][-1]) == (tmp_path / "lab.toml").resolve()
    assert ("type" in entry) is (client not in ("claude-desktop", "codex"))


def test_what_a_snippet_names_really_starts() -> None:
    made = snippet("cursor", sys.executable, ["-m", "testlab_mcp", "serve", "--demo"])["mcpServers"]["testlab"]
    done = subprocess.run(
        [made["command"], *made["args"]], input="", capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_simulated_lab_runs_alone_and_says_where(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "testlab_mcp", "simlab", "--ready-file", str(ready), "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while "standcloud" not in process.stderr.readline():
            assert process.poll() is None
        assert set(json.loads(ready.read_text(encoding="utf-8"))["services"]) == {
            "stbtester",
            "tofupilot",
            "standcloud",
            "hardpy",
        }
        process.communicate(timeout=5)
    assert process.returncode == 0


def test_doctor_gives_its_findings_as_json(sim: SimLab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        re.sub(r'(factory\].*?token = )"[\w-]+"', r'\1"wrong"', sim.config_toml(), flags=re.DOTALL), "utf-8"
    )
    assert main(["doctor", "--json", "--config", str(config)]) == 1
    found = {finding["service"]: finding for finding in json.loads(capsys.readouterr().out)["services"]}
    assert found["portal"]["auth"] == "ok"
    assert found["portal"]["held"][0]["node_id"].startswith("portal:")
    assert found["factory"]["auth"] == "refused"
    assert found["factory"]["remedy"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("testlab-mcp do", "doctor"),
        ("testlab-mcp doctor --j", "--json"),
        ("testlab-mcp call list_no", "list_nodes"),
        ("testlab-mcp call reserve_nodes --dur", "--duration-minutes"),
        ("testlab-mcp call list_runs --sort lon", "longest"),
        ("testlab-mcp client-config vs", "vscode"),
    ],
)
def test_a_shell_completes_commands_tools_and_their_arguments(line: str, offered: str, tmp_path: Path) -> None:
    found = tmp_path / "found"
    asks = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found),
    }
    subprocess.run(server_command(), env={**os.environ, **asks, "_ARGCOMPLETE_IFS": "\n"}, timeout=60, check=False)
    assert offered in found.read_text(encoding="utf-8").replace(" ", "").splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_names_the_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "testlab-mcp" in capsys.readouterr().out
