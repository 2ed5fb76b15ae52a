"""The engine's reads and writes over the official asyncio client, as plain JSON: its models are not needed."""

import json
import os
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from xnai_operator.api.kinds import ALL, BY_NAME, WATCHED
from xnai_operator.errors import ApiError


class KubeClient:
    """`reconcile.writer.Api` on a real API server."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self._client = api_client

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None) -> "KubeClient":
        """From the file, else from $KUBECONFIG (or the service account inside a cluster)."""
        settings = client.Configuration()
        # The library reads $KUBECONFIG once, when it is imported.
        if kubeconfig is None and "KUBECONFIG" in os.environ:
            kubeconfig = Path(os.environ["KUBECONFIG"])
        if kubeconfig is None:
            await config.load_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        return cls(client.ApiClient(settings))

    async def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request; the JSON of the answer. Raises ApiError."""
        try:
            answer = await self._client.call_api(
                method,
                self._client.configuration.host + path,
                header_params={"Content-Type": content_type, "Accept": "application/json"},
                body=body,
                _request_timeout=30,
            )
            data: bytes = await answer.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(0, f"the API server does not answer: {error}") from error
        if answer.status >= 400:
            message, conflicts = _status(data)
            raise ApiError(answer.status, message or f"{method} {path}: HTTP {answer.status}", conflicts)
        return json.loads(data)

    async def apply(self, body: dict[str, Any], *, force: bool = True) -> None:
        """Server-side apply of one object; with `force`, what others own is taken over. Raises ApiError when it is
        refused (409 with `conflicts` where others own fields), ValueError for a kind this client does not know."""
        kind = BY_NAME.get(body.get("kind", ""))
        if kind is None:
            known = ", ".join(kind.name for kind in ALL)
            raise ValueError(f"kind {body.get('kind')!r} is none of {known}; use kubectl apply")
        metadata = body["metadata"]
        namespace = metadata.setdefault("namespace", "default") if kind.namespaced else ""
        options = f"fieldManager=xnai&force={str(force).lower()}&fieldValidation=Strict"
        path = f"{kind.path(namespace, metadata['name'])}?{options}"
        await self.request("PATCH", path, body, "application/apply-patch+yaml")

    async def get(self, path: str) -> Any:
        """An object or a list; None when there is none."""
        try:
            return await self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list_all(self) -> list[dict[str, Any]]:
        """Every object the engine reads, in all namespaces. Raises ApiError."""
        found: list[dict[str, Any]] = []
        for kind in WATCHED:
            answer = await self.request("GET", kind.path())
            found += [{**item, "kind": kind.name} for item in answer["items"]]
        return found

    async def patch_status(self, kind: str, namespace: str, name: str, status: dict[str, Any]) -> dict[str, Any] | None:
        """See Api."""
        path = f"{BY_NAME[kind].path(namespace, name)}/status"
        try:
            patched: dict[str, Any] = await self.request(
                "PATCH", path, {"status": status}, "application/merge-patch+json"
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return patched

    async def create_event(self, namespace: str, event: dict[str, Any]) -> None:
        """See Api."""
        await self.request("POST", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", event)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]


def _status(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The words of a Status object, and the fields it names that other managers own."""
    try:
        body = json.loads(data)
    except ValueError:
        return data.decode(errors="replace"), ()
    if not isinstance(body, dict):
        return "", ()
    causes = (body.get("details") or {}).get("causes") or []
    conflicts = tuple(cause["field"] for cause in causes if cause.get("reason") == "FieldManagerConflict")
    return str(body.get("message", "")), conflicts
