"""Which local image a name means."""

import pytest

from xnai_operator.api.images import image_id, missing

IMAGES = {
    "localhost/app:1": "local", "localhost/app:latest": "local latest", "docker.io/library/redis:7": "library",
    "docker.io/me/tool:latest": "user", "quay.io:5000/tool:latest": "registry", "quay.io/x@sha256:abc": "digest",
    "docker.io/library/app:1": "hidden", "a" * 64: "by id",
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
        pytest.param("quay.io/x:1@sha256:abc", "digest", id="the tag before a digest does not count"),
        pytest.param("quay.io/x@sha256:def", None, id="another digest"),
        pytest.param("a" * 64, "by id", id="id"),
        pytest.param("sha256:" + "a" * 64, "by id", id="id with its algorithm"),
        pytest.param("b" * 64, None, id="another id"),
        pytest.param("redis:8", None, id="another tag"),
        pytest.param("nobody", None, id="unknown"),
    ],
)
def test_a_name_is_resolved_as_podman_does(name: str, expected: str | None) -> None:
    assert image_id(IMAGES, name) == expected


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        pytest.param("localhost/app:1", "`podman build --tag localhost/app:1`", id="localhost has no registry"),
        pytest.param("redis:7", "as in `podman pull docker.io/redis:7`", id="short name"),
        pytest.param("quay.io/x@sha256:abc", "`podman pull quay.io/x@sha256:abc`", id="digest"),
        pytest.param("quay.io:5000/tool", "`podman pull quay.io:5000/tool`", id="registry with a port"),
        pytest.param("b" * 64, "`podman images --no-trunc` lists", id="id"),
        pytest.param("b" * 12, "an id has 64 digits", id="part of an id"),
    ],
)
def test_the_advice_fits_the_name(name: str, advice: str) -> None:
    assert advice in missing(name)
