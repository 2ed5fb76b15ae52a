"""Which tmpfs mounts a service has: policies, precedence, conflicts, sizes by use."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import make_service
from tests.unit.tmpfs.policies import policy
from xnai_operator.api.conditions import Reason
from xnai_operator.api.quantity import MI
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.status import TmpfsMountStatus, XnaiServiceStatus
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.errors import SpecError
from xnai_operator.tmpfs.mounts import (
    PAGE,
    merged,
    merged_within,
    normalise_path,
    other_paths,
    policy_of,
    selects,
    size_of,
    whole_pages,
)

IMPLICIT = {"/dev/shm": "16Mi", "/run": "16Mi", "/tmp": "16Mi", "/var/tmp": "16Mi"}


def sizes(service: XnaiService, *policies: TmpfsPolicy) -> dict[str, str]:
    """Path -> size, without the implicit mounts."""
    mounts = {mount.mount_path: mount.size for mount in merged(service, policies)}
    return dict(mounts.items() - IMPLICIT.items())


def with_own(path: str = "/cache", size: str = "1Mi") -> XnaiService:
    return make_service(storage={"tmpfs": [{"mountPath": path, "size": size}]})


def with_use(service: XnaiService, mark: int) -> XnaiService:
    return replace(
        service,
        status=XnaiServiceStatus(
            tmpfs=[TmpfsMountStatus(mount_path="/cache", size_bytes=4 * MI, high_water_bytes=mark)]
        ),
    )


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        pytest.param("/a", "/a", id="plain"),
        pytest.param("/a/", "/a", id="trailing slash"),
        pytest.param("//a//b", "/a/b", id="double slashes"),
        pytest.param("/", "/", id="root"),
        pytest.param("/var/run", "/run", id="/var/run"),
        pytest.param("/var/run/redis", "/run/redis", id="below /var/run"),
        pytest.param("/var/runner", "/var/runner", id="not below /var/run"),
    ],
)
def test_a_path_has_one_spelling(path: str, normal: str) -> None:
    assert normalise_path(path) == normal


@pytest.mark.parametrize(
    ("size", "pages"),
    [
        pytest.param(1, 1, id="a byte"),
        pytest.param(PAGE, 1, id="a page"),
        pytest.param(PAGE + 1, 2, id="a byte more"),
    ],
)
def test_the_kernel_counts_in_whole_pages(size: int, pages: int) -> None:
    assert whole_pages(size) == size_of(TmpfsMount(mount_path="/a", size=str(size))) == pages * PAGE


@pytest.mark.parametrize(
    ("namespace", "match_labels", "applies"),
    [
        pytest.param("default", {}, True, id="no labels"),
        pytest.param("default", {"app": "redis"}, True, id="its label"),
        pytest.param("default", {"app": "other"}, False, id="another value"),
        pytest.param("default", {"app": "redis", "tier": "x"}, False, id="one of two labels"),
        pytest.param("other", {}, False, id="another namespace"),
    ],
)
def test_a_policy_applies_to_services_of_its_namespace_with_all_labels(
    namespace: str, match_labels: dict[str, str], applies: bool
) -> None:
    given = policy(namespace=namespace, selector={"matchLabels": match_labels})
    assert (selects(given, make_service()), "/cache" in sizes(make_service(), given)) == (applies, applies)


@pytest.mark.parametrize(
    ("service", "policies", "expected"),
    [
        pytest.param(make_service(), [], {}, id="none"),
        pytest.param(make_service(), [policy()], {"/cache": "4Mi"}, id="of a policy"),
        pytest.param(with_own(), [], {"/cache": "1Mi"}, id="its own"),
        pytest.param(with_own(), [policy(precedence=9)], {"/cache": "1Mi"}, id="its own over any policy"),
        pytest.param(with_own("/cache/"), [policy()], {"/cache": "1Mi"}, id="its own, spelled in another way"),
        pytest.param(
            make_service(),
            [policy("a", size="1Mi"), policy("b", size="2Mi", precedence=1)],
            {"/cache": "2Mi"},
            id="the higher precedence",
        ),
        pytest.param(
            make_service(),
            [policy("a", path="/a"), policy("b", path="/b", precedence=1)],
            {"/a": "4Mi", "/b": "4Mi"},
            id="the mounts of both",
        ),
        pytest.param(
            make_service(), [policy("a"), policy("b")], {"/cache": "4Mi"}, id="equal mounts of one precedence"
        ),
        pytest.param(
            with_own(),
            [policy("a", size="1Mi"), policy("b", size="2Mi")],
            {"/cache": "1Mi"},
            id="no conflict where the service decides",
        ),
        pytest.param(
            make_service(),
            [policy("a", size="1Mi"), policy("b", size="2Mi"), policy("c", size="3Mi", precedence=1)],
            {"/cache": "3Mi"},
            id="no conflict below a higher precedence",
        ),
    ],
)
def test_precedence(service: XnaiService, policies: list[TmpfsPolicy], expected: dict[str, str]) -> None:
    assert sizes(service, *policies) == expected
    assert sizes(service, *reversed(policies)) == expected


def test_two_policies_of_one_precedence_must_not_differ() -> None:
    with pytest.raises(SpecError) as raised:
        merged(make_service(), [policy("b", size="2Mi", precedence=3), policy("a", size="1Mi", precedence=3)])
    assert (raised.value.reason, raised.value.message) == (
        Reason.POLICY_CONFLICT,
        "TmpfsPolicies a and b both have precedence 3 and differ on /cache; give one a higher precedence, or set the "
        "mount in the service",
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, IMPLICIT, id="a read-only root"),
        pytest.param({"security": {"readOnlyRootFilesystem": False}}, {"/dev/shm": "16Mi"}, id="a writable root"),
        pytest.param(
            {"storage": {"tmpfs": [{"mountPath": "/tmp", "size": "1Mi"}]}},
            IMPLICIT | {"/tmp": "1Mi"},
            id="its own /tmp",
        ),
        pytest.param(
            {"storage": {"volumes": [{"name": "v", "mountPath": "/var/run/"}]}},
            {path: size for path, size in IMPLICIT.items() if path != "/run"},
            id="a volume on /run",
        ),
    ],
)
def test_the_mounts_that_podman_would_add_without_a_size_have_one(
    spec: dict[str, Any], expected: dict[str, str]
) -> None:
    mounts = merged(make_service(**spec), ())
    assert {mount.mount_path: mount.size for mount in mounts} == expected
    assert [mount.mount_path for mount in mounts] == sorted(expected)


@pytest.mark.parametrize(
    ("service", "policies", "name"),
    [
        pytest.param(make_service(), [policy("a")], "a", id="the only one"),
        pytest.param(make_service(), [policy("a"), policy("b", precedence=1)], "b", id="the higher precedence"),
        pytest.param(make_service(), [policy("a", path="/other")], None, id="none with the path"),
        pytest.param(make_service(), [policy("a", path="/cache/")], "a", id="spelled in another way"),
        pytest.param(with_own("/cache/"), [policy("a")], None, id="a mount of the service itself"),
    ],
)
def test_the_policy_of_a_mount(service: XnaiService, policies: list[TmpfsPolicy], name: str | None) -> None:
    found = policy_of(service, "/cache", policies)
    assert (None if found is None else found.name) == name


def test_the_paths_that_are_not_tmpfs() -> None:
    storage = {
        "tmpfs": [{"mountPath": "/t", "size": "1Mi"}],
        "volumes": [{"name": "v", "mountPath": "/v"}],
        "config": [{"name": "c", "mountPath": "/c"}],
        "secrets": [{"name": "s", "mountPath": "/s"}],
        "hostPaths": [{"path": "/srv", "mountPath": "/h"}],
    }
    assert other_paths(make_service(storage=storage)) == ["/v", "/c", "/s", "/h"]


@pytest.mark.parametrize(
    ("mode", "mark", "size"),
    [
        pytest.param("Off", 6 * MI, "4Mi", id="off"),
        pytest.param("Recommend", 6 * MI, "4Mi", id="recommend"),
        pytest.param("Apply", 6 * MI, str(9 * MI), id="apply"),
        pytest.param("Apply", 0, "4Mi", id="apply before the first use"),
    ],
)
def test_only_apply_sizes_a_mount_by_its_use(mode: str, mark: int, size: str) -> None:
    assert sizes(with_use(make_service(), mark), policy(sizing={"mode": mode}))["/cache"] == size


def test_apply_leaves_a_mount_that_has_no_mark() -> None:
    assert sizes(make_service(), policy(sizing={"mode": "Apply"}))["/cache"] == "4Mi"


def test_a_mount_of_the_service_itself_is_never_sized_by_a_policy() -> None:
    assert sizes(with_use(with_own(), 6 * MI), policy(sizing={"mode": "Apply"}))["/cache"] == "1Mi"


@pytest.mark.parametrize(
    ("limit", "size"),
    [pytest.param(9 * MI, str(9 * MI), id="fits"), pytest.param(9 * MI - 1, "4Mi", id="does not fit")],
)
def test_sizes_by_use_apply_only_where_they_fit(limit: int, size: str) -> None:
    def fits(mounts: list[TmpfsMount]) -> bool:
        return all(size_of(mount) <= limit for mount in mounts if mount.mount_path == "/cache")

    mounts = merged_within(with_use(make_service(), 6 * MI), [policy(sizing={"mode": "Apply"})], fits)
    assert next(mount.size for mount in mounts if mount.mount_path == "/cache") == size


names = st.sampled_from(["a", "b", "c"])
policies = st.lists(
    st.builds(
        lambda name, size, path, precedence: policy(name, size=size, path=path, precedence=precedence),
        names, st.sampled_from(["1Mi", "2Mi"]), st.sampled_from(["/cache", "/cache/", "/x"]), st.integers(0, 2),
    ),
    unique_by=lambda p: p.name,
    max_size=3,
)  # fmt: skip


@given(policies, st.randoms())
def test_the_order_of_the_policies_does_not_matter(given: list[TmpfsPolicy], random: Any) -> None:
    def outcome(policies: list[TmpfsPolicy]) -> Any:
        try:
            return merged(make_service(), policies)
        except SpecError as error:
            return error.message

    shuffled = list(given)
    random.shuffle(shuffled)
    assert outcome(shuffled) == outcome(given)


@given(policies)
def test_the_policy_of_a_merged_mount_has_its_size(given: list[TmpfsPolicy]) -> None:
    try:
        mounts = merged(make_service(), given)
    except SpecError:
        return
    for mount in mounts:
        holder = policy_of(make_service(), mount.mount_path, given)
        size = IMPLICIT.get(mount.mount_path) if holder is None else holder.spec.mounts[0].size
        assert mount.size == size
