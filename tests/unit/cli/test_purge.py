"""`xnai purge`: what it finds, what it asks, what it deletes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from xnai_operator import wiring
from xnai_operator.cli import purge
from xnai_operator.cli.purge import Item, PurgeError
from xnai_operator.config import Config
from xnai_operator.render import names


class FakePodman:
    """Lists what it is given. `refuse`: names it does not delete."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {"pod": [], "volume": [], "network": [], "images": []}
        self.refuse: set[str] = set()
        self.ran: list[tuple[str, ...]] = []

    def __call__(self, *arguments: str) -> str:
        if "--format" in arguments:
            return json.dumps(self.lists[arguments[0]])
        if arguments[:2] == ("unshare", "du"):
            return "".join(f"4096\t{path}\n" for path in arguments[4:])
        if arguments[-1] in self.refuse:
            raise PurgeError("it is in use")
        self.ran.append(arguments)
        return ""

    @property
    def deleted(self) -> list[str]:
        return [arguments[-1] for arguments in self.ran]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in ("STATE", "DATA", "RUNTIME", "CACHE", "CONFIG"):
        key = f"XDG_{name}_{'DIR' if name == 'RUNTIME' else 'HOME'}"
        monkeypatch.setenv(key, str(tmp_path / name.lower()))
    monkeypatch.delenv("XNAI_INSTANCE", raising=False)
    return Config.read()


@pytest.fixture
def podman(config: Config) -> FakePodman:
    """One of everything, and a pod and a volume of another installation."""
    own = {names.LABEL_INSTALLATION: wiring.installation(config).installation}
    other = {names.LABEL_INSTALLATION: "other"}
    made = FakePodman()
    made.lists = {
        "pod": [
            {"Name": "default.redis", "Labels": own, "Networks": ["xnai-default"]},
            {"Name": "test.redis", "Labels": other, "Networks": ["xnai-test"]},
        ],
        "volume": [
            {"Name": "default.redis.data", "Labels": own, "Mountpoint": "/volumes/a"},
            {"Name": "default.redis.old", "Labels": {}, "Mountpoint": "/volumes/b"},
            {"Name": "test.redis.data", "Labels": other, "Mountpoint": "/volumes/c"},
        ],
        "network": [{"name": "xnai-default"}, {"name": "xnai-test"}],
        "images": [{"Names": ["localhost/xnai-redis:0.1.0"], "Size": 7 << 20}],
    }
    (config.data / "models").mkdir(parents=True)
    purge.cache().mkdir(parents=True)
    return made


def names_of(items: list[Item], kind: str) -> list[str]:
    return [item.name for item in items if item.kind == kind]


def test_what_another_installation_made_is_not_listed(config: Config, podman: FakePodman) -> None:
    items = purge.inventory(config, podman, images=True, caches=False)
    assert items == [
        Item("pod", "default.redis"),
        Item("volume", "default.redis.data", 4096),
        Item("volume", "default.redis.old", 4096),
        Item("network", "xnai-default"),
        Item("image", "localhost/xnai-redis:0.1.0", 7 << 20),
        Item("folder", str(config.state), 4096),
        Item("folder", str(config.data), 4096),
    ]


def test_caches_are_listed_when_asked_for(config: Config, podman: FakePodman) -> None:
    items = purge.inventory(config, podman, images=True, caches=True)
    assert names_of(items, "folder") == [str(config.state), str(config.data), str(purge.cache())]


def test_images_can_be_kept(config: Config, podman: FakePodman) -> None:
    assert names_of(purge.inventory(config, podman, images=False, caches=False), "image") == []


@pytest.mark.usefixtures("config")
def test_a_second_installation_leaves_what_is_shared(podman: FakePodman, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XNAI_INSTANCE", "test")
    items = purge.inventory(Config.read(), podman, images=True, caches=True)
    assert (names_of(items, "image"), names_of(items, "folder")) == ([], [])


def run(config: Config, podman: FakePodman, stopped: list[bool], *, yes: bool) -> None:
    purge.purge(config, lambda: stopped.append(True), yes=yes, images=True, caches=False, execute=podman)


def test_everything_is_stopped_and_deleted_pods_before_what_they_use(config: Config, podman: FakePodman) -> None:
    stopped: list[bool] = []
    run(config, podman, stopped, yes=True)
    assert stopped == [True]
    assert podman.deleted == [
        "default.redis", "default.redis.data", "default.redis.old", "xnai-default", "localhost/xnai-redis:0.1.0",
        str(config.state), str(config.data),
    ]  # fmt: skip


def test_the_unit_that_starts_the_server_is_deleted(config: Config, podman: FakePodman, tmp_path: Path) -> None:
    unit = tmp_path / "config/systemd/user/xnai.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    run(config, podman, [], yes=True)
    assert not unit.exists()


@dataclass(frozen=True, kw_only=True)
class User:
    """Whether a person is at a terminal, and what they answer."""

    terminal: bool
    answer: bool


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param(User(terminal=False, answer=True), (2, "say --yes"), id="no terminal"),
        pytest.param(User(terminal=True, answer=False), (1, "nothing was deleted"), id="answered no"),
    ],
)
def test_nothing_is_deleted_without_a_yes(
    user: User,
    expected: tuple[int, str],
    config: Config,
    podman: FakePodman,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, text = expected
    monkeypatch.setattr("sys.stdin.isatty", lambda: user.terminal, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda _: user.answer)
    stopped: list[bool] = []
    with pytest.raises(typer.Exit) as ended:
        run(config, podman, stopped, yes=False)
    told = capsys.readouterr()
    assert (ended.value.exit_code, text in told.out + told.err, stopped, podman.ran) == (code, True, [], [])


def test_what_cannot_be_deleted_is_told_and_the_rest_is_deleted(config: Config, podman: FakePodman) -> None:
    podman.refuse = {"default.redis.data"}
    with pytest.raises(PurgeError, match=r"volume default.redis.data is not deleted: it is in use"):
        run(config, podman, [], yes=True)
    assert podman.deleted[-1] == str(config.data)


def test_without_anything_it_says_so(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    run(config, FakePodman(), [], yes=False)
    assert "there is nothing to delete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "text"),
    [
        pytest.param(None, "podman is not installed", id="absent"),
        pytest.param("#!/bin/sh\necho no such pod >&2\nexit 125\n", "podman pod rm: no such pod", id="refuses"),
    ],
)
def test_what_podman_says_is_told(
    program: str | None, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if program is not None:
        (tmp_path / "podman").write_text(program)
        (tmp_path / "podman").chmod(0o755)
    with pytest.raises(PurgeError, match=text):
        purge.podman("pod", "rm", "a")
