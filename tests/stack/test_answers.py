"""The way of a question: documents in, a streamed answer with its sources out, in the API and in a browser."""

import json
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.stack.conftest import Stack

UI = "http://127.0.0.1:18001"
RAG = "http://127.0.0.1:18000"
DOCUMENTS = {
    "turbine.md": "# The Peregrine turbine\n\nThe Peregrine turbine at Lake Orsolo was built in 1987.",
    "garden.md": "# The moss garden\n\nThe moss garden is watered by rain collected from the library roof.",
    "lunch.md": "# Lunch\n\nThe cafeteria serves lentil soup on Thursdays.",
}


def request(url: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    made = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(made, timeout=120) as answer:
        return answer.status, json.loads(answer.read())


@pytest.fixture(scope="module")
def page(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The chat page in headless Chromium (the system's), with the three documents put in through it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(UI)
        folder = tmp_path_factory.mktemp("documents")
        files = []
        for name, text in DOCUMENTS.items():
            (folder / name).write_text(text)
            files.append(folder / name)
        page.set_input_files("#files", files)
        expect(page.locator("#note")).to_have_text(re.compile(r"(accepted.*){3}"), timeout=30_000)
        deadline = time.monotonic() + 60
        while request(f"{RAG}/readyz")[1]["documents"] < 3:
            assert time.monotonic() < deadline, "the documents were not indexed"
            time.sleep(0.2)
        yield page
        browser.close()


@pytest.mark.browser
def test_the_answer_cites_the_document_it_came_from(page: Page) -> None:
    page.fill("#question", "Where is the Peregrine turbine?")
    page.click("#send")
    turn = page.locator("article").last
    expect(turn).to_have_attribute("data-done", "true", timeout=120_000)
    assert turn.locator("ol li").first.locator("strong").text_content() == "turbine.md"
    assert len(turn.locator(".answer").text_content() or "") > 3


@pytest.mark.browser
def test_the_page_shows_every_service_ready(page: Page) -> None:
    expect(page.locator("#health li.ready")).to_have_count(4, timeout=30_000)


def test_sources_come_before_the_first_token(page: Page) -> None:
    data = json.dumps({"question": "What waters the moss garden?"}).encode()
    made = urllib.request.Request(f"{RAG}/stream", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(made, timeout=120) as answer:
        events = [line.decode().strip() for line in answer if line.startswith(b"event:")]
    assert (events[0], events[-1], "event: token" in events) == ("event: sources", "event: done", True)


def test_a_document_put_in_twice_is_one(page: Page) -> None:
    before = request(f"{RAG}/readyz")[1]["documents"]
    for _ in range(2):
        assert request(f"{RAG}/documents", {"text": DOCUMENTS["lunch.md"], "title": "again"})[0] == 202
    marker = "A marker document that is put in last."
    request(f"{RAG}/documents", {"text": marker + str(time.time()), "title": "marker"})
    deadline = time.monotonic() + 60
    while request(f"{RAG}/readyz")[1]["documents"] == before:
        assert time.monotonic() < deadline, "the marker was not indexed"
        time.sleep(0.2)
    assert request(f"{RAG}/readyz")[1]["documents"] == before + 1


def test_health_is_answered_while_the_model_works(page: Page) -> None:
    question = {"question": "Tell all you know about lentil soup", "max_tokens": 256}
    asking = threading.Thread(target=request, args=(f"{RAG}/query", question))
    asking.start()
    answers = 0
    while asking.is_alive():
        assert request(f"{RAG}/healthz")[0] == 200
        answers += 1
    asking.join()
    assert answers > 3


def test_clients_that_go_away_early_never_end_the_service(page: Page, stack: Stack) -> None:
    before = stack.containers()["rag-api"]
    chance = random.Random(1)
    for number in range(20):
        asked = json.dumps({"question": f"What waters the moss garden? {number}", "max_tokens": 256}).encode()
        made = urllib.request.Request(f"{RAG}/stream", asked, {"Content-Type": "application/json"})
        with urllib.request.urlopen(made, timeout=120) as answer:
            leave_at = time.monotonic() + chance.uniform(0.05, 1)
            while time.monotonic() < leave_at and answer.readline():
                pass
    answer = request(f"{RAG}/query", {"question": "When was the Peregrine turbine built?", "max_tokens": 8})[1]
    assert answer["generated"] is True
    shown = json.loads(stack.kubectl("get", "xs", "rag-api", "-o", "json").stdout)["status"]
    assert (stack.containers()["rag-api"], shown.get("restarts", 0)) == (before, 0)


def test_a_question_that_does_not_fit_is_told_in_tokens(page: Page) -> None:
    for _ in range(4):
        with pytest.raises(urllib.error.HTTPError) as refused:
            request(f"{RAG}/query", {"question": "\U00020000" * 2000})
        detail = json.loads(refused.value.read())["detail"]
        assert (refused.value.code, "the question is too long" in detail, "tokens" in detail) == (422, True, True)
    assert request(f"{RAG}/readyz")[1]["breakers"]["model"] == "closed"
