"""What a nursery forks is a process like any other, but for the time that it takes to begin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bridge_process import WEBS, free_port, wait_until
from nursery import Child, Nursery

LOOKS = """
import json, os, sys
print(json.dumps({
    "arguments": sys.argv[1:],
    "name": __name__,
    "main": sys.modules["__main__"].__dict__ is globals(),
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "path": sys.path[0],
    "open": sorted(int(number) for number in os.listdir("/proc/self/fd"))[:-1],
    "session": os.getsid(0) == os.getpid(),
    "loaded": "bridge.jsontext" in sys.modules,
    "input": sys.stdin.read(),
}))
sys.stderr.write("told\\n")
"""
ENDS = """
import atexit, os, sys, signal, threading
atexit.register(lambda: print("at the end"))
threading.Thread(target=lambda: print("thread")).start()
if sys.argv[1] == "raise": raise ValueError("broken")
if sys.argv[1] == "kill": os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(sys.argv[1]))
"""
STAYS = """
import sys, time
print("here", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def nursery() -> Nursery:
    return Nursery("bridge.jsontext")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    for name, text in (("looks", LOOKS), ("ends", ENDS), ("stays", STAYS)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


def start(nursery: Nursery, folder: Path, module: str, *arguments: str) -> Child:
    said, complained = folder / f"{module}.output", folder / f"{module}.told"
    with said.open("wb") as output, complained.open("wb") as told:
        return nursery.start(
            module, arguments, env={"ONLY": "this"}, folder=folder, output=output, told=told
        )


def test_it_has_what_it_was_given_and_nothing_else(nursery: Nursery, modules: Path) -> None:
    standing = start(nursery, modules, "stays")  # whose descriptors are nobody else's
    assert start(nursery, modules, "looks", "one", "--two").wait(30) == 0
    seen = json.loads((modules / "looks.output").read_text())
    environment = seen.pop("environment")
    assert environment.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python's own, at its start
    assert environment == {"ONLY": "this"}
    assert seen == {
        "arguments": ["one", "--two"],
        "name": "__main__",
        "main": True,
        "folder": str(modules),
        "path": str(modules),
        "open": [0, 1, 2],
        "session": True,
        "loaded": True,
        "input": "",
    }
    assert (modules / "looks.told").read_text() == "told\n"
    standing.kill()
    assert standing.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(("how", "status"), [("0", 0), ("3", 3), ("raise", 1), ("kill", -9)])
def test_it_ends_as_a_process_does(nursery: Nursery, modules: Path, how: str, status: int) -> None:
    assert start(nursery, modules, "ends", how).wait(30) == status
    output = (modules / "ends.output").read_text()
    assert ("at the end" in output) is ("thread" in output) is (how != "kill")
    assert ("ValueError: broken" in (modules / "ends.told").read_text()) is (how == "raise")


def test_its_number_is_its_own_until_its_end_has_been_heard(
    nursery: Nursery, modules: Path
) -> None:
    child = start(nursery, modules, "stays")
    wait_until((modules / "stays.output").read_text, 30, "its first word")
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    os.kill(child.pid, signal.SIGTERM)
    wait_until(lambda: " Z " in Path(f"/proc/{child.pid}/stat").read_text(), 30, "its end")
    wait_until(lambda: child.poll() is not None, 30, "the end of its threads")  # a moment later
    assert child.poll() == -signal.SIGTERM
    assert not Path(f"/proc/{child.pid}").exists()
    child.terminate()  # nobody is met
    assert child.wait(0) == -signal.SIGTERM


def test_each_of_several_threads_hears_of_the_end(nursery: Nursery, modules: Path) -> None:
    child = start(nursery, modules, "stays")
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(child.wait, 30) for _ in range(4)]
        wait_until((modules / "stays.output").read_text, 30, "its first word")
        child.terminate()
        assert {one.result() for one in waiting} == {-signal.SIGTERM}


def test_a_nursery_goes_when_whoever_asked_for_it_has_gone(modules: Path) -> None:
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1])"
        "; from nursery import Nursery; n = Nursery()"
        "; print(n.start('stays', [], env={}, output=2, told=2).pid, n._process.pid, flush=True)"
        "; os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        cwd=modules,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )
    child, nursery = map(int, done.stdout.split())
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not _runs(nursery), 30, "the end of the nursery")


FORKS = """
import os, sys
from bridge.gunicorn_conf import *

def pre_fork(server, worker):
    with open("loaded", "w") as file:
        file.write("\\n".join(sys.modules))
    os._exit(0)
"""


def test_for_the_web_process_no_more_is_loaded_than_before_gevent_changes_modules(
    tmp_path: Path,
) -> None:
    (tmp_path / "forks.py").write_text(FORKS, encoding="utf-8")
    environment = {"PORT": str(free_port()), "HOST": "127.0.0.1"}
    command = [sys.executable, "-m", "gunicorn", "--config", "forks.py"]
    subprocess.run(command, cwd=tmp_path, env=environment, timeout=60, check=True)
    before = set((tmp_path / "loaded").read_text().split())
    program = f"import sys, {', '.join(WEBS.modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert len(loaded) > 200
    assert loaded <= before
    assert "gunicorn.config" not in loaded  # it takes down in which folder it is loaded


def _runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
