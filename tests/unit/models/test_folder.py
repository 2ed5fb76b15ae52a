"""The models folder: headers are read once a file, and digests are computed in the background."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from tests.unit.models.gguf_files import ARCHITECTURE, WEIGHTS, file, kind_of
from xnai_operator.memory.gguf_header import ModelFile, ModelHeader
from xnai_operator.models import digest
from xnai_operator.models.folder import ModelFolder

MODEL = file([ARCHITECTURE], WEIGHTS) + b"\0" * 4096
OTHER = file([ARCHITECTURE], WEIGHTS) + b"\1" * 4096
DEADLINE = 10.0


class Scene:
    """A folder with one model, `m.gguf`, and the folder's reader."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "m.gguf"
        self.path.write_bytes(MODEL)
        self.path.chmod(0o644)
        self.changed = threading.Event()
        self.models = ModelFolder(directory, self.changed.set)

    def found(self) -> ModelFile:
        header = self.models.read()["m.gguf"]
        assert isinstance(header, ModelHeader)
        assert header.file is not None
        return header.file

    def verified(self) -> ModelFile:
        self.changed.clear()
        self.models.verify(["m.gguf"])
        assert self.changed.wait(DEADLINE)
        return self.found()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_digest_is_known_after_it_was_asked_for(scene: Scene) -> None:
    assert scene.found() == ModelFile(for_all_users=True, sha256=None)
    assert scene.verified().sha256 == sha256(MODEL)


def test_a_file_that_is_replaced_in_place_gets_a_new_digest(scene: Scene) -> None:
    scene.verified()
    before = scene.path.stat()
    new = scene.path.with_name("new")
    new.write_bytes(OTHER)
    new.chmod(0o644)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time: another inode
    new.replace(scene.path)
    assert scene.found().sha256 is None
    assert scene.verified().sha256 == sha256(OTHER)


def test_a_later_start_knows_the_digest_without_reading_the_file(scene: Scene) -> None:
    scene.verified()
    header = ModelFolder(scene.path.parent).read()["m.gguf"]
    assert isinstance(header, ModelHeader)
    assert header.file == ModelFile(for_all_users=True, sha256=sha256(MODEL))


def test_a_stored_digest_of_another_file_is_not_taken(scene: Scene) -> None:
    scene.verified()
    scene.path.write_bytes(OTHER + b"\1")
    header = ModelFolder(scene.path.parent).read()["m.gguf"]
    assert isinstance(header, ModelHeader)
    assert header.file == ModelFile(for_all_users=True, sha256=None)


def test_a_digest_that_cannot_be_stored_is_known_all_the_same(scene: Scene) -> None:
    (scene.path.parent / ".m.gguf.sha256").mkdir()
    assert scene.verified().sha256 == sha256(MODEL)


def test_a_digest_of_a_missing_file_is_not_asked_for(scene: Scene) -> None:
    scene.path.unlink()
    scene.models.verify(["m.gguf"])
    assert scene.models.read() == {}


def test_a_changed_mode_is_noticed(scene: Scene) -> None:
    scene.found()
    scene.path.chmod(0o600)
    assert scene.found().for_all_users is False


def test_a_file_that_is_no_model_is_read_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.path.write_bytes(file([kind_of("adapter"), ARCHITECTURE], WEIGHTS))
    first = scene.models.read()
    monkeypatch.setattr("xnai_operator.models.folder.read_file", lambda _: pytest.fail("read again"))
    assert scene.models.read() == first


def test_a_digest_that_is_not_text_is_not_taken(scene: Scene) -> None:
    (scene.path.parent / ".m.gguf.sha256").write_bytes(b"\xff\xfe")
    assert digest.stored(scene.path, digest.identity(scene.path)) is None
