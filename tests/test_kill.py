"""The engine's process is killed: who asks after that, and before anyone has seen it, is answered by the next one."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from runtime import Runtime
from tests.engines import PATIENCE, engine_in
from tests.load import Asked, comes_true, whole

if TYPE_CHECKING:
    from tests.canary import Family

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process there is not stopped by a signal")


@pytest.mark.usefixtures("nothing_left")
def test_a_request_that_a_killed_engine_never_took_up_is_answered_by_the_next(canaries: Family) -> None:
    options: dict[str, Any] = {"threads": 1, "context": 2048, "isolation": "process"}
    asked = Asked(7, 20)
    with Runtime(models=canaries.catalog, **options) as ai, ThreadPoolExecutor(8) as pool:
        assert whole(ai, asked) == asked.text
        engine = engine_in(ai)
        process = psutil.Process(engine._process.pid)
        process.send_signal(signal.SIGSTOP)  # so that it takes nothing up
        answers = [pool.submit(whole, ai, asked) for _ in range(8)]
        assert comes_true(lambda: len(engine._calls) == 8, PATIENCE)
        process.kill()
        assert [answer.result(PATIENCE) for answer in answers] == [asked.text] * 8
        assert engine_in(ai) is not engine
