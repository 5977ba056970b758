"""Work that waits for the disk: others go on meanwhile, and what became of it is always known."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from bridge.server import beside

SCRIPT = """
    from gevent import monkey
    monkey.patch_all()
    import sys
    import gevent
    from gevent import monkey
    from bridge.server import beside

    sleep = monkey.get_original("time", "sleep")
    seen = []

    def slow():
        sleep(0.3)
        seen.append("written")

    def broken():
        raise OSError("no space left")

    task = gevent.spawn(beside, slow)
    gevent.sleep(0.01)
    seen.append("meanwhile")
    task.join()
    assert seen == ["meanwhile", "written"], seen

    task = gevent.spawn(beside, slow)
    gevent.sleep(0.01)
    task.kill()  # returns when it has ended
    assert seen == ["meanwhile", "written", "written"], seen
    assert isinstance(task.value, gevent.GreenletExit)

    try:
        beside(broken)
    except OSError as error:
        seen.append(str(error))
    assert seen[-1] == "no space left"
"""


def test_others_go_on_while_the_disk_is_waited_for_and_who_is_ended_ends_afterwards() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # the error has been told to whoever waits, and to nobody else
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_outside_of_the_web_process_it_is_simply_done() -> None:
    seen: list[str] = []
    beside(lambda: seen.append("written"))
    assert seen == ["written"]
    with pytest.raises(ZeroDivisionError):
        beside(lambda: [][1 // 0])
