"""Which local image a name means."""

import pytest

from xnai_operator.api.images import image_id

IMAGES = {
    "localhost/app:1": "local", "localhost/app:latest": "local latest", "docker.io/library/redis:7": "library",
    "docker.io/me/tool:latest": "user", "quay.io:5000/tool:latest": "registry", "quay.io/x@sha256:abc": "digest",
    "docker.io/library/app:1": "hidden",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("localhost/app:1", "local", id="full name"),
        pytest.param("localhost/app", "local latest", id="no tag means latest"),
        pytest.param("app:1", "local", id="localhost before docker.io"),
        pytest.param("redis:7", "library", id="library of docker.io"),
        pytest.param("me/tool", "user", id="user of docker.io"),
        pytest.param("quay.io:5000/tool", "registry", id="the colon of a port is no tag"),
        pytest.param("quay.io/x@sha256:abc", "digest", id="digest"),
        pytest.param("redis:8", None, id="another tag"),
        pytest.param("nobody", None, id="unknown"),
    ],
)
def test_a_name_is_resolved_as_podman_does(name: str, expected: str | None) -> None:
    assert image_id(IMAGES, name) == expected
