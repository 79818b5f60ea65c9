"""The manual remote control: which keys there are and what a key does to an idle device."""

from __future__ import annotations

from dataclasses import dataclass

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
