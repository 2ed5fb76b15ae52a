#!/usr/bin/env python3
"""Everything `make up` and `make test` need, side by side where it can be: what is fetched or built, and for how long.

    hack/setup.py            environment, control plane, images, model
    hack/setup.py --tests    and the browser of the tests

What is there is not made again. The whole output of a stage is in the cache folder's logs/.
"""

import argparse
import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from xnai_operator.cli.output import err
from xnai_operator.cli.purge import cache
from xnai_operator.cli.up import Progress, progress

REPO = Path(__file__).resolve().parents[1]
HACK = REPO / "hack"
LAST_LINES = 15


@dataclass(frozen=True)
class Stage:
    """A command that starts when the stage `after` has ended well."""

    name: str
    command: tuple[str | Path, ...]
    after: str | None = None

    @property
    def log(self) -> Path:
        return cache() / "logs" / f"setup-{self.name.replace(' ', '-')}.log"


def stages(*, root: bool, tests: bool) -> list[Stage]:
    """Root works through the private environment, a normal user directly."""
    inside, after = ((HACK / "env", "run"), "environment") if root else ((), None)
    made = [Stage("environment", (HACK / "env", "sync"))] if root else []
    made += [
        Stage("control plane", (sys.executable, "-m", "xnai_controlplane")),
        Stage("images", (*inside, HACK / "images"), after),
        Stage("model", (*inside, HACK / "model"), after),
    ]
    if root and tests:
        made.append(Stage("browser", (HACK / "env", "browser"), after))
    return made


async def run(stage: Stage, before: "asyncio.Task[bool] | None", show: Progress) -> bool:
    """Run one stage to its end; whether it ended well. `before`: the stage it waits for."""
    stage.log.parent.mkdir(parents=True, exist_ok=True)
    stage.log.unlink(missing_ok=True)
    if before is not None:
        show.say(stage.name, "waits")
        if not await before:
            show.say(stage.name, f"not tried: {stage.after} failed")
            return False
    began, text = time.monotonic(), "looks what is there"
    with stage.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *stage.command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, cwd=REPO, limit=1 << 20,
        )  # fmt: skip
        assert process.stdout is not None
        ended = asyncio.create_task(process.wait())
        reading = asyncio.create_task(process.stdout.readline())
        while True:
            show.say(stage.name, text)
            done, _ = await asyncio.wait({reading}, timeout=1)  # the time that is shown goes on
            if not done:
                continue
            if not (line := reading.result()):
                break
            log.write(line)
            text = line.decode(errors="replace").strip()[:160] or text
            reading = asyncio.create_task(process.stdout.readline())
    well = await ended == 0
    show.say(stage.name, f"done in {time.monotonic() - began:.0f} s" if well else f"failed: {text}", done=well)
    return well


async def run_all(made: list[Stage], show: Progress) -> list[Stage]:
    """The stages that failed."""
    tasks: dict[str, asyncio.Task[bool]] = {}
    for stage in made:
        before = tasks[stage.after] if stage.after is not None else None
        tasks[stage.name] = asyncio.create_task(run(stage, before, show))
    await asyncio.gather(*tasks.values())
    return [stage for stage in made if not tasks[stage.name].result()]


def main() -> int:
    """0 when every stage ended well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", action="store_true", help="also what the tests need")
    made = stages(root=os.getuid() == 0, tests=parser.parse_args().tests)
    with progress() as show:
        failed = asyncio.run(run_all(made, show))
    for stage in failed:
        if stage.log.exists():
            err.print(f"\n{stage.name} failed; the end of {stage.log}:", markup=False)
            err.print("\n".join(stage.log.read_text(errors="replace").splitlines()[-LAST_LINES:]), markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; run the command again to go on")
