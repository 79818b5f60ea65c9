"""Files on their way in and out: uploads with a grant that ends, and signed links of the same length."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

from testlab_sim.production.ids import mint
from testlab_sim.production.records import Attachment, Run

GRANT_SECONDS = 60.0
_SECRET = b"simulated lab"


@dataclass(slots=True)
class Upload:
    """A file announced, and whether it was PUT. `size` binds the grant to that many bytes (0: any)."""

    file: Attachment
    size: int = 0
    owner: Run | None = None
    received: bool = False


@dataclass
class Uploads:
    """Every upload by id, and the signatures of links."""

    by_id: dict[str, Upload] = field(default_factory=dict[str, Upload])
    _announced: int = 0

    def announce(self, name: str, content_type: str, size: int = 0, owner: Run | None = None) -> Upload:
        """A new upload, still empty."""
        self._announced += 1
        file = Attachment(mint("file", self._announced), name, content_type, b"")
        upload = self.by_id[file.id] = Upload(file, size, owner)
        return upload

    def keep(self, name: str, content_type: str, data: bytes) -> Attachment:
        """A file that is there already, as an attachment."""
        upload = self.announce(name, content_type)
        upload.file.data, upload.received = data, True
        return upload.file

    def drop(self, files: list[Attachment]) -> None:
        """Forget files: links to them lead nowhere."""
        for file in files:
            self.by_id.pop(file.id, None)

    def link(self, base: str, verb: str, file_id: str, now: float) -> str:
        """A link to PUT or GET the file during `GRANT_SECONDS` from `now`, without any other credential."""
        expires = int(now + GRANT_SECONDS)
        return f"{base}/{file_id}?expires={expires}&signature={_sign(verb, file_id, expires)}"

    def refusal(self, verb: str, file_id: str, expires: str, signature: str, now: float) -> str:
        """Why the link is not good (any more), or an empty string."""
        if not expires.isdigit() or signature != _sign(verb, file_id, int(expires)):
            return "SignatureDoesNotMatch"
        return "" if now <= int(expires) else "AccessDenied"


def _sign(verb: str, file_id: str, expires: int) -> str:
    return blake2b(f"{verb}{file_id}{expires}".encode(), key=_SECRET, digest_size=16).hexdigest()
