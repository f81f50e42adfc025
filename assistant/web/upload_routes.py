"""The routes by which the owner, or a program of theirs, adds documents; visitors of a page have none of them."""

from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Security
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from assistant.errors import AssistantError
from assistant.owner import Failure
from assistant.web import shapes
from assistant.web.api import error_object, unexpected
from assistant.web.owner import streamed
from assistant.web.texts import texts_in
from assistant.web.uploads import Uploads
from index import Stopped
from index.errors import IndexingError

Name = Annotated[str, Query(min_length=1, max_length=1_000)]
Language = Annotated[str, Query(max_length=20)]
NOTHING = shapes.body("application/json")
"""Any JSON, which is not read: what is no JSON, a page of others could send unasked."""


def upload_routes(uploads: Uploads | None) -> APIRouter:
    """Return the routes under /api/uploads, which the guard opens to the owner and to keys; with None to nobody."""
    routes = APIRouter(dependencies=[Security(shapes.KEY)])

    def allowed() -> Uploads:
        if uploads is None:
            raise HTTPException(403, "Documents cannot be added here. ASSISTANT_UPLOADS=owner allows it.")
        return uploads

    @routes.get("/api/uploads", responses=shapes.told(shapes.Uploads) | shapes.UPLOADED)
    def listed(uploads: Annotated[Uploads, Depends(allowed)], language: Language = "en") -> dict[str, Any]:
        """List the files that were added, each with its document or the reason why it has none."""
        reason = texts_in(language).reason
        files = [replace(file, reason=file.reason and reason(file.reason)) for file in uploads.list()]
        return {
            "files": [asdict(file) for file in files],
            "limits": asdict(uploads.limits),
            "indexing": uploads.indexing,
        }

    @routes.post(
        "/api/uploads",
        status_code=201,
        openapi_extra=shapes.body("application/octet-stream", type="string", format="binary"),
        responses=shapes.told(shapes.Kept, 201) | shapes.UPLOADED | shapes.NOT_KEPT,
    )
    async def add(request: Request, name: Name, uploads: Annotated[Uploads, Depends(allowed)]) -> dict[str, str]:
        """Keep a file, the body as it is, and say under which name. It is indexed by the next sync."""
        try:
            return {"name": await uploads.keep(name, request.stream())}
        except ClientDisconnect:
            # Nobody reads this.
            raise HTTPException(400, "The upload broke off.") from None

    @routes.delete("/api/uploads/{name:path}", responses=shapes.UPLOADED | shapes.NO_FILE)
    def remove(name: str, uploads: Annotated[Uploads, Depends(allowed)]) -> None:
        """Delete a file that was added, and forget its document; after the syncs that are under way."""
        uploads.remove(name)

    @routes.post(
        "/api/uploads/sync",
        response_class=StreamingResponse,
        openapi_extra=NOTHING,
        responses=shapes.SYNCED | shapes.UPLOADED | shapes.NOT_JSON,
    )
    def sync(uploads: Annotated[Uploads, Depends(allowed)]) -> StreamingResponse:
        """Index what was added, and tell how far it is; it goes on without whoever asked."""
        uploads.sync()
        return streamed(uploads.follow(), _failure)

    @routes.get("/api/uploads/sync", response_class=StreamingResponse, responses=shapes.SYNCED | shapes.UPLOADED)
    def follow(uploads: Annotated[Uploads, Depends(allowed)]) -> StreamingResponse:
        """Tell how far the last sync is; nothing, before the first."""
        return streamed(uploads.follow(), _failure)

    @routes.post("/api/uploads/stop", openapi_extra=NOTHING, responses=shapes.UPLOADED | shapes.NOT_JSON)
    def stop(uploads: Annotated[Uploads, Depends(allowed)]) -> None:
        """Stop the sync at the next document's boundary; what is indexed stays."""
        uploads.stop()

    @routes.get("/manage", include_in_schema=False)
    def manage() -> RedirectResponse:
        """Lead to the page; on the way, the guard asks who comes from elsewhere for an API key."""
        return RedirectResponse("./")

    return routes


def _failure(error: BaseException) -> Failure:
    """Tell an error without the folders of this computer."""
    if isinstance(error, Stopped):
        return Failure.of(error)
    told = error_object(error) if isinstance(error, AssistantError | IndexingError) else unexpected()
    return Failure(told["error"]["type"], told["error"]["message"])
