"""Ray's token lies in a folder of one's own, in a file that nobody else reads, whoever makes it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from nas.cluster import nodes
from nas.cluster.token import private_token

ROOT = Path(__file__).parents[3]


def modes(folder, name):
    return oct((folder).stat().st_mode & 0o777), oct((folder / name).stat().st_mode & 0o777)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    before = os.umask(0o022)
    yield tmp_path
    os.umask(before)


def test_a_token_that_is_there_already(home):
    private_token()
    assert oct((home / ".ray").stat().st_mode & 0o777) == "0o700"
    (home / ".ray").chmod(0o755)
    (home / ".ray/auth_token").write_text("secret")
    private_token()
    assert modes(home / ".ray", "auth_token") == ("0o700", "0o600")
    (home / ".ray/auth_token").chmod(0o400)  # narrower is left so
    private_token()
    assert modes(home / ".ray", "auth_token") == ("0o700", "0o400")


def test_no_home_is_no_error(monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null/nowhere")
    private_token()


def test_the_token_that_ray_makes_when_it_starts(home, monkeypatch):
    made = []

    def start(**options):
        (home / ".ray").mkdir(exist_ok=True)  # as Ray makes it
        (home / ".ray/auth_token").write_text("secret")
        made.append(modes(home / ".ray", "auth_token"))
        raise ConnectionError("that is enough")

    monkeypatch.setattr(nodes.ray, "init", start)
    monkeypatch.setattr(nodes.ray, "is_initialized", lambda: False)
    with pytest.raises(nodes.InputError):
        nodes.connect()
    assert made[0][0] == "0o700"  # closed when the token comes
    assert modes(home / ".ray", "auth_token") == ("0o700", "0o600")


def test_the_token_of_a_batch_job(home):
    script = (ROOT / "launch/slurm.sbatch").read_text()
    part = script[script.index("token_folder=") : script.index("export RAY_ADDRESS=")]
    look = 'stat -c %a "$token_folder" "$token_file"; wc -c <"$RAY_AUTH_TOKEN_PATH"; echo "$token_folder"'
    done = subprocess.run(
        ["bash", "-euc", f"{part}\n{look}"], capture_output=True, text=True, check=True, env={**os.environ}
    )
    folder_mode, file_mode, size, folder = done.stdout.split()
    assert (folder_mode, file_mode, size) == ("700", "600", "64")
    assert not Path(folder).exists()


@pytest.fixture
def local(home):
    """Runs launch/local-cluster with a stand-in of Ray, which writes its token as Ray does."""
    program = home / "ray"
    program.write_text(
        "#!/bin/bash\ncase $1 in\nget-auth-token) mkdir -p ~/.ray; echo secret >~/.ray/auth_token ;;\n"
        'start) echo "Ray runtime started"; exec sleep 100 ;;\nesac\n'
    )
    program.chmod(0o755)
    odd = home / "a b $(touch pwned)"
    odd.mkdir()

    def run(*arguments, folder=odd / "cluster"):
        given = {**os.environ, "RAY": str(program), "TMPDIR": str(odd), "LOCAL_CLUSTER_DIR": str(folder)}
        given.pop("RAY_AUTH_MODE", None)
        return subprocess.run(
            [str(ROOT / "launch/local-cluster"), *arguments],
            capture_output=True, text=True, env=given, cwd=home, timeout=60,
        )  # fmt: skip

    return run


def test_the_token_of_a_local_cluster(home, local):
    done = local("status")
    assert (done.returncode, "no cluster is running" in done.stderr) == (2, True)
    assert modes(home / ".ray", "auth_token") == ("0o700", "0o600")
    (home / ".ray").chmod(0o755)
    (home / ".ray/auth_token").chmod(0o644)
    local("status")
    assert modes(home / ".ray", "auth_token") == ("0o700", "0o600")


def test_what_a_local_cluster_remembers_is_no_code(home, local):
    try:
        started = local("start", "--nodes", "0")
        assert started.returncode == 0, started.stderr
        added = local("add")
        assert added.returncode == 0, added.stderr
    finally:
        local("stop")
    assert not list(home.rglob("pwned"))


def test_a_local_cluster_of_another_is_not_run(home, local):
    (home / "theirs").mkdir()
    (home / "theirs/head.pid").write_text("1")
    (home / "theirs/settings").write_text("touch pwned\n")
    (home / "link").symlink_to(home / "theirs")
    for command in ("status", "add", "stop"):
        done = local(command, folder=home / "link")
        assert (done.returncode, "not your own folder" in done.stderr) == (2, True)
    assert not list(home.rglob("pwned"))


@pytest.mark.parametrize("name", ["aws.yaml", "gcp.yaml", "../README.md", "../docs/cluster.md"])
def test_users_are_told_to_make_it_so(name):
    text = " ".join((ROOT / "launch" / name).read_text().split())
    assert re.findall(r"get-auth-token --generate", text)
    assert len(re.findall(r"\(umask 077; ray get-auth-token --generate\)", text)) == len(
        re.findall(r"get-auth-token --generate", text)
    )
