"""A model that a service names by url: what the service says while the file is not there."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.world import World
from xnai_operator.render.installation import Installation

MODEL = {"file": "a.gguf", "url": "http://127.0.0.1:1/a.gguf", "sha256": "0" * 64}


@pytest.fixture
def installation(installation: Installation, tmp_path: Path) -> Installation:
    return replace(installation, models_dir=str(tmp_path))


async def test_a_service_waits_for_its_model_and_says_why_it_does_not_come(world: World) -> None:
    world.apply("a", inference={"model": MODEL})
    await world.one_pass()
    assert world.condition("a") == ("False", "ModelFetching")
    async with asyncio.timeout(10):
        while world.condition("a") == ("False", "ModelFetching"):
            await asyncio.sleep(0)
            await world.one_pass()
    assert world.condition("a") == ("False", "ModelMissing")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"inference": {"model": MODEL}, "suspend": True}, id="suspended"),
        pytest.param({"inference": {"model": {"file": "a.gguf"}}}, id="without a url"),
    ],
)
async def test_no_model_is_fetched_for_a_service_that_is(spec: dict[str, Any], world: World, tmp_path: Path) -> None:
    world.apply("a", **spec)
    await world.settle()
    await asyncio.sleep(0)
    assert list(tmp_path.glob(".*.part")) == []
