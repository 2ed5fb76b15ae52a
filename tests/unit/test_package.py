"""The wheel holds what `xnai up` applies, so that it works without a clone."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("crds", "manifests")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds the wheel, and is not on PATH")
def test_the_wheel_holds_the_definitions_and_the_manifests(tmp_path: Path) -> None:
    subprocess.run(["uv", "build", "--quiet", "--wheel", f"--out-dir={tmp_path}", str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    files = [file for folder in SHIPPED for file in (ROOT / folder).rglob("*") if file.is_file()]
    wanted = {f"xnai_operator/{file.relative_to(ROOT)}" for file in files}
    assert wanted - packed == set()
