"""In a container of the inference image: asks the real RAG API and leaves early. Prints one JSON object.

python disconnects.py COUNT SEED PATH...
"""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
from typing import Any

import httpx

URL = "http://127.0.0.1:8000"
WORDS = ["turbine", "garden", "soup", "library", "lake", "roof", "water", "Thursday", "rain", "moss"]
START_SECONDS = 120


async def ready(process: "subprocess.Popen[bytes]", http: httpx.AsyncClient) -> bool:
    """Whether the service is Ready; waits for it. False when it ended."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if (await http.get("/readyz")).status_code == 200:
                return True
        assert time.monotonic() < deadline, "the RAG API is not Ready"
        await asyncio.sleep(0.1)
    return False


async def leave(http: httpx.AsyncClient, chance: random.Random, paths: list[str]) -> None:
    """Ask and go away 0.05 to 1 s later, as a browser that loads its page again."""
    words = chance.choice([5, 40, 250])
    asked = {"question": " ".join(chance.choices(WORDS, k=words)), "max_tokens": 256}
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(chance.uniform(0.05, 1)):
            await http.post(chance.choice(paths), json=asked)


async def ask(http: httpx.AsyncClient) -> dict[str, Any]:
    """A question that waits for its answer."""
    asked = {"question": "Who waters the moss?", "max_tokens": 8}
    answer: dict[str, Any] = (await http.post("/query", json=asked)).json()
    return answer


async def run(count: int, seed: int, paths: list[str]) -> dict[str, Any]:
    """`left`: how many left before the service ended, if it ended. `code`: what it ended with."""
    chance = random.Random(seed)
    process = subprocess.Popen([sys.executable, "-m", "xnai_services.rag_api"], stdout=sys.stderr)  # noqa: ASYNC220
    done: dict[str, Any] = {"left": 0, "answer": {}, "state": {}}
    async with httpx.AsyncClient(base_url=URL, timeout=60) as http:
        while done["left"] < count and await ready(process, http):
            await leave(http, chance, paths)
            done["left"] += 1
        if await ready(process, http):
            with contextlib.suppress(httpx.HTTPError):
                done["answer"] = await ask(http)
                done["state"] = (await http.get("/readyz")).json()
        # It is stopped while the model may be reading a question.
        await leave(http, chance, paths)
        process.terminate()
    return done | {"code": process.wait(30)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))))  # noqa: T201
