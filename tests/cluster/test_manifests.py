"""The shipped manifests are applied by kubectl as they are."""

from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import ROOT, Kubectl

MANIFESTS = ROOT / "manifests"


@pytest.mark.parametrize(
    "arguments", [pytest.param(("-k", str(MANIFESTS)), id="-k"), pytest.param(("-R", "-f", str(MANIFESTS)), id="-R -f")]
)
def test_kubectl_applies_the_folder_and_sees_no_difference_afterwards(
    arguments: tuple[str, ...], kubectl: Kubectl
) -> None:
    applied = kubectl("apply", *arguments)
    try:
        assert applied.returncode == 0, applied.stderr
        diff = kubectl("diff", *arguments)
        assert (diff.returncode, diff.stdout) == (0, ""), diff.stderr
    finally:
        kubectl("delete", "--ignore-not-found", "-k", str(MANIFESTS))


def test_the_kustomization_names_every_manifest() -> None:
    listed = yaml.safe_load((MANIFESTS / "Kustomization").read_text())["resources"]
    assert sorted(MANIFESTS / Path(name) for name in listed) == sorted(MANIFESTS.rglob("*.yaml"))
