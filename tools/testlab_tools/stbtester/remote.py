"""Stb-tester's manual remote control: `POST /api/v2/nodes/{id}/press`, as the vendor's stbt-rig 33.1.0 sends it."""

from __future__ import annotations

import re
from urllib.parse import quote

from testlab_tools.capabilities import RemoteControl
from testlab_tools.errors import AnswerLost, BadInput, ServiceDown
from testlab_tools.stbtester.nodes import Nodes

KEY = re.compile(r"[A-Za-z0-9_]{1,60}")


class Remote(Nodes, RemoteControl):
    """Presses keys."""

    async def press_key(self, node_id: str, key: str, remote_control: str, test_pack_revision: str) -> None:
        if not KEY.fullmatch(key):
            raise BadInput("The key's name is not one", "", "Keys have names such as KEY_OK and KEY_MENU.")
        body = {"key": key, "remote_control": remote_control, "test_pack_revision": test_pack_revision}
        filled = {name: value for name, value in body.items() if value}
        try:
            reply = await self.client.send("POST", f"/api/v2/nodes/{quote(node_id, safe='')}/press", body=filled)
        except AnswerLost as lost:
            raise AnswerLost(
                self.name,
                f"The answer of {self.name} was lost",
                "The key may or may not have been pressed",
                "grab_screenshot shows what the device did.",
            ) from lost
        if reply.status == 409:
            raise await self.conflict([node_id])
        if reply.status == 400:
            raise BadInput(f"{self.name} knows no such key or remote control", "", "Keys are named KEY_OK, KEY_MENU, …")
        if reply.status == 503:
            raise ServiceDown(
                self.name, f"Node {self.handle(node_id)} is offline", "", "list_nodes(available=true) shows others."
            )
        self.checked(reply, "node", "list_nodes shows all nodes.")
