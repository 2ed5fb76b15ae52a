"""What the crawler fetches, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from xnai_services import crawler
from xnai_services.crawler import Crawler, RefusedError, refuse_private


class FakeRedis:
    def __init__(self) -> None:
        self.entries: list[dict[str, str]] = []

    async def xadd(self, stream: str, entry: dict[str, str], **_: Any) -> str:
        self.entries.append(entry)
        return "1-0"


Answers = dict[str, httpx.Response]
HTML = {"content-type": "text/html; charset=utf-8"}


def page(*links: str) -> httpx.Response:
    return httpx.Response(
        200, headers=HTML, text="".join(f'<a href="{link}">l</a>' for link in links) or "<p>words</p>"
    )


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], tuple[Crawler, list[str], FakeRedis]]:
    """A crawler on a site of canned answers; what it asked for; what it announced."""
    monkeypatch.setenv("XNAI_CRAWLER_ALLOW_PRIVATE", "true")
    monkeypatch.setattr(crawler, "DELAY_SECONDS", 0.0)

    def made(answers: Answers) -> tuple[Crawler, list[str], FakeRedis]:
        asked: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return answers.get(request.url.path, httpx.Response(404))

        redis, inbox = FakeRedis(), tmp_path / "inbox"
        inbox.mkdir()
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        return Crawler(redis, client, tmp_path, inbox), asked, redis  # type: ignore[arg-type]

    return made


async def test_a_page_is_written_whole_and_announced(make: Any, tmp_path: Path) -> None:
    crawl, _, redis = make({"/a": page()})
    await crawl.handle({"url": "http://h/a"})
    document = json.loads((tmp_path / redis.entries[0]["file"]).read_text())
    assert (document["url"], document["type"], document["text"]) == ("http://h/a", "text/html", "<p>words</p>")
    assert list(tmp_path.glob(".*.json")) == []


@pytest.mark.parametrize(
    ("depth", "pages"),
    [
        pytest.param("0", ["/a"], id="depth 0"),
        pytest.param("1", ["/a", "/b"], id="depth 1"),
        pytest.param("2", ["/a", "/b", "/c"], id="depth 2"),
        pytest.param("99", ["/a", "/b", "/c", "/d"], id="deeper than 3"),
    ],
)
async def test_links_are_followed_to_the_depth_on_the_same_host(depth: str, pages: list[str], make: Any) -> None:
    site = {"/a": page("/b", "http://other/x", "/a#part"), "/b": page("/c"), "/c": page("/d"), "/d": page("/e")}
    crawl, asked, _ = make(site)
    await crawl.handle({"url": "http://h/a", "depth": depth})
    assert [path for path in asked if path != "/robots.txt"] == pages


@pytest.mark.parametrize(
    ("robots", "refused"),
    [
        pytest.param(httpx.Response(200, text="User-agent: *\nDisallow: /a"), True, id="all are disallowed"),
        pytest.param(
            httpx.Response(200, text="User-agent: xnai-crawler\nDisallow: /"), True, id="this crawler is disallowed"
        ),
        pytest.param(httpx.Response(200, text="User-agent: *\nDisallow: /b"), False, id="another path is disallowed"),
        pytest.param(httpx.Response(404), False, id="no robots.txt"),
        pytest.param(httpx.Response(500), True, id="the server fails"),
        pytest.param(httpx.Response(403), True, id="robots.txt is forbidden"),
    ],
)
async def test_robots_txt_is_respected(robots: httpx.Response, refused: bool, make: Any) -> None:
    crawl, asked, _ = make({"/robots.txt": robots, "/a": page()})
    if refused:
        with pytest.raises(RefusedError, match=r"robots\.txt of h forbids /a"):
            await crawl.handle({"url": "http://h/a"})
    else:
        await crawl.handle({"url": "http://h/a"})
    assert ("/a" in asked) == (not refused)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param({"url": "ftp://h/a"}, "no http address", id="ftp"),
        pytest.param({"url": "http:///a"}, "no http address", id="no host"),
        pytest.param({"path": "../../etc"}, "leaves the inbox", id="a path outside"),
        pytest.param({}, "needs url or path", id="empty"),
        pytest.param({"url": "http://h/image"}, "is image/png, not text", id="an image"),
        pytest.param({"url": "http://h/big"}, "larger than 5 MiB", id="too large"),
        pytest.param({"url": "http://h/loop"}, "more than 5 redirects", id="a loop of redirects"),
    ],
)
async def test_what_is_refused(entry: dict[str, str], message: str, make: Any) -> None:
    crawl, _, redis = make(
        {
            "/image": httpx.Response(200, headers={"content-type": "image/png"}),
            "/big": httpx.Response(200, headers={"content-type": "text/plain"}, content=b"x" * ((5 << 20) + 1)),
            "/loop": httpx.Response(302, headers={"location": "/loop"}),
        }
    )
    with pytest.raises(RefusedError, match=message):
        await crawl.handle(entry)
    assert redis.entries == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "::1", "192.168.1.1"])
async def test_addresses_that_are_not_public_are_refused(host: str) -> None:
    with pytest.raises(RefusedError, match="not a public address"):
        await refuse_private(host)


async def test_a_redirect_to_a_private_address_is_refused_too(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def public_only(host: str) -> None:
        if host == "10.0.0.1":
            raise RefusedError("10.0.0.1 is not a public address")

    monkeypatch.setattr(crawler, "refuse_private", public_only)
    crawl, asked, _ = make({"/a": httpx.Response(302, headers={"location": "http://10.0.0.1/b"})})
    with pytest.raises(RefusedError, match="not a public address"):
        await crawl.handle({"url": "http://h/a"})
    assert "/b" not in asked


async def test_files_of_the_inbox_are_taken(make: Any, tmp_path: Path) -> None:
    crawl, _, redis = make({})
    (tmp_path / "inbox" / "sub").mkdir()
    for name in ("a.md", "sub/b.txt", "c.html", "d.png"):
        (tmp_path / "inbox" / name).write_text("words")
    await crawl.handle({"path": "/"})
    assert len(redis.entries) == 3
