"""[notify]: the end of each watch goes to each receiver, once by its id, whatever becomes of either side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.commands.main import main
from testlab_mcp.config.loading import parse_config
from testlab_tools.errors import ConfigError
from testlab_tools.http import ssrf
from testlab_tools.notify import sending
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.watches.conftest import QUICK, eventually
from tests.server.watches.receiver import SECRET, ReceiverServer, Reply

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Window
    from tests.server.watches.conftest import Farm

OPEN = Callable[[str], "Window"]
Receive = Callable[..., ReceiverServer]
PAGE = Reply(200, b"<!DOCTYPE html><html><body>Sign in</body></html>", {"content-type": "text/html"})
TROUBLES = {
    "fails": Reply(503, b""),
    "asks to wait": Reply(429, b"", {"retry-after": "1"}),
    "is a web page": PAGE,
    "leads elsewhere": Reply(307, b"", {"location": "http://127.0.0.1:1/"}),
    "loses its answer": Reply(0),
    "is slow": Reply(seconds=2),
}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_SECRET", SECRET)


@pytest.fixture
def receive() -> Iterator[Receive]:
    made: list[ReceiverServer] = []

    def received(*replies: Reply, port: int = 0) -> ReceiverServer:
        made.append(ReceiverServer(replies or (Reply(),), port))
        return made[-1]

    yield received
    for server in made:
        server.close()


def table(at: str, name: str = "team", **keys: object) -> str:
    given = {"url": at, "secret_env": "WATCH_SECRET", "allow_private": True, **keys}
    return "\n".join([f"[notify.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in given.items()), ""])


async def end_watch(client: Any, ask: ToolCaller, farm: Farm) -> str:
    """Have a watch end with a reserved node, whose message a person wrote; its id."""
    node = farm.free()[0]
    begun = await ask(client, "watch", node_id=node, node_becomes="different")
    farm.reserve(node)
    ended = await ask(client, "watch", watch_id=begun["watch_id"], wait_seconds=30)
    assert ended["state"] == "happened"
    return begun["watch_id"]


def notice_states(found: Sequence[dict[str, Any]]) -> list[str]:
    return [one["state"] for one in found]


async def test_each_shape_carries_the_end_and_no_text_of_a_person_acts_in_it(
    farm: Farm, connect: Connect, ask: ToolCaller, receive: Receive
) -> None:
    hook, slack, teams = receive(Reply(204, b"")), receive(), receive(Reply(202, b""))
    tables = table(hook.url) + table(slack.url, "chat", kind="slack") + table(teams.url, "crew", kind="teams")
    async with connect(farm.config(more=tables)) as client:
        watch_id = await end_watch(client, ask, farm)

        async def all_sent() -> bool:
            now = await ask(client, "watch", watch_id=watch_id)
            return notice_states(now["notices"]) == ["sent"] * 3

        await eventually(all_sent)
    assert [len(one.messages) for one in (hook, slack, teams)] == [1, 1, 1]
    (message,) = hook.messages
    assert message.is_signed()
    assert message.json["type"] == "watch.ended"
    assert message.json["data"]["untrusted"]["message"] == "*theirs* <!channel>"
    assert message.json["data"]["id"] == watch_id
    text = slack.messages[0].body.decode()
    assert "&lt;!channel&gt;" in text
    assert "<!" not in text
    assert '"mrkdwn"' not in text.replace('"mrkdwn":false', "")
    card = teams.messages[0].json["attachments"][0]["content"]
    assert {element["type"] for element in card["body"]} == {"RichTextBlock"}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_message_is_tried_until_it_has_arrived_always_with_its_id(
    trouble: str,
    farm: Farm,
    connect: Connect,
    ask: ToolCaller,
    receive: Receive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "LONGEST_S", 1.0)
    hook = receive(TROUBLES[trouble], TROUBLES[trouble], Reply())
    async with connect(farm.config(more=table(hook.url))) as client:
        watch_id = await end_watch(client, ask, farm)

        async def sent() -> bool:
            return notice_states((await ask(client, "watch", watch_id=watch_id))["notices"]) == ["sent"]

        await eventually(sent)
    assert list(hook.count().values()) == [3]
    assert len({message.body for message in hook.messages}) == 1
    assert all(message.is_signed() for message in hook.messages)


async def test_who_wants_no_more_or_is_past_its_time_is_parked_and_that_is_said(
    farm: Farm, connect: Connect, ask: ToolCaller, receive: Receive, caplog: pytest.LogCaptureFixture
) -> None:
    gone, failing = receive(Reply(410, b"")), receive(Reply(500, b""))
    tables = table(gone.url) + table(failing.url, "other", give_up_hours=0.0003)
    async with connect(farm.config(more=tables)) as client:
        watch_id = await end_watch(client, ask, farm)

        async def parked() -> list[dict[str, Any]]:
            found = (await ask(client, "watch", watch_id=watch_id))["notices"]
            return found if notice_states(found) == ["parked", "parked"] else []

        other, team = await eventually(parked)
    assert (team["tries"], team["why"]) == (1, "It answered 410: it wants no more messages")
    assert other["why"] == "It answered 500"
    assert caplog.text.count("is parked") == 2


async def test_the_end_of_a_campaign_is_watched_and_told_with_its_first_failures(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller, receive: Receive
) -> None:
    hook = receive()
    order = {
        "node_ids": farm.free()[:1],
        "test_pack_revision": "main",
        "test_cases": [QUICK],
        "message": "<b>night</b>",
    }
    async with connect(farm.config(more=table(hook.url))) as client:
        campaign = (await ask(client, "start_campaign", **order))["campaign_id"]
        begun = await ask(client, "watch", campaign_id=campaign)
        assert begun["waits_for"] == f"the end of campaign '{campaign}'"
        farm.advance(60)
        ended = await ask(client, "watch", watch_id=begun["watch_id"], wait_seconds=40)
        assert ended["what"] == f"Campaign '{campaign}' is finished: 1 pass"
        assert "no such campaign" in await refused(client, "watch", campaign_id="c0000000000")

        async def both() -> bool:
            return {message.json["type"] for message in hook.messages} == {"campaign.ended", "watch.ended"}

        await eventually(both)
    told = next(message.json for message in hook.messages if message.json["type"] == "campaign.ended")
    assert told["data"]["title"] == f"Campaign '{campaign}' on portal is finished: 1 passed, 0 failed, 0 with error"
    assert told["data"]["untrusted"] == {"revision": "main", "message": "<b>night</b>"}
    assert set(hook.count().values()) == {1}


def test_a_server_killed_between_sending_and_noting_sends_again_with_the_same_id(
    farm: Farm, open_window: OPEN, receive: Receive, until: Callable[..., Any]
) -> None:
    hook = receive()
    hook.hold.clear()
    node = farm.free()[0]
    config = farm.config(more=table(hook.url))
    first = open_window(config)
    begun = first.call("watch", node_id=node, node_becomes="different")
    farm.reserve(node)
    assert hook.came.wait(30)
    first.kill()
    hook.hold.set()
    second = open_window(config)
    ask = lambda: second.call("watch", watch_id=begun["watch_id"])["notices"]  # noqa: E731
    until(lambda: notice_states(ask()) == ["sent"])
    assert list(hook.count().values()) == [2], "the answer was lost with the process; the id tells that it is one"
    second.kill()

    third = open_window(config)
    assert notice_states(third.call("watch", watch_id=begun["watch_id"])["notices"]) == ["sent"]
    assert len(hook.messages) == 2


def test_a_receiver_that_is_down_gets_its_message_when_it_is_back(
    farm: Farm, open_window: OPEN, receive: Receive, until: Callable[..., Any]
) -> None:
    down = receive()
    down.close()
    node = farm.free()[0]
    window = open_window(farm.config(more=table(down.url)))
    begun = window.call("watch", node_id=node, node_becomes="different")
    farm.reserve(node)
    ask = lambda: window.call("watch", watch_id=begun["watch_id"]).get("notices", [])  # noqa: E731
    until(lambda: any(one.get("tries", 0) > 1 for one in ask()))
    assert ask()[0]["why"].startswith("No answer came")
    back = receive(port=down.port)
    until(lambda: notice_states(ask()) == ["sent"])
    assert list(back.count().values()) == [1]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "http://hooks.example.com/x"}, "It is not https"),
        ({"url": "https://10.1.2.3/x"}, "within the lab's network"),
        ({"url": "https://127.0.0.1/x"}, "within the lab's network"),
        ({"url": "https://localhost/x"}, "within the lab's network"),
        ({"url": "https://[::ffff:10.0.0.1]/x"}, "within the lab's network"),
        ({"url": "https://169.254.169.254/x", "allow_private": True}, "within the lab's network"),
        ({"url": "https://a:b@hooks.example.com/x"}, "user or a password"),
        ({"url": "https://hooks.example.com/x", "secret_env": ""}, "a webhook is signed"),
        ({"url": "https://hooks.example.com/x", "url_env": "X"}, "either url or url_env"),
    ],
)
def test_a_receiver_that_cannot_be_right_is_refused_with_the_config(keys: dict[str, object], said: str) -> None:
    text = table(str(keys["url"]), "team", **{"allow_private": False, **keys})
    with pytest.raises(ConfigError, match=said) as refusal:
        parse_config(text)
    assert "[notify.team]" in str(refusal.value)
    assert "/x" not in str(refusal.value)


def test_doctor_names_wrong_receivers_and_sends_nothing(
    farm: Farm, receive: Receive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = receive()
    monkeypatch.setenv("SHORT", "whsec_c2hvcnQ=")
    monkeypatch.setenv("INSIDE", "https://192.168.7.7/secret-path")
    tables = table(hook.url) + table(hook.url, "short", secret_env="SHORT")
    tables += '[notify.inside]\nkind = "slack"\nurl_env = "INSIDE"\n[notify.unset]\nkind = "teams"\nurl_env = "UNSET"\n'
    path = tmp_path / "config.toml"
    path.write_text(farm.config(more=tables), encoding="utf-8")
    assert main(["doctor", "--config", str(path)]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "[notify.short]: SHORT is not base64 of 24 to 64 bytes" in told
    assert "[notify.inside]: nothing is sent to its URL. It is within the lab's network" in told
    assert "[notify.unset]: the variable UNSET is not set" in told
    assert "[notify.team]" not in told
    assert "secret-path" not in told
    assert hook.messages == []


@pytest.mark.parametrize("address", ["10.9.8.7", "127.0.0.1", "169.254.169.254"])
async def test_a_name_that_leads_into_the_network_is_not_sent_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside(host: str, port: int) -> list[str]:
        return ["93.184.216.34", address]

    monkeypatch.setattr(ssrf, "_addresses", inside)
    with pytest.raises(ssrf.UnsafeUrl, match="within the lab's network"):
        await ssrf.pin_receiver("https://hooks.example.com/x", allow_private=False)


async def test_what_is_sent_goes_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def outside(host: str, port: int) -> list[str]:
        return ["93.184.216.34"]

    monkeypatch.setattr(ssrf, "_addresses", outside)
    place = await ssrf.pin_receiver("https://hooks.example.com:8443/x?key=1", allow_private=False)
    assert place.url == "https://93.184.216.34:8443/x?key=1"
    assert place.headers == {"Host": "hooks.example.com:8443"}
    assert place.extensions == {"sni_hostname": "hooks.example.com"}
