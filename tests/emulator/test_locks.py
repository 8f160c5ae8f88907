from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from batchkit.emulator.locks import Locks


def test_a_name_has_one_lock_however_many_ask_for_it_at_once() -> None:
    locks = Locks()
    start = threading.Barrier(8)

    def asked(number: int) -> threading.RLock:
        start.wait(10)
        return locks[f"name {number % 2}"]

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(asked, range(8)))) == 2


def test_a_thread_may_take_its_lock_again_and_no_other_may() -> None:
    locks = Locks()
    with locks["a"], locks["a"], ThreadPoolExecutor(1) as threads:
        assert not threads.submit(locks["a"].acquire, blocking=False).result(10)
        assert threads.submit(locks["b"].acquire, blocking=False).result(10)
