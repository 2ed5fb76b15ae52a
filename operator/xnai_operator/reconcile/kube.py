"""The engine's reads and writes over the official asyncio client, as plain JSON: its models are not needed."""

import json
from typing import Any

from kubernetes.aio import client, config

from xnai_operator.api.types import GROUP, VERSION

_CUSTOM = f"/apis/{GROUP}/{VERSION}"
_PLURALS = {"XnaiService": "xnaiservices", "TmpfsPolicy": "tmpfspolicies"}
_READ = {kind: f"{_CUSTOM}/{plural}" for kind, plural in _PLURALS.items()} | {
    "Secret": "/api/v1/secrets",
    "ConfigMap": "/api/v1/configmaps",
}


class KubeApi:
    """`reconcile.writer.Api` on a real API server."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self._client = api_client

    @classmethod
    async def connect(cls) -> "KubeApi":
        """From $KUBECONFIG (or the service account inside a cluster)."""
        await config.load_config()  # type: ignore[no-untyped-call]
        return cls(client.ApiClient())

    async def _request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        answer = await self._client.call_api(
            method,
            self._client.configuration.host + path,
            header_params={"Content-Type": content_type, "Accept": "application/json"},
            body=body,
            _request_timeout=30,
        )
        data: bytes = await answer.read()  # type: ignore[no-untyped-call]
        if answer.status >= 400:
            raise client.ApiException(status=answer.status, reason=answer.reason, body=data.decode())
        return json.loads(data)

    async def list_all(self) -> list[dict[str, Any]]:
        """Every object the engine reads, in all namespaces. Raises ApiException when the server refuses."""
        found: list[dict[str, Any]] = []
        for kind, path in _READ.items():
            answer = await self._request("GET", path)
            found += [{**item, "kind": kind} for item in answer["items"]]
        return found

    async def patch_status(self, kind: str, namespace: str, name: str, status: dict[str, Any]) -> dict[str, Any] | None:
        """See Api."""
        path = f"{_CUSTOM}/namespaces/{namespace}/{_PLURALS[kind]}/{name}/status"
        try:
            patched: dict[str, Any] = await self._request(
                "PATCH", path, {"status": status}, "application/merge-patch+json"
            )
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise
        return patched

    async def create_event(self, namespace: str, event: dict[str, Any]) -> None:
        """See Api."""
        await self._request("POST", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", event)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]
