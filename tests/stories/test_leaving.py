"""How commands leave: a terminal that closes, signals, pools that die, and what hooks leave behind in workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from crawler.frontier.redis.embedded import EmbeddedRedis
from tests.stories.commands import Commands, Running, wait_until
from tests.stories.sites import Site, Sites, html

pytestmark = pytest.mark.slow


def _endless(sites: Sites) -> Site:
    """A site whose pages are never all known: each leads to the next one."""
    site = sites.add()
    for n in range(3000):
        site.serve(f"/{n}", html([f"/{n + 1}", f"/{n + 2}"]))
    return site


def _redis_is_gone(commands: Commands) -> bool:
    return not EmbeddedRedis(commands.folder / ".crawler")._alive()


def _await_the_end(running: Running, commands: Commands) -> int:
    """Its exit code, once its embedded Redis has ended as well."""
    code = running.wait().code
    assert "Traceback" not in running.err, running.err
    return code


RUN = ("--delay", "0", "--per-host", "4", "-n", "2")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_a_terminal_that_closes_ends_a_run_as_sigterm_does(
    commands: Commands, sites: Sites, number: signal.Signals
) -> None:
    """Leases go back, the embedded Redis is stopped, and the exit code names the signal."""
    site = _endless(sites)
    going = commands.start("run", site.url("/0"), *RUN)
    wait_until(lambda: len(site.seen) > 20, "the middle of the crawl")
    going.signal(number)
    assert _await_the_end(going, commands) == 128 + number
    assert _redis_is_gone(commands)
    assert commands.status()["leased"] == 0


@pytest.mark.parametrize("command", ["work", "export", "watch", "seed", "demo"])
def test_each_command_that_lasts_ends_when_its_terminal_closes(commands: Commands, sites: Sites, command: str) -> None:
    arguments = {
        "work": ("work", "-n", "1"),
        "export": ("export", "--follow", "-o", "all.jsonl"),
        "watch": ("status", "--watch", "--json"),
        "seed": ("seed", "-"),
        "demo": ("demo", "--delay", "1s"),
    }[command]
    site = _endless(sites)
    assert commands.run("seed", site.url("/0")).code == 0
    going = commands.start(*arguments)
    if command == "work":
        wait_until(lambda: len(site.seen) > 2, "a page to be asked for")
    elif command == "demo":
        going.wait_for_workers(1)
    elif command == "watch":
        wait_until(lambda: going.out, "the first object")
    else:
        wait_until(lambda: not _redis_is_gone(commands), "its Redis")
        wait_until(lambda: _catches(going.pid, signal.SIGHUP), "it to be ready")
    going.signal(signal.SIGHUP)
    code = going.process.wait(45)
    assert code == 129, going.err
    assert "Traceback" not in going.err
    assert _redis_is_gone(commands)
    wait_until(lambda: not _servers_below(commands.base), "the end of each Redis")


def _servers_below(folder: Path) -> list[str]:
    """Files of Redis servers that have not ended in order."""
    return [str(path) for path in folder.glob("**/redis.pid")]


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (proc(5), SigCgt)."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_a_hangup_that_is_ignored_stays_ignored(commands: Commands, sites: Sites) -> None:
    """As under nohup: the crawl goes on to its end."""
    site = sites.add()
    site.serve("/", html([f"/{n}" for n in range(40)]))
    for n in range(40):
        site.serve(f"/{n}", html())
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        going = commands.start("run", site.url("/"), "--delay", "20ms", "-n", "1")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_until(lambda: len(site.seen) > 5, "the middle of the crawl")
    going.signal(signal.SIGHUP)
    assert going.wait().code == 0
    assert len(commands.records()) == 41


def test_a_terminal_that_is_really_gone(commands: Commands, sites: Sites) -> None:
    """Nothing can be written to it any more; what is to be done at the end is done all the same."""
    site = _endless(sites)
    ours, theirs = os.openpty()
    arguments = [sys.executable, "-m", "crawler", "run", site.url("/0"), *RUN]
    process = subprocess.Popen(
        arguments, cwd=commands.folder, env=commands.env, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=_take_terminal,
    )  # fmt: skip
    os.close(theirs)
    wait_until(lambda: len(site.seen) > 20, "the middle of the crawl")
    os.close(ours)  # the kernel sends SIGHUP
    assert process.wait(45) == 129
    assert _redis_is_gone(commands)
    assert commands.status()["leased"] == 0


def test_the_line_of_a_crawl_does_not_ask_for_workers_that_are_starting(commands: Commands, sites: Sites) -> None:
    site = _endless(sites)
    ours, theirs = os.openpty()
    arguments = [sys.executable, "-m", "crawler", "run", site.url("/0"), *RUN]
    process = subprocess.Popen(
        arguments, cwd=commands.folder, env=commands.env | {"TERM": "xterm"},
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while len(site.seen) < 20 or b"in flight" not in shown:
        shown += os.read(ours, 65_536)
    process.terminate()
    with suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 65_536):
            shown += piece
    os.close(ours)
    assert process.wait(45) in (130, 143, 0, -15), shown
    assert b"no workers" not in shown


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1, signal.SIGSEGV])
def test_the_last_worker_stops_the_redis_of_a_pool_that_died(
    commands: Commands, sites: Sites, number: signal.Signals
) -> None:
    site = _endless(sites)
    going = commands.start("run", site.url("/0"), *RUN)
    wait_until(lambda: len(site.seen) > 20, "the middle of the crawl")
    going.signal(number)
    going.process.wait(45)
    wait_until(lambda: _redis_is_gone(commands), "the end of Redis")
    assert commands.status()["leased"] == 0


SCRIPT = """
import sys
from crawler import Crawl
if __name__ == "__main__":
    with Crawl({url!r}, delay=0, workers=2) as crawl:
        crawl.run()
        print("never reached")
"""


def test_a_script_ends_in_order_as_well(commands: Commands, sites: Sites) -> None:
    site = _endless(sites)
    going = commands.start(python=commands.write("script.py", SCRIPT.format(url=site.url("/0"))))
    wait_until(lambda: len(site.seen) > 20, "the middle of the crawl")
    going.signal(signal.SIGHUP)
    assert _await_the_end(going, commands) == 129
    assert going.out == ""
    assert _redis_is_gone(commands)
    assert commands.status()["leased"] == 0


HANDLED = """
import signal
from crawler import Crawl
if __name__ == "__main__":
    signal.signal(signal.SIGHUP, lambda *_: print("reload", flush=True))
    with Crawl({url!r}, delay=0, workers=1, max_pages=200) as crawl:
        print(crawl.run().fetched > 100)
"""


def test_a_handler_of_the_program_itself_stays(commands: Commands, sites: Sites) -> None:
    site = _endless(sites)
    going = commands.start(python=commands.write("script.py", HANDLED.format(url=site.url("/0"))))
    wait_until(lambda: len(site.seen) > 20, "the middle of the crawl")
    going.signal(signal.SIGHUP)
    done = going.wait()
    assert (done.code, done.out.split()) == (0, ["reload", "True"]), done.err


# -- what hooks leave behind -------------------------------------------------------------------------------------------

THREAD = "threading.Thread(target=lambda: queue.Queue().get()).start()"
ATEXIT = "atexit.register(lambda: queue.Queue().get())"
CHILD = "multiprocessing.Process(target=time.sleep, args=(600,)).start()"
DEAF = "import signal; multiprocessing.Process(target=_deaf).start()"
HOOK = """
import atexit, multiprocessing, queue, signal, threading, time
begun = []

def _deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

def hook(page):
    if not begun:
        begun.append(True)
        {begin}
    return "done"
"""


@pytest.mark.parametrize(
    ("how", "begin"),
    [
        pytest.param("until done", THREAD, id="thread"),
        pytest.param("until done", ATEXIT, id="atexit"),
        pytest.param("until done", CHILD, id="child"),
        pytest.param("until done", DEAF, id="deaf child"),
        pytest.param("limit", THREAD, id="thread, at the limit"),
        pytest.param("interrupted", THREAD, id="thread, interrupted"),
    ],
)
def test_what_a_hook_leaves_behind_keeps_no_worker(commands: Commands, sites: Sites, begin: str, how: str) -> None:
    """The command ends, all that was asked for is stored, no worker counts as dead, and its Redis is stopped."""
    site = sites.add()
    for n in range(5):
        site.serve(f"/{n}", html([f"/{n + 1}"] if n < 4 else []))
    commands.write("hk.py", HOOK.format(begin=begin))
    more = ("--max-pages", "4") if how == "limit" else ()
    if how == "interrupted":
        site.pages["/4"] = lambda call: call.wait(20)
    going = commands.start("run", site.url("/0"), "--delay", "0", "-n", "1", "--hook", "hk.py:hook", *more)
    if how == "interrupted":
        wait_until(lambda: site.asked()["/4"], "the last page to be asked for")
        going.signal(signal.SIGINT)
        wait_until(lambda: "stopping" in going.err, "it to say so")
    done = going.wait()
    assert "died" not in done.err
    assert "Traceback" not in done.err
    assert done.code == (130 if how == "interrupted" else 0), done.err
    assert _redis_is_gone(commands)
    assert [record.get("data") for record in commands.records().values()][:4] == ["done"] * 4
    assert commands.status()["leased"] == 0


def test_a_worker_that_hangs_at_its_very_end_is_killed_and_not_counted(commands: Commands, sites: Sites) -> None:
    """Code in C that holds the interpreter for ever, in a function of atexit: no thread of its own can end it."""
    site = sites.add()
    site.serve("/", html())
    commands.write(
        "hk.py",
        "import atexit, re\n\ndef hook(page):\n    atexit.register(re.fullmatch, '(a*)*b', 'a' * 40)\n    return 1\n",
    )
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "--hook", "hk.py:hook")
    assert done.code == 0, done.err
    assert "died" not in done.err
    assert json.loads(commands.run("export", "-o", "-").out)["data"] == 1


def test_fetch_ends_as_well(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html())
    commands.write("hk.py", HOOK.format(begin=THREAD))
    done = commands.run("fetch", site.url("/"), "--hook", "hk.py:hook", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["data"] == "done"


def test_programs_that_a_hook_started_end_with_its_worker(commands: Commands, sites: Sites) -> None:
    site = sites.add()
    site.serve("/", html())
    commands.write(
        "hk.py",
        "import subprocess\n\ndef hook(page):\n    return subprocess.Popen(['sleep', '600']).pid\n",
    )
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "--hook", "hk.py:hook")
    assert done.code == 0, done.err
    pid = commands.records()[site.url("/")]["data"]
    command = Path(f"/proc/{pid}/cmdline")
    wait_until(lambda: not command.exists() or not command.read_bytes(), "the program to end")  # a zombie has none


@pytest.mark.parametrize(
    "what", ["KeyError('no such field')", "KeyboardInterrupt", "asyncio.CancelledError", "SystemExit(3)"]
)
def test_a_hook_that_fails_on_each_page_is_counted(commands: Commands, sites: Sites, what: str) -> None:
    """The pages are kept with what it raised, whatever that is; no worker dies of it."""
    site = sites.add()
    site.serve("/", html(["/1"]))
    site.serve("/1", html())
    commands.write("hk.py", f"import asyncio\n\ndef hook(page):\n    raise {what}\n")
    done = commands.run("run", site.url("/"), "--delay", "0", "-n", "1", "--hook", "hk.py:hook")
    assert done.code == 1, done.err
    assert "hook: 2 of 2 calls failed" in done.err
    assert "Traceback" not in done.err
    assert commands.status()["hook_errors"] == 2
    kind = what.partition("(")[0].rpartition(".")[2]
    assert all(record["error"].startswith(f"hook: {kind}") for record in commands.records().values())


INTERRUPTED = """
import sys
from crawler.__main__ import main

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "crawler.cli.app":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
main()
"""


def test_an_interrupt_while_the_command_is_loaded_ends_it_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
