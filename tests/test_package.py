"""What is published: the wheel, the source distribution, and the container that is made of the wheel."""

import configparser
import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import nas
from nas.cli import _COMMANDS
from tests.command import good
from tests.command import nas as command

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "launch" / "Dockerfile"
KEPT_BACK = {".gitignore", ".ci/run"}
"""Files of the repository that no distribution needs."""


@pytest.fixture(scope="module")
def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def built(tracked, tmp_path_factory):
    """(the wheel, the source distribution), built from what git knows."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    code = (
        "import sys; from setuptools import build_meta; folder = sys.argv[1]; "
        "build_meta.build_wheel(folder); build_meta.build_sdist(folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_the_wheel_has_what_a_user_needs(built, tracked):
    names = zipfile.ZipFile(built[0]).namelist()
    launch = {Path(name).name for name in tracked if name.startswith("launch/")}
    assert {f"nas/launch/files/{name}" for name in launch} <= set(names)
    assert {"nas/benchmark/surrogate.npz", "nas/benchmark/surrogate.json", "nas/py.typed"} <= set(names)
    modules = {name for name in tracked if re.match(r"(nas|controller|search_spaces)/.*\.py$", name)}
    assert modules == {name for name in names if name.endswith(".py")}
    tops = {name.split("/")[0] for name in names}
    assert tops == {"nas", "controller", "search_spaces", f"baseline_nas-{nas.__version__}.dist-info"}
    assert any(name.endswith("/LICENSE") for name in names)


def test_its_metadata_says_what_is_true(built):
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        found = email.message_from_bytes(wheel.read(name))
    assert found["Version"] == nas.__version__
    for line in found.get_all("Project-URL"):
        assert re.fullmatch(r"[^,]+(, [^,]+)*, https://(arxiv\.org|github\.com)/\S+", line)
    text = found.get_payload()
    # a package index has no files beside this page
    assert "](" in text
    assert not re.findall(r"\]\((?!https://)[^)]*\)", text)
    assert f"## {nas.__version__}" in text
    commands = set(re.findall(r"^    nas (\w+)", text, re.M))
    assert commands
    assert commands <= set(_COMMANDS)


def test_the_source_distribution_has_the_whole_project(built, tracked):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        link = archive.getmember(f"baseline_nas-{nas.__version__}/nas/launch/files/local-cluster")
    assert set(tracked) - KEPT_BACK - names == set()
    assert link.isfile()  # the content, as the link leads nowhere in a wheel that is built of it
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_version_stands_in_one_place_and_in_the_changelog():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["version"] == "attr: nas.__version__"
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert versions[0] == nas.__version__


def test_every_extra_is_explained():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = set(config["options.extras_require"]) - {"test", "docs"}
    text = (ROOT / "docs" / "install.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == extras


def test_launch_files_are_written_where_somebody_can_edit_them(tmp_path):
    folder = tmp_path / "new" / "launch"
    printed = good("launch", "--files", folder).splitlines()
    there = sorted(path for path in (ROOT / "launch").iterdir() if path.is_file())
    assert printed == [str(folder / path.name) for path in there]
    for path in there:
        written = folder / path.name
        assert written.read_bytes() == path.read_bytes()
        assert not written.is_symlink()
    assert os.access(folder / "local-cluster", os.X_OK)
    assert not (folder / "aws.yaml").stat().st_mode & 0o111
    # once more: the same files; another one under such a name stays
    assert json.loads(good("launch", "--files", folder, "--json")) == {"files": printed}
    (folder / "aws.yaml").write_text("mine")
    (folder / "gcp.yaml").unlink()
    done = command("launch", "--files", folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "aws.yaml is there already" in done.stderr
    assert (folder / "aws.yaml").read_text() == "mine"
    assert not (folder / "gcp.yaml").exists()


def test_the_container_file_passes_its_linter():
    beside = Path(sys.executable).parent / "hadolint"
    linter = str(beside) if beside.exists() else shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([linter, "--no-color", str(DOCKERFILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    bad = DOCKERFILE.read_text().replace("pip install --no-cache-dir", "cd /tmp && sudo pip install")
    done = subprocess.run([linter, "-"], input=bad, capture_output=True, text=True)
    assert done.returncode == 1


def steps(text):
    """(instruction, the rest) of a container file's lines, in their order."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(step.split(" ", 1)) for step in "\n".join(lines).replace("\\\n", " ").splitlines()]


def test_the_container_is_made_of_the_wheel_alone(built):
    found = steps(DOCKERFILE.read_text())
    copied = [rest.split()[-2] for name, rest in found if name == "COPY"]
    assert copied
    assert all(Path(built[0].name).match(pattern) for pattern in copied)
    assert {name for name, _ in found} == {"ARG", "FROM", "WORKDIR", "COPY", "RUN"}  # and opens no port
    # both kinds of base are named, and tokens need Ray 2.52
    bases = re.findall(r"rayproject/ray:2\.(\d+)\.\d+-py3\d+-(\w+)", DOCKERFILE.read_text())
    assert {kind for _, kind in bases} == {"gpu", "cpu"}
    assert all(int(minor) >= 52 for minor, _ in bases)


@pytest.fixture(scope="module")
def image(built, tmp_path_factory):
    """(environment, folder) after the container file's steps, in a fresh virtual environment as the base.

    It gets Ray, which the base image has, and then what the steps bring: several gigabytes, in minutes.
    """
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder / "venv", with_pip=True)
    base = subprocess.run([str(folder / "venv/bin/pip"), "install", "--quiet", "ray[default,tune]"])
    assert base.returncode == 0
    home = folder / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PATH": f"{folder / 'venv/bin'}:{os.environ['PATH']}", "HOME": str(home)}
    arguments = {}
    for name, rest in steps(DOCKERFILE.read_text()):
        if name == "ARG":
            key, _, value = rest.partition("=")
            arguments[key] = value
        elif name == "COPY":
            *_, target = rest.split()
            (home / target).mkdir()
            shutil.copy2(built[0], home / target)
        elif name == "RUN":
            done = subprocess.run(
                ["bash", "-c", rest], cwd=home, env=environment | arguments, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert nas.__version__ in done.stdout
    yield environment, home
    shutil.rmtree(folder / "venv")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_installed_package_searches_launches_and_exports(image):
    environment, home = image

    def run(*words):
        done = subprocess.run(words, cwd=home, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    place = Path(run("python", "-c", "import nas; print(nas.__file__)").strip())
    assert ROOT not in place.parents
    assert list(home.glob("wheels")) == []
    run("pip", "check")
    assert json.loads(run("nas", "rediscover", "--trials", "40", "--json"))
    search = ("search", "--data", "digits", "--trials", "3", "--epochs", "1", "--target", "5M")
    run("nas", *search, "--full-resolution", "32", "--out", "first")
    assert len((home / "first" / "trials.jsonl").read_text().splitlines()) == 3
    dry = ("nas", "launch", "--dry-run", "--to")
    assert "RayJob" in run(*dry, "kuberay", "--", "search", "--out", "x", "--storage", "s3://bucket/runs")
    assert "#SBATCH" in run(*dry, "slurm", "--", "search")
    assert json.loads(run(*dry, "job", "--", "search"))["runtime_env"]["py_modules"]
    run("nas", "launch", "--files", "launch")
    assert "local-cluster start" in run("launch/local-cluster", "--help")
    run("nas", "export", "first", "--to", "onnx", "--out", "winner.onnx")
    run("nas", "export", "first", "--to", "timm", "--out", "winner.py")
    assert (home / "winner.onnx").stat().st_size > 10_000
