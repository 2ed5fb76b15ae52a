"""A breaker's states, by what the guarded calls did."""

import asyncio

import pytest

from xnai_breakers import Breaker, OpenError, Registry


async def fail(breaker: Breaker, error: BaseException | None = None) -> None:
    with pytest.raises(type(error or RuntimeError())):
        async with breaker.attempt():
            raise error or RuntimeError


async def succeed(breaker: Breaker) -> None:
    async with breaker.attempt():
        pass


@pytest.mark.parametrize(("failures", "state"), [(0, "closed"), (2, "closed"), (3, "open")])
async def test_it_opens_at_the_threshold(failures: int, state: str) -> None:
    breaker = Breaker("x", failures=3)
    for _ in range(failures):
        await fail(breaker)
    assert breaker.state == state


async def test_a_success_forgets_the_failures_before_it() -> None:
    breaker = Breaker("x", failures=2)
    await fail(breaker)
    await succeed(breaker)
    await fail(breaker)
    assert breaker.state == "closed"


async def test_open_it_makes_no_call_and_says_when_to_come_back() -> None:
    breaker = Breaker("x", failures=1, seconds=60)
    await fail(breaker)
    with pytest.raises(OpenError) as refused:
        await succeed(breaker)
    assert 59 < refused.value.retry_after <= 60


async def test_after_the_time_one_call_goes_through_and_closes_it() -> None:
    breaker = Breaker("x", failures=1, seconds=0)
    await fail(breaker)
    assert breaker.state == "half-open"
    await succeed(breaker)
    assert breaker.state == "closed"


async def test_a_failed_trial_opens_it_again() -> None:
    breaker = Breaker("x", failures=3, seconds=0)
    for _ in range(4):
        await fail(breaker)
    assert breaker.state == "half-open"  # open, with no time to wait


async def test_only_one_call_tries_at_a_time() -> None:
    breaker = Breaker("x", failures=1, seconds=0)
    await fail(breaker)
    async with breaker.attempt():
        with pytest.raises(OpenError):
            await succeed(breaker)


@pytest.mark.parametrize(
    "left", [pytest.param(asyncio.CancelledError(), id="cancelled"), pytest.param(GeneratorExit(), id="closed")]
)
async def test_a_caller_who_goes_away_is_no_failure(left: BaseException) -> None:
    breaker = Breaker("x", failures=1)
    await fail(breaker, left)
    assert breaker.state == "closed"


async def test_the_first_item_of_a_stream_is_the_success() -> None:
    breaker = Breaker("x", failures=2, seconds=60)
    await fail(breaker)

    async def broken_off() -> None:
        async with breaker.attempt() as attempt:
            attempt.succeeded()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken_off()
    await fail(breaker)
    assert breaker.state == "closed"


async def test_calls_run_side_by_side() -> None:
    breaker = Breaker("x")
    async with breaker.attempt(), breaker.attempt():
        assert breaker.state == "closed"


def test_a_name_is_given_once() -> None:
    registry = Registry()
    registry.add(Breaker("x"))
    with pytest.raises(ValueError, match="x"):
        registry.add(Breaker("x"))
    assert registry.states() == {"x": "closed"}


async def test_what_is_ignored_is_neither_a_failure_nor_a_success() -> None:
    breaker = Breaker("x", failures=2, ignore=(ValueError,))
    await fail(breaker)
    for _ in range(3):
        await fail(breaker, ValueError())
    assert breaker.state == "closed"
    await fail(breaker)
    assert breaker.state == "open"


async def test_a_trial_that_is_ignored_leaves_the_trial_to_the_next_call() -> None:
    breaker = Breaker("x", failures=1, seconds=0, ignore=(ValueError,))
    await fail(breaker)
    await fail(breaker, ValueError())
    assert breaker.state == "half-open"
    await succeed(breaker)
    assert breaker.state == "closed"
