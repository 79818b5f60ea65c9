"""Allure results, which are a folder of files, as one run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.folder.conftest import Table

BEGAN = 1_795_161_600_000


def write_result(folder: Path, name: str, status: str, **fields: Any) -> None:
    """A result as allure-pytest writes it."""
    result = {"uuid": name, "name": name, "fullName": f"tests.bench#{name}", "status": status, "stage": "finished"}
    result |= {"start": BEGAN, "stop": BEGAN + 2_000, **fields}
    (folder / f"{name}-result.json").write_text(json.dumps(result), encoding="utf-8")


async def test_a_folder_of_results_is_one_run_that_grows_and_goes_as_they_do(
    reports: Path, table: Table, connect: Connect, ask: ToolCaller
) -> None:
    folder = reports / "allure-results"
    folder.mkdir()
    write_result(folder, "rails", "passed")
    attachment = {"name": "trace", "source": "1-attachment.json", "type": "application/json"}
    write_result(folder, "modem", "failed", statusDetails={"message": "no carrier"}, attachments=[attachment])
    (folder / "1-attachment.json").write_text('{"points": []}', encoding="utf-8")
    async with connect(table(reports)) as client:
        page = await ask(client, "list_runs", test="allure-results")
        (run,) = page["runs"]
        failed = await ask(client, "get_failed_cases", run_id=run["run_id"])
        files = await ask(client, "get_artifact", run_id=run["run_id"])
        text = await ask(client, "get_artifact", run_id=run["run_id"], name="1-attachment.json")
        write_result(folder, "screen", "broken", statusDetails={"message": "dark"})
        with anyio.fail_after(5):
            while (grown := (await ask(client, "list_runs", test="allure-results"))["runs"]) == [run]:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        shutil.rmtree(folder)
        with anyio.fail_after(5):
            while (await ask(client, "list_runs", limit=0))["services"][0]["total"] != 17:  # noqa: ASYNC110
                await anyio.sleep(0.05)
    assert run["outcome"] == "fail"
    assert "note" not in page["services"][0]
    assert [case["reason"] for case in failed["runs"][0]["cases"]] == ["no carrier"]
    assert failed["runs"][0]["cases_run"] == 2
    assert [file["name"] for file in files["artifacts"]] == ["1-attachment.json"]
    assert text["text"] == '{"points": []}'
    assert len(grown) == 1, "one folder is one run"
