"""The messages of admission."""

from dataclasses import replace

import pytest

from xnai_operator.api.quantity import MI
from xnai_operator.memory import explain
from xnai_operator.memory.demand import Demand, Source

DEMAND = Demand("a", 0, "1", request=90 * MI, tmpfs=30 * MI)
MODEL = replace(DEMAND, mapped=40 * MI, model_file="m.gguf")


@pytest.mark.parametrize(
    ("demand", "size", "on_disk", "message"),
    [
        pytest.param(DEMAND, 120, False, "needs 120 MiB (90 MiB requested + 30 MiB tmpfs)", id="request and tmpfs"),
        pytest.param(
            replace(DEMAND, source=Source.USE), 120, False, "needs 120 MiB (90 MiB used at most + 30 MiB tmpfs)",
            id="use",
        ),
        pytest.param(
            replace(DEMAND, files=2 * MI), 122, False,
            "needs 122 MiB (90 MiB requested + 30 MiB tmpfs + 2 MiB config and secrets)", id="files",
        ),
        pytest.param(
            replace(DEMAND, files=MI - 1), 121, False, "needs 121 MiB (90 MiB requested + 30 MiB tmpfs)",
            id="files of less than a MiB",
        ),
        pytest.param(
            MODEL, 160, False, "needs 160 MiB (90 MiB requested + 30 MiB tmpfs + 40 MiB weights)", id="weights"
        ),
        pytest.param(
            MODEL, 120, False,
            "needs 120 MiB (90 MiB requested + 30 MiB tmpfs + 40 MiB weights, already in memory)",
            id="weights that another service has mapped",
        ),
        pytest.param(
            replace(DEMAND, movable_to_disk=20 * MI), 120, True,
            "needs 120 MiB (90 MiB requested + 30 MiB tmpfs); 20 MiB of its tmpfs are on disk instead", id="on disk",
        ),
    ],
)  # fmt: skip
def test_a_service_that_fits(demand: Demand, size: int, on_disk: bool, message: str) -> None:
    assert explain.fits(demand, size * MI, on_disk=on_disk) == message


@pytest.mark.parametrize(
    ("demand", "end"),
    [
        pytest.param(DEMAND, ": 50 MiB short; lower its request or tmpfs, or stop another service", id="request"),
        pytest.param(
            replace(DEMAND, source=Source.USE), ": 50 MiB short; set its request, or stop another service", id="use"
        ),
        pytest.param(
            replace(DEMAND, movable_to_disk=20 * MI),
            ": 50 MiB short even with 20 MiB of its tmpfs on disk; lower its request or tmpfs, or stop another service",
            id="on disk",
        ),
    ],
)
def test_a_service_that_does_not_fit(demand: Demand, end: str) -> None:
    message = explain.insufficient_memory(demand, 120 * MI, 50 * MI)
    assert message == explain.fits(demand, 120 * MI, on_disk=False) + end


def test_a_service_whose_gpu_is_in_use() -> None:
    assert explain.device_in_use("/dev/dri/renderD128", "default.b") == (
        "/dev/dri/renderD128 is in use by default.b, which is more important or had it first; "
        "use device: cpu, or stop default.b"
    )


@pytest.mark.parametrize(
    ("taken", "lines"),
    [
        pytest.param({}, ["80 MiB are for services"], id="nothing taken"),
        pytest.param(
            {"b": 10, "c": 20, "a": 10},
            ["80 MiB are for services; these come first:", "- 20 MiB c", "- 10 MiB a", "- 10 MiB b"],
            id="the largest first, then by key",
        ),
    ],
)
def test_the_account_names_who_has_the_memory(taken: dict[str, int], lines: list[str]) -> None:
    account = explain.account(80 * MI, {key: size * MI for key, size in taken.items()})
    assert account.splitlines() == lines


def test_a_long_account_sums_up_the_small_ones() -> None:
    lines = explain.account(80 * MI, {f"s{i:02}": i * MI for i in range(1, 13)}).splitlines()
    assert (len(lines), lines[1], lines[-1]) == (10, "- 12 MiB s12", "- 10 MiB 4 others")
