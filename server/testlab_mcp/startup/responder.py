"""Answers what the last start has answered before, in a thread, until the server takes the connection over."""

from __future__ import annotations

import json
import os
import select
import threading

from testlab_mcp.startup.conversation import Conversation, encode_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MAX_AHEAD = 64
"""Lines read before the server takes them: then the input waits."""
_CHUNK = 2**16
_REQUEST = frozenset({"jsonrpc", "id", "method", "params"})


class Taken:
    """What was read and written before the server had the streams: all the `lines`, the beginning of the next, the
    answers in `unsent` that the output has not taken, and each request that was answered, by id, with its result.
    `is_over` after the end of the input, or of the output."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self.lines: list[bytes] = []
        self.begun: list[bytes] = []
        self.unsent = b""
        self.answered: list[tuple[bytes, bytes]] = []
        self.is_over = False


class Responder:
    """Reads and answers in a thread of its own. Nothing is read that the server does not get as well."""

    def __init__(self, source: int, sink: int, answers: Mapping[str, bytes]) -> None:
        self._taken = Taken(source, sink)
        self._answers = answers
        self._conversation = Conversation()
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="first-answers", daemon=True)
        self._thread.start()

    def stop(self) -> Taken:
        """Answer no more. Returns what the server goes on with; it waits for nothing that the client does."""
        os.close(self._wake)
        self._thread.join()
        os.close(self._woken)
        return self._taken

    def _serve(self) -> None:
        taken = self._taken
        while not taken.is_over:
            poll = select.poll()
            poll.register(self._woken, select.POLLIN)  # its other end is closed to stop
            if len(taken.lines) < MAX_AHEAD:
                poll.register(taken.source, select.POLLIN)
            if taken.unsent:
                poll.register(taken.sink, select.POLLOUT)
            ready = dict(poll.poll())
            if self._woken in ready:
                return
            try:
                if taken.sink in ready:
                    taken.unsent = taken.unsent[os.write(taken.sink, taken.unsent[: select.PIPE_BUF]) :]
                if taken.source in ready:
                    self._read()
            except OSError:
                taken.is_over = True

    def _read(self) -> None:
        taken = self._taken
        data = os.read(taken.source, _CHUNK)
        head, *lines = data.split(b"\n")
        taken.begun.append(head)
        for line in lines:
            self._take(b"".join(taken.begun))
            taken.begun = [line]
        if not data:
            if last := b"".join(taken.begun):
                self._take(last)
            taken.begun = []
            taken.is_over = True

    def _take(self, line: bytes) -> None:
        self._taken.lines.append(line)
        try:
            answered = self._answer(json.loads(line.decode()))
        except (ValueError, RecursionError):
            return
        if answered is not None:
            number, result = answered
            self._taken.answered.append(answered)
            self._taken.unsent += b'{"jsonrpc":"2.0","id":' + number + b',"result":' + result + b"}\n"

    def _answer(self, message: Any) -> tuple[bytes, bytes] | None:
        """The id and the result, if the message is a request that the last start has answered."""
        if not _is_object(message) or message.get("jsonrpc") != "2.0" or message.keys() - _REQUEST:
            return None
        method, params, number = message.get("method", ""), message.get("params"), message.get("id")
        if not (params is None or _is_object(params)):
            return None
        key = self._conversation.take(str(method), params, "id" in message)
        if type(number) not in (int, str) or key not in self._answers:
            return None
        return encode_id(number), self._answers[key]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
