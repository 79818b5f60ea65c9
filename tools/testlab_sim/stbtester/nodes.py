"""The nodes of the test farm: where each stands, what is plugged into it, what is wrong with it, and what a key of the
remote control does to its device."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

_DAY = 86400.0
CHANNELS = 6

_NAMES = """
    UP DOWN LEFT RIGHT OK BACK HOME MENU EPG INFO SEARCH POWER CHANNELUP CHANNELDOWN VOLUMEUP VOLUMEDOWN MUTE
    PLAY PAUSE PLAYPAUSE STOP REWIND FASTFORWARD RECORD RED GREEN YELLOW BLUE 0 1 2 3 4 5 6 7 8 9
"""
KEYS = frozenset(f"KEY_{name}" for name in _NAMES.split())

_OPENS = {
    "KEY_HOME": "home",
    "KEY_BACK": "home",
    "KEY_STOP": "home",
    "KEY_MENU": "settings",
    "KEY_EPG": "epg",
    "KEY_SEARCH": "search",
    "KEY_INFO": "live",
    "KEY_PLAY": "player",
    "KEY_PLAYPAUSE": "player",
}
_MOVES = {"KEY_UP": -1, "KEY_LEFT": -1, "KEY_DOWN": 1, "KEY_RIGHT": 1}
_ZAPS = {"KEY_CHANNELUP": 1, "KEY_CHANNELDOWN": -1}


@dataclass
class Remote:
    """What an idle device shows: the screen, the row or tile selected, the channel it is tuned to."""

    screen: str = "home"
    selection: int = 0
    channel: int = 1

    def press(self, key: str) -> None:
        if key == "KEY_POWER":
            self.screen = "home" if self.screen == "standby" else "standby"
        elif self.screen == "standby":
            return
        elif key in _OPENS:
            self.screen, self.selection = _OPENS[key], 0
        elif key in _MOVES:
            self.selection = max(0, self.selection + _MOVES[key])
        elif key in _ZAPS:
            self._tune(self.channel + _ZAPS[key])
        elif key[4:].isdigit() and key != "KEY_0":
            self._tune(int(key[4:]))
        elif key == "KEY_OK" and self.screen == "epg":
            self.screen = "live"

    def _tune(self, channel: int) -> None:
        self.screen, self.channel = "live", (channel - 1) % CHANNELS + 1


@dataclass
class Node:
    """One Stb-tester Node. `epoch` is the middle part of its job uids, `serial` that of the unit now on its shelf."""

    node_id: str
    friendly_name: str | None
    device_type: str | None
    device_ip: str | None
    external_ip: str | None
    local_ip: str | None
    city: str | None
    country: str | None
    licence_expiry: str
    epoch: str
    serial: str = ""
    online: bool = True
    licensed: bool = True
    updating: bool = False
    picture_until: float = math.inf
    last_used_by: str | None = None
    last_used_time: float | None = None
    jobs_started: int = 0
    remote: Remote = field(default_factory=Remote)

    def used(self, username: str, now: float) -> None:
        self.last_used_by, self.last_used_time = username, now

    def next_job_uid(self) -> str:
        self.jobs_started += 1
        return f"/{self.node_id}/{self.epoch}/{self.jobs_started}"

    def config(self) -> dict[str, Any]:
        """The node-specific config file in git, `config/test-farm/<node_id>.conf`, as sections of keys."""
        sections: dict[str, dict[str, str | None]] = {
            "node": {"friendly_name": self.friendly_name},
            "device_under_test": {
                "device_type": self.device_type,
                "ip_address": self.device_ip,
                "serial_number": self.serial or None,
            },
        }
        kept = {name: {k: v for k, v in keys.items() if v is not None} for name, keys in sections.items()}
        return {name: keys for name, keys in kept.items() if keys}


_LONDON = ("London", "United Kingdom", "203.0.113.14")
_LYON = ("Lyon", "France", "198.51.100.7")

# suffix, name, device type, site, serial
_RACKS = (
    ("f101", "Rack 1, Node 1", "stb4k", _LONDON, "STB4K-000001"),
    ("f102", "Rack 1, Node 2", "stb4k", _LONDON, "STB4K-000002"),
    ("f103", "Rack 1, Node 3", "stb4k", _LONDON, "STB4K-000003"),
    ("f104", "Rack 1, Node 4", "stb4k", _LONDON, "STB4K-000004"),
    ("f201", "Rack 2, Node 1", "roku", _LONDON, ""),
    ("f202", "Rack 2, Node 2", "roku", _LONDON, ""),
    ("f203", "Rack 2, Node 3", "firetv", _LONDON, ""),
    ("f301", "Rack 3, Node 1", "firetv", _LYON, ""),
    ("f302", "Rack 3, Node 2", "appletv", _LYON, ""),
    ("f303", "Rack 3, Node 3", "stb4k", _LYON, "STB4K-000005"),
)

BUSY, LOOSE_HDMI, YOURS, COLLEAGUES = "Rack 1, Node 3", "Rack 1, Node 4", "Rack 2, Node 2", "Rack 2, Node 3"
OFFLINE, UNLICENSED, UPDATING = "Rack 3, Node 1", "Rack 3, Node 2", "Rack 3, Node 3"


def seeded_nodes(now: float) -> list[Node]:
    """Ten nodes in two sites and one that was never plugged in, in every state the vendor's page names."""
    nodes = [_node(i, row, now) for i, row in enumerate(_RACKS)]
    spare = ("stb-tester-00044b80f3ff", None, None, None, None, None, None, None, _date(now + 300 * _DAY), "0000")
    return [*nodes, Node(*spare, online=False)]


def _node(index: int, row: tuple[str, str, str, tuple[str, str, str], str], now: float) -> Node:
    suffix, name, device_type, (city, country, external_ip), serial = row
    expiry = now - 12 * _DAY if name == UNLICENSED else now + (90 + 31 * index) * _DAY
    return Node(
        node_id=f"stb-tester-00044b80{suffix}",
        friendly_name=name,
        device_type=device_type,
        device_ip=f"192.168.{10 if city == 'London' else 20}.{120 + index}",
        external_ip=external_ip,
        local_ip=f"192.168.{10 if city == 'London' else 20}.{20 + index}",
        city=city,
        country=country,
        licence_expiry=_date(expiry),
        epoch=f"0a{0x21 + index:02x}",
        serial=serial,
        online=name != OFFLINE,
        licensed=name != UNLICENSED,
        updating=name == UPDATING,
        picture_until=now - 9 * _DAY if name == LOOSE_HDMI else math.inf,
        remote=Remote(("home", "live", "epg")[index % 3], channel=1 + index % 6),
    )


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
