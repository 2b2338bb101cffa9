"""One runtime that threads and tasks share, closed in the middle, used after that; and two runtimes side by side."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from runtime import AsyncRuntime
from runtime.errors import EngineClosed
from tests.engines import PATIENCE
from tests.load import HOMES, at, drawn, streamed, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.canary import Family
    from tests.load import Asked

THREADS, TASKS, REQUESTS = 8, 8, 12
SOON = 5.0  # seconds in which closing has ended whatever runs

pytestmark = pytest.mark.usefixtures("nothing_left")


def options(canaries: Family, home: str) -> dict[str, Any]:
    return {"models": canaries.catalog, "slots": 8, "threads": 1, "context": 8192, "keep_alive": -1, **at(home)}


def asked(dice: random.Random) -> Asked:
    return drawn(dice, tokens=60, prompt=200, several=True)


class Users:
    """Threads and tasks that ask one runtime again and again, until they have had `REQUESTS` answers, or, where these
    are `endless`, until it is closed."""

    def __init__(self, ai: AsyncRuntime, *, endless: bool = False) -> None:
        self.ai, self.endless = ai, endless
        self.exact = self.closed = 0
        self._lock = threading.Condition()

    def thread(self, number: int) -> None:
        dice = random.Random(number)
        for _ in self._turns():
            one = asked(dice)
            way = dice.choice((whole, streamed))
            try:
                self._check(one, way(self.ai._runtime, one))
            except EngineClosed:
                return self._count(closed=1)
        return None

    async def task(self, number: int) -> None:
        dice = random.Random(1000 + number)
        for _ in self._turns():
            one = asked(dice)
            try:
                text = await (self._streamed(one) if dice.random() < 0.5 else self._whole(one))
                self._check(one, text)
            except EngineClosed:
                return self._count(closed=1)
        return None

    def _turns(self) -> range:
        return range(10**6 if self.endless else REQUESTS)

    async def _whole(self, one: Asked) -> str:
        text: str = (await self.ai.run(one.model, one.body))["response"]
        return text

    async def _streamed(self, one: Asked) -> str:
        text = ""
        try:
            async for event in await self.ai.run(one.model, one.body, stream=True):
                text += event["response"]
        except EngineClosed:
            assert one.text.startswith(text)
            raise
        return text

    def _check(self, one: Asked, text: str) -> None:
        assert text == one.text
        self._count(exact=1)

    def _count(self, exact: int = 0, closed: int = 0) -> None:
        with self._lock:
            self.exact, self.closed = self.exact + exact, self.closed + closed
            self._lock.notify_all()

    def wait_for(self, exact: int) -> None:
        with self._lock:
            assert self._lock.wait_for(lambda: self.exact >= exact, PATIENCE)

    async def run(self, meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Until all threads and tasks are done; none of them may have failed."""
        with ThreadPoolExecutor(THREADS) as pool:
            threads = [pool.submit(self.thread, number) for number in range(THREADS)]
            tasks = [asyncio.ensure_future(self.task(number)) for number in range(TASKS)]
            if meanwhile:
                await meanwhile()
            await asyncio.wait_for(asyncio.gather(*tasks, *map(asyncio.wrap_future, threads)), PATIENCE)


@pytest.mark.parametrize("home", HOMES)
def test_threads_and_tasks_that_share_a_runtime_each_get_their_own_answers(home: str, canaries: Family) -> None:
    async def main() -> Users:
        async with AsyncRuntime(**options(canaries, home)) as ai:
            users = Users(ai)
            await users.run()
            return users

    users = asyncio.run(main())
    assert (users.exact, users.closed) == ((THREADS + TASKS) * REQUESTS, 0)


@pytest.mark.parametrize("home", HOMES)
def test_closing_in_the_middle_ends_everyone_soon_and_nobody_wrong(home: str, canaries: Family) -> None:
    async def main() -> tuple[Users, float]:
        async with AsyncRuntime(**options(canaries, home)) as ai:
            users, begun = Users(ai, endless=True), 0.0

            async def close() -> None:
                nonlocal begun
                await asyncio.to_thread(users.wait_for, 40)
                begun = time.monotonic()
                await ai.close()

            await users.run(close)
            return users, time.monotonic() - begun

    users, seconds = asyncio.run(main())
    assert users.exact >= 40
    assert users.closed == THREADS + TASKS
    assert seconds < SOON


@pytest.mark.parametrize("home", HOMES)
def test_a_closed_runtime_refuses_all_use_and_may_be_closed_again(home: str, canaries: Family) -> None:
    async def main() -> None:
        ai = AsyncRuntime(**options(canaries, home))
        one = asked(random.Random(0))
        assert (await ai.run(one.model, one.body))["response"] == one.text
        await ai.close()
        for use in (ai.run(one.model, one.body), ai.run(one.model, one.body, stream=True), ai.load(one.model)):
            with pytest.raises(EngineClosed):
                await use
        for way in (whole, streamed):
            with pytest.raises(EngineClosed):
                way(ai._runtime, one)
        assert ai.loaded() == ()
        await ai.close()

    asyncio.run(main())


@pytest.mark.parametrize("home", HOMES)
def test_of_two_runtimes_that_work_at_once_one_may_be_closed_and_the_other_notices_nothing(
    home: str, canaries: Family
) -> None:
    async def main() -> tuple[Users, Users]:
        async with AsyncRuntime(**options(canaries, home)) as first, AsyncRuntime(**options(canaries, home)) as second:
            going, staying = Users(first, endless=True), Users(second)

            async def close() -> None:
                await asyncio.to_thread(going.wait_for, 10)
                await first.close()

            await asyncio.gather(going.run(close), staying.run())
            return going, staying

    going, staying = asyncio.run(main())
    assert going.closed == THREADS + TASKS
    assert (staying.exact, staying.closed) == ((THREADS + TASKS) * REQUESTS, 0)
