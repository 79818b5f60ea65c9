"""`testlab-mcp call`: a tool from a shell, as it is over MCP."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from testlab_mcp.commands.call_arguments import find_tool_named, parse_arguments
from testlab_mcp.commands.main import main
from testlab_mcp.commands.simlab import SimLab
from testlab_tools.errors import BadInput
from tests.server_processes import server_command


@pytest.fixture
def config(sim: SimLab, tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text(sim.config_toml(str(tmp_path)) + "\n[server]\naccess = 'operate'\n", "utf-8")
    return str(path)


def test_an_answer_is_a_table_whose_ids_are_whole(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "list_nodes", "--config", config, "--available"]) == 0
    out = capsys.readouterr().out
    assert "portal:stb-tester-00044b80f101" in out
    assert "free" in out
    assert "\x1b[" not in out, "no colours where there is no terminal"


def test_json_is_the_structure_of_the_answer(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "list-runs", "--json", "--service", "portal", "--limit=2", "--config", config]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["runs"]) == 2


def test_a_run_that_waits_is_said_to_be_sent_by_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away = tmp_path / "away"
    config = tmp_path / "folder.toml"
    config.write_text(
        f"[server]\naccess = 'operate'\n[durable]\npath = '{tmp_path / 'd.sqlite'}'\nanswer_within_seconds = 0.5\n"
        f"[services.reports]\nkind = 'folder'\npath = '{away}'\nindex_folder = '{tmp_path / 'index'}'\n",
        "utf-8",
    )
    words = ["--serial-number", "SN-1", "--procedure-id", "FVT", "--outcome", "pass", "--config", str(config)]
    assert main(["call", "create_run", "--json", *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["queued"]
    assert "as soon as a server runs" in answer["note"]


def test_a_tool_that_fails_ends_with_1_and_says_why(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "get_unit", "--serial-number", "NO-SUCH-1", "--config", config]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "No service knows a unit of that serial number" in err


def test_what_the_config_does_not_allow_is_refused(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["call", "delete_unit", "--serial-number", "STB4K-000001", "--service", "factory", "--config", config])
        == 1
    )
    assert "admin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list_run"], "Did you mean 'list_runs'?"),
        ([], "No tool is named"),
        (["list_runs", "--limt", "3"], "Did you mean limit?"),
        (["list_runs", "--limit"], "--limit has no value"),
        (["list_runs", "--limit", "many"], "limit should be a valid integer"),
        (["list_runs", "--limit", "1", "--limit", "2"], "--limit is given twice"),
        (["list_runs", "stray"], "'stray' is no argument"),
        (["run_tests", "--test-cases", "a", "b"], "once for each of a list"),
        (["list_runs", "--wait"], "go with run_tests alone"),
        (["create_run", "--phases", "@no-such-file.json"], "cannot be read"),
        (["run_tests", "--node-id", "x"], "test_cases is missing"),
    ],
)
def test_bad_use_is_one_line_and_exit_code_2(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["call", *words, "--config", str(tmp_path / "none.toml")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_without_a_config_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "list_nodes", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_lists_are_repeated_or_json_or_read_from_a_file(tmp_path: Path) -> None:
    tool = find_tool_named("reserve-nodes")
    file = tmp_path / "nodes.json"
    file.write_text('["a", "b"]', "utf-8")
    rest = ["--message", "m", "--duration-minutes", "5"]
    for words in (["--node-ids", "a", "--node-ids", "b"], ["--node-ids", '["a", "b"]'], ["--node-ids", f"@{file}"]):
        given = parse_arguments(tool, [*words, *rest])
        assert given["node_ids"] in (["a", "b"], '["a", "b"]')


def test_a_value_may_begin_with_a_hyphen() -> None:
    assert parse_arguments(find_tool_named("list_runs"), ["--test=--x"]) == {"test": "--x"}
    with pytest.raises(BadInput, match="--test=VALUE"):
        parse_arguments(find_tool_named("list_runs"), ["--test", "--x"])


def test_a_pipe_that_closes_early_is_no_traceback(config: str) -> None:
    command = [*server_command(), "call", "list_runs", "--limit", "200", "--json", "--config", config]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        err = process.stderr.read().decode()
    assert (process.returncode, err) == (2, "testlab-mcp call: what read its output has gone\n")


def test_help_names_the_keys_of_what_is_given_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "create_run", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "keys name, outcome pass|fail|error|skip, [started_at], [duration_s], [measurements (keys name," in told
    assert "[limits]" in told


def test_help_shows_the_tools_own_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "reserve_nodes", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--duration-minutes" in out
    assert "Reserve nodes, so that nobody else" in out
    assert main(["call", "--help"]) == 0
    assert "TOOL" in capsys.readouterr().out
