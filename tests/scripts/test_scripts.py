"""What the shell scripts say when something is missing or fails: one line with the remedy.

Programs that stand in for Python, pip, df and videossl make it happen. No network, nothing is installed.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON_NAMES = ("python3", "python3.13", "python3.12", "python3.11")
ENDS_LIKE_A_PYENV_SHIM = "exit 127"
BELONGS_TO_DEBIAN_WITHOUT_VENV = f'case "$*" in *ensurepip*) exit 1 ;; *) exec "{sys.executable}" "$@" ;; esac'
PIP_WITHOUT_NETWORK = (
    "echo 'WARNING: Retrying after NewConnectionError' >&2; echo 'ERROR: No matching distribution'; exit 1"
)
PIP_WITH_FULL_DISK = "echo 'ERROR: Could not install: [Errno 28] No space left on device' >&2; exit 1"


def program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the scripts, in a folder with a space in its name, and a folder `bin` for programs that stand in."""
    shutil.copytree(ROOT / "scripts", tmp_path / "my checkout" / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "my checkout")
    (tmp_path / "bin").mkdir()
    return tmp_path / "my checkout"


def python_is(checkout: Path, body: str) -> None:
    for name in PYTHON_NAMES:
        program(checkout.parent / "bin" / name, body)


def python_makes_environments_where_pip_is(checkout: Path, pip: str) -> None:
    inside = f'case "$*" in "-m pip "*) {pip} ;; *) exec "{sys.executable}" "$@" ;; esac'
    python_is(
        checkout,
        f"""case "$*" in
"-m venv "*)
    mkdir -p "$3/bin"
    cat >"$3/bin/python" <<'END'
#!/bin/sh
{inside}
END
    chmod +x "$3/bin/python" ;;
*) exec "{sys.executable}" "$@" ;;
esac""",
    )


def with_stand_ins(checkout: Path) -> dict[str, str]:
    environment = {**os.environ, "PATH": f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHON", None)
    return environment


def run(checkout: Path, script: str = "quickstart.sh", *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(checkout / "scripts" / script), *args],
        cwd=checkout.parent,
        env=with_stand_ins(checkout),
        capture_output=True,
        text=True,
        timeout=60,
    )


def the_error(result: subprocess.CompletedProcess[str], exit_code: int = 1) -> str:
    assert result.returncode == exit_code, result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh"])
def test_no_working_python_is_said_with_the_package_to_install(checkout: Path, script: str) -> None:
    python_is(checkout, ENDS_LIKE_A_PYENV_SHIM)
    message = the_error(run(checkout, script))
    assert "needs Python 3.11 or newer, found none" in message
    assert "apt install python3.11" in message


def test_a_python_that_is_too_old_is_named_with_its_version(checkout: Path) -> None:
    python_is(checkout, ENDS_LIKE_A_PYENV_SHIM)
    program(checkout.parent / "bin" / "python3", "echo 3.9")
    assert "found python3 is 3.9" in the_error(run(checkout))


def test_a_shim_that_fails_is_passed_over_for_a_python_that_works(checkout: Path) -> None:
    python_is(checkout, ENDS_LIKE_A_PYENV_SHIM)
    program(checkout.parent / "bin" / "python3.12", BELONGS_TO_DEBIAN_WITHOUT_VENV)
    assert "python3.12 has no module venv or ensurepip" in the_error(run(checkout))


def test_a_missing_venv_module_is_said_with_the_debian_package_of_that_python(checkout: Path) -> None:
    python_is(checkout, BELONGS_TO_DEBIAN_WITHOUT_VENV)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"apt install python{version}-venv" in the_error(run(checkout))


def test_too_little_disk_is_said_with_what_is_needed_and_what_is_there(checkout: Path) -> None:
    python_makes_environments_where_pip_is(checkout, "exit 0")
    program(checkout.parent / "bin" / "df", "echo Filesystem; echo /dev/disk 9999999 8888888 512000 90% /")
    message = the_error(run(checkout))
    assert "needs 3500 MB of free disk" in message
    assert "found 500 MB" in message


@pytest.mark.parametrize(
    ("pip", "remedy"),
    [
        (PIP_WITHOUT_NETWORK, "Connect to the network"),
        (PIP_WITH_FULL_DISK, "Make room"),
        ("echo 'ERROR: something new' >&2; exit 1", "ERROR: something new"),
    ],
)
def test_a_failed_install_is_said_in_one_line_and_tried_again_by_the_next_run(
    checkout: Path, pip: str, remedy: str
) -> None:
    python_makes_environments_where_pip_is(checkout, pip)
    for _ in range(2):
        assert remedy in the_error(run(checkout))


def test_what_is_installed_is_not_installed_again_until_the_lock_changes(checkout: Path) -> None:
    python_makes_environments_where_pip_is(checkout, "exit 0")
    first = run(checkout)
    assert "installing the pinned packages" in first.stdout
    second = run(checkout)
    assert "installing the pinned packages" not in second.stdout
    with (checkout / "scripts" / "requirements.lock").open("a") as lock:
        lock.write("another==1.0\n")
    assert "installing the pinned packages" in run(checkout).stdout


def test_an_environment_of_someone_else_is_never_removed(checkout: Path) -> None:
    program(checkout / ".venv" / "bin" / "python", "exit 1")
    assert "Move it away" in the_error(run(checkout))
    assert (checkout / ".venv" / "bin" / "python").is_file()


def test_unknown_arguments_of_the_quickstart_are_wrong_use(checkout: Path) -> None:
    assert "unknown argument: --redcued" in the_error(run(checkout, "quickstart.sh", "--redcued"), exit_code=2)
    assert "--name needs a name" in the_error(run(checkout, "quickstart.sh", "--name"), exit_code=2)
    assert "got '../x'" in the_error(run(checkout, "quickstart.sh", "--name", "../x"), exit_code=2)


def test_help_says_the_commands_and_installs_nothing(checkout: Path) -> None:
    result = run(checkout, "quickstart.sh", "--help")
    assert result.returncode == 0
    assert "bash scripts/quickstart.sh --reduced" in result.stdout
    assert not (checkout / ".venv").exists()


# A videossl that writes its arguments down and makes the files that the quickstart looks for at its end.
VIDEOSSL = """echo "$*" >>calls.txt
while [ $# -gt 1 ]; do
    case $1 in --out | --run) out=$2 ;; esac
    shift
done
mkdir -p "$out/evaluation"
for file in weights.safetensors evaluation/metrics.json part-00000.parquet report.html; do echo x >"$out/$file"; done"""


def videossl_is(checkout: Path, body: str) -> None:
    python_makes_environments_where_pip_is(checkout, "exit 0")
    prepared = subprocess.run(
        ["bash", "-c", ". scripts/environment.sh; prepare_environment"],
        cwd=checkout,
        env=with_stand_ins(checkout),
        capture_output=True,
        text=True,
    )
    assert prepared.returncode == 0, prepared.stderr
    program(checkout / ".venv" / "bin" / "videossl", body)


def test_the_quickstart_does_every_verb_from_any_folder_and_ends_with_the_page(checkout: Path) -> None:
    videossl_is(checkout, VIDEOSSL)
    result = run(checkout)
    assert result.returncode == 0, result.stderr
    calls = (checkout / "calls.txt").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["world", "pretrain", "pretrain", "evaluate", "extract", "report"]
    assert "evaluate --run runs/quickstart --twin runs/quickstart-twin" in calls
    assert result.stdout.splitlines()[-1] == f"Open in a browser: {checkout}/runs/quickstart/report.html"


def test_a_second_quickstart_says_what_it_replaces(checkout: Path) -> None:
    videossl_is(checkout, VIDEOSSL)
    assert "replacing" not in run(checkout).stdout
    assert "data/digits runs/quickstart runs/quickstart-twin embeddings/quickstart" in run(checkout).stdout


def test_the_reduced_quickstart_and_a_named_one_leave_the_ordinary_one_alone(checkout: Path) -> None:
    videossl_is(checkout, VIDEOSSL)
    assert run(checkout, "quickstart.sh", "--reduced").returncode == 0
    assert run(checkout, "quickstart.sh", "--name", "mine").returncode == 0
    assert sorted(path.name for path in checkout.glob("runs/*/")) == [
        "mine",
        "mine-twin",
        "quickstart-reduced",
        "quickstart-reduced-twin",
    ]
    assert sorted(path.name for path in checkout.glob("data/*")) == ["mine", "quickstart-reduced"]


@pytest.mark.parametrize("verb", ["world", "pretrain", "evaluate", "extract", "report"])
def test_a_failing_verb_ends_the_quickstart_with_its_name(checkout: Path, verb: str) -> None:
    videossl_is(checkout, f'[ "$1" != {verb} ] || exit 2\n{VIDEOSSL}')
    result = run(checkout)
    assert result.returncode == 1
    assert f"failed: videossl {verb} " in result.stderr
    assert "Open in a browser" not in result.stdout


def test_a_failing_twin_ends_the_quickstart_with_its_last_line_and_its_log(checkout: Path) -> None:
    videossl_is(checkout, f'case "$*" in *twin.yaml*) echo "error: no luck" >&2; exit 1 ;; esac\n{VIDEOSSL}')
    message = the_error(run(checkout))
    assert "error: no luck" in message
    assert str(checkout / "runs" / "quickstart-twin.log") in message


def test_the_twin_does_not_outlive_a_quickstart_that_fails(checkout: Path) -> None:
    videossl_is(
        checkout,
        f"""case "$*" in
*twin.yaml*) echo $$ >twin.pid; exec sleep 60 ;;
pretrain*) until [ -s twin.pid ]; do sleep 0.1; done; exit 1 ;;
esac
{VIDEOSSL}""",
    )
    assert run(checkout).returncode == 1
    twin = int((checkout / "twin.pid").read_text())
    deadline = time.monotonic() + 10
    while is_running(twin):
        assert time.monotonic() < deadline, "the twin still trains"
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # An orphan that nobody has reaped yet has ended too.
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_the_lock_pins_every_line_and_names_no_host() -> None:
    lines = [line for line in (ROOT / "scripts" / "requirements.lock").read_text().splitlines() if line[:1] != "#"]
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*(; [a-z_]+ [=<>!]+ '[^']+'( and .+)?)?", line), line
    assert "torch==2.13.0" in lines


def test_the_lock_holds_what_the_package_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["dev"]
    wanted += project["build-system"]["requires"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "scripts" / "requirements.lock").read_text().splitlines()
        if line[:1] != "#"
    }
    for requirement in wanted:
        name = re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")
        assert name in pinned, (
            f"{name} of pyproject.toml is not in scripts/requirements.lock; its head says how it is made"
        )
