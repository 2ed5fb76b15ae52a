"""Whose ids on the machine a pod's are."""

from dataclasses import replace

import pytest

from tests.unit.conftest import make_service, render
from xnai_operator.backends.podman import id_ranges
from xnai_operator.errors import BackendError
from xnai_operator.render.installation import Installation
from xnai_operator.render.pod import RenderedPod

MAPS = "0:20000:1024", "1500:21024:1", "65532:21025:1", "65534:21026:1"
OWNERS = [
    {"mountPath": "/own", "size": "1Mi"},
    {"mountPath": "/others", "size": "1Mi", "owner": 5, "group": 1500},
]


def pod(namespace: str, installation: Installation) -> RenderedPod:
    storage = {"tmpfs": OWNERS, "secrets": [{"name": "s", "mountPath": "/s"}]}
    security = {"userNamespace": namespace, "runAsUser": 65532, "runAsGroup": 1001}
    service = make_service(security=security, storage=storage)
    return render(service, installation, {("Secret", "s"): {"k": b"x"}})


@pytest.mark.parametrize(
    ("namespace", "annotation", "owners"),
    [
        pytest.param("Shared", None, {"/own": (65532, 1001), "/others": (5, 1500), "/s": (65532, 1001)}, id="Shared"),
        pytest.param(
            "KeepId", "keep-id:uid=65532,gid=1001", {"/own": (0, 0), "/others": (6, 1500), "/s": (0, 0)}, id="KeepId"
        ),
        pytest.param(
            "Auto",
            ",".join(["auto:size=1", *(f"uidmapping={m}" for m in MAPS), *(f"gidmapping={m}" for m in MAPS)]),
            {"/own": (21025, 21001), "/others": (20005, 21024), "/s": (21025, 21001)},
            id="Auto",
        ),
    ],
)
def test_mounts_are_made_with_the_ids_the_pod_has_outside(
    namespace: str, annotation: str | None, owners: dict[str, tuple[int, int]], installation: Installation
) -> None:
    rendered = pod(namespace, installation)
    placed = id_ranges.placed(rendered, 20000)
    found = {d.mount_path: (d.uid, d.gid) for d in placed.tmpfs} | {d.mount_path: (d.uid, d.gid) for d in placed.files}
    assert {path: found[path] for path in owners} == owners
    assert placed.document["metadata"].get("annotations", {}).get("io.podman.annotations.userns") == annotation
    labels = placed.document["metadata"]["labels"]
    assert labels == rendered.document["metadata"]["labels"] | (
        {"xnai.dev/first-id": "20000"} if namespace == "Auto" else {}
    )


def test_a_range_is_the_same_again_and_never_one_with_an_id_that_is_taken() -> None:
    taken: set[int] = set()
    for _ in id_ranges.RANGES:
        begin = id_ranges.choose("default.redis", taken)
        assert begin == id_ranges.choose("default.redis", taken)
        assert not taken & set(range(begin, begin + id_ranges.SIZE))
        taken.add(begin + 1001)
    with pytest.raises(BackendError, match="ranges of ids for userNamespace Auto are in use"):
        id_ranges.choose("default.redis", taken)


def test_a_pod_keeps_the_range_of_its_volumes() -> None:
    first = id_ranges.choose("default.redis", ())
    second = id_ranges.choose("default.redis", {first})
    assert id_ranges.choose("default.redis", (), own={0, second + 1001}) == second
    assert id_ranges.choose("default.redis", {second}, own={0, second + 1001}) == first


def test_owners_past_the_room_of_a_range_are_refused(installation: Installation) -> None:
    rendered = pod("Auto", installation)
    (first, *_) = rendered.tmpfs
    many = tuple(replace(first, uid=2000 + number) for number in range(id_ranges.SIZE - id_ranges.LOW))
    with pytest.raises(BackendError, match="has room for 256 owners"):
        id_ranges.placed(replace(rendered, tmpfs=many), 20000)
