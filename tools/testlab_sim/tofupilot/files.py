"""Files: announced, PUT to a signed URL that ends after 60 s, finalized, and fetched through another."""

from __future__ import annotations

import mimetypes
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.detail import run_number_of_file
from testlab_sim.production.records import Attachment, Run
from testlab_sim.tofupilot.service import Refusal, api, body_of, found, text_in
from testlab_sim.world import World

_STORAGE = "/storage/{id}"
MAX_BYTES = 10 * 1024 * 1024


def announce(world: World, name: str, owner: Run | None = None) -> Response:
    """Announce a file of v2: its id and the URL to PUT it to."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    upload = world.production.uploads.announce(name, kind, owner=owner)
    return JSONResponse({"id": upload.file.id, "upload_url": link(world, "PUT", upload.file.id)})


def link(world: World, verb: str, file_id: str) -> str:
    """An absolute URL to PUT or GET the file, without a token, for 60 s."""
    base = f"{world.base_url}/tofupilot/storage"
    return world.production.uploads.link(base, verb, file_id, world.clock.now())


def received(world: World, uuid: str) -> Attachment:
    """The uploaded file; 404 while nothing was PUT."""
    upload = found(world.production.uploads.by_id.get(uuid.lower()), f"Upload with ID {uuid}")
    if not upload.received:
        raise Refusal(404, f"Upload with ID {uuid} has no content")
    return upload.file


@api.route("POST", "/api/v2/attachments")
async def initialize_attachment(request: Request, world: World) -> Response:
    """Announce a file; answers with the URL to PUT it to."""
    return announce(world, text_in(await body_of(request), "name"))


@api.route("POST", "/api/v2/attachments/{id}/finalize")
async def finalize_attachment(request: Request, world: World) -> Response:
    """Tell that the file has been PUT; answers with a URL to read it."""
    file = received(world, request.path_params["id"])
    return JSONResponse({"url": link(world, "GET", file.id)})


@api.route("PUT", _STORAGE, guarded=False)
async def put_file(request: Request, world: World) -> Response:
    """Storage: receive a file."""
    if refusal := _refusal(request, world, "PUT"):
        return refusal
    upload = world.production.uploads.by_id.get(request.path_params["id"])
    if upload is None:
        return _storage_error("NoSuchKey", "The specified key does not exist.", 404)
    data, file = await request.body(), upload.file
    if len(data) > MAX_BYTES or (upload.size and len(data) != upload.size):
        return _storage_error("SignatureDoesNotMatch", "Content-Length differs from the granted size")
    file.data = data
    file.content_type = request.headers.get("content-type") or file.content_type
    upload.received = True
    if upload.owner is not None:
        upload.owner.attach(file)
    return Response(status_code=200)


@api.route("GET", _STORAGE, guarded=False)
async def get_file(request: Request, world: World) -> Response:
    """Storage: send a file."""
    if refusal := _refusal(request, world, "GET"):
        return refusal
    file = _find_file(world, request.path_params["id"])
    if file is None:
        return _storage_error("NoSuchKey", "The specified key does not exist.", 404)
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return Response(file.data, media_type=file.content_type, headers=headers)


def _find_file(world: World, file_id: str) -> Attachment | None:
    history = world.production
    upload = history.uploads.by_id.get(file_id)
    if upload is not None:
        return upload.file if upload.received else None
    number = run_number_of_file(file_id)
    run = history.run_numbered(number) if number else None
    return next((a for a in history.attachments(run) if a.id == file_id), None) if run else None


def _refusal(request: Request, world: World, verb: str) -> Response | None:
    query = request.query_params
    reason = world.production.uploads.refusal(
        verb, request.path_params["id"], query.get("expires", ""), query.get("signature", ""), world.clock.now()
    )
    if not reason:
        return None
    return _storage_error(reason, "Request has expired" if reason == "AccessDenied" else "Bad signature")


def _storage_error(code: str, message: str, status: int = 403) -> Response:
    """An object store's error, which is XML."""
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Response(text, status, media_type="application/xml")
