"""The frozen folder that `MITOSCOPE_FROZEN` names, as another account on a bare machine sees it.

`.ci/freeze` makes the folder, moves it to a path with spaces and umlauts, and takes away the right
to write into it. Here it is run without any of this environment; what lands on stderr is read.
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

FOLDER = os.environ.get("MITOSCOPE_FROZEN", "")
if not FOLDER:
    pytest.skip("MITOSCOPE_FROZEN names no frozen folder", allow_module_level=True)

pytestmark = pytest.mark.frozen

#: Lines that stderr may hold, each with its reason.
ALLOWED = [
    re.compile(r"\s*$"),
    # Ours: progress is for people, and goes where results do not.
    re.compile(r"Rendering a synthetic slide"),
    # Qt's platform without a screen cannot do what no test needs.
    re.compile(r"This plugin does not support propagateSizeHints\(\)$"),
]


@pytest.fixture
def program() -> Path:
    return Path(FOLDER) / "mitoscope"


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder with a difficult name, of an account that may not write elsewhere."""
    folder = Path(tempfile.mkdtemp(prefix="mitoscope-"))
    folder.chmod(0o755)
    home = folder / "Jürgen Größe"
    home.mkdir()
    if os.geteuid() == 0:
        shutil.chown(home, *_nobody().values())
    yield home
    shutil.rmtree(folder)


def _nobody() -> dict[str, Any]:
    """Root may write anywhere: another account shows what a reader's may not."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid}


def _environment(home: Path, **more: str) -> dict[str, str]:
    bare = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return bare | {"QT_QPA_PLATFORM": "offscreen"} | more


def run(
    program: Path, home: Path, *arguments: str, status: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        cwd=home,
        env=_environment(home, **environment),
        timeout=280,
        check=False,
        **_nobody(),
    )
    assert done.returncode == status, done.stdout[-2000:] + done.stderr
    return done


def unexpected(stderr: str) -> Sequence[str]:
    lines = stderr.splitlines()
    return [line for line in lines if not any(known.match(line) for known in ALLOWED)]


def test_help_names_the_commands_without_a_word_on_stderr(program: Path, home: Path) -> None:
    done = run(program, home, "--help")
    assert "analyze" in done.stdout
    assert not done.stderr


def test_it_says_what_is_wrong_in_an_old_locale(program: Path, home: Path) -> None:
    done = run(program, home, "analyze", "Größe fehlt.svs", status=2, LANG="C", LC_ALL="C")
    assert "fehlt.svs" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_is_analysed_and_counted(program: Path, home: Path) -> None:
    done = run(program, home, "demo", "--out", "Ergebnisse für Müller")
    assert not unexpected(done.stderr)
    assert (home / "Ergebnisse für Müller").is_dir()
    assert any((home / "Ergebnisse für Müller").rglob("*.csv"))


def test_a_second_process_may_be_spawned(program: Path, home: Path) -> None:
    """`freeze_support` comes first, or the child would open another desktop, and it another."""
    code = (
        "import multiprocessing, operator\n"
        "pool = multiprocessing.get_context('spawn').Pool(1)\n"
        "print(pool.apply(operator.add, (20, 22)))\n"
        "pool.close(); pool.join()"
    )
    done = run(program, home, "-c", code)
    assert done.stdout.split() == ["42"]
    assert not done.stderr


def test_the_window_comes_up_without_torch(program: Path, home: Path) -> None:
    code = "from app.benchmarks.start import tell_start; tell_start()"
    done = run(program, home, "-c", code)
    assert json.loads(done.stdout)["torch"] is False
    assert not unexpected(done.stderr)


def test_all_parts_work(program: Path, home: Path) -> None:
    done = run(program, home, "self-test", "report.json")
    assert not unexpected(done.stderr)
    report = json.loads((home / "report.json").read_text("utf-8"))
    assert report["passed"]
    assert report["frozen"]


def test_it_opens_a_window_on_a_screen_and_ends_when_told(program: Path, home: Path) -> None:
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.skip("needs Xvfb and xdotool")
    reading, writing = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x900x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            display = f":{pipe.readline().strip()}"
        _opens_and_ends(program, home, display)
    finally:
        screen.terminate()
        screen.wait()


def _opens_and_ends(program: Path, home: Path, display: str) -> None:
    environment = _environment(home, DISPLAY=display, QT_QPA_PLATFORM="xcb")
    with (home.parent / "stderr").open("w+") as stderr:
        desktop = subprocess.Popen([program], cwd=home, env=environment, stderr=stderr, **_nobody())
        try:
            find = ["xdotool", "search", "--onlyvisible", "--name", "Mitoscope"]
            until = time.monotonic() + 60
            while not (
                found := subprocess.run(
                    find, env=environment, capture_output=True, check=False
                ).stdout.split()
            ):
                assert desktop.poll() is None, "it ended by itself"
                assert time.monotonic() < until, "no window came up"
                time.sleep(0.2)
            assert found
        finally:
            desktop.terminate()
            desktop.wait(30)
        stderr.seek(0)
        assert not unexpected(stderr.read())


def test_nothing_of_the_machine_that_froze_it_is_inside(program: Path) -> None:
    inside = Path(FOLDER) / "_internal"
    names = {path.name for path in inside.iterdir()}
    assert not names & {"pytest", "mypy", "hypothesis", "matplotlib", "triton", "tkinter"}
    assert not list(inside.glob("*.dist-info/direct_url.json"))
    assert not list(inside.glob("pytest*.dist-info"))
