"""The tool cache from outside: the real script in a small project, with programs as told."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import tools
from scripts.toolbox import debian, tool
from tests.tools import eventually, running
from tests.tools import node as node_for_tests

ROOT = Path(__file__).resolve().parents[3]
OLD_GO = "echo go1.19.8"
# What `go run .../builder` and `go build` do, as far as the script can see.
BUILDING_GO = """
case "$1" in
env) echo go1.99.1;;
run)
    echo built >> "$BUILDS"
    /bin/mkdir build
    echo '#!/bin/sh' > build/otelcol
    /bin/chmod +x build/otelcol;;
build)
    { echo "$@"; /bin/cat go.mod; } >> "$BUILDS"
    echo '#!/bin/sh' > ../prometheus
    /bin/chmod +x ../prometheus;;
esac
"""


class Project:
    """A folder with the script and the manifest, and a PATH with the test's programs only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "bin"
        self.builds = folder / "builds.txt"
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        (folder / "collector-config").mkdir()
        shutil.copy(ROOT / "collector-config" / "builder.yaml", folder / "collector-config")
        self.path.mkdir()

    def program(self, name: str, script: str) -> None:
        """Put a program on PATH."""
        (self.path / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.path / name).chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        # No index: pip must answer at once that a wheel cannot be had.
        return {"PATH": str(self.path), "BUILDS": str(self.builds), "PIP_NO_INDEX": "1"}

    def command(self, *names: str) -> list[str]:
        return [sys.executable, str(self.folder / "scripts" / "tools.py"), *names]

    def install(self, *names: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*names), env=self.env, capture_output=True, text=True, check=False
        )

    def collectors(self) -> list[Path]:
        return list(self.folder.glob(".cache/collector/*/otelcol"))

    def number_of_builds(self) -> int:
        return len(self.builds.read_text().split()) if self.builds.exists() else 0


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_second_run_builds_nothing(project: Project) -> None:
    project.program("go", BUILDING_GO)
    first, second = project.install("collector"), project.install("collector")
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr
    assert "done after" in first.stdout
    assert second.stdout.startswith("collector: ready: ")
    assert project.number_of_builds() == 1


def test_changed_manifest_is_built_again_and_a_changed_comment_is_not(project: Project) -> None:
    project.program("go", BUILDING_GO)
    manifest = project.folder / "collector-config" / "builder.yaml"
    project.install("collector")
    manifest.write_text("# another word\n" + manifest.read_text())
    project.install("collector")
    assert project.number_of_builds() == 1
    manifest.write_text(manifest.read_text() + "connectors: []\n")
    project.install("collector")
    assert project.number_of_builds() == 2
    assert len(project.collectors()) == 2


def test_killed_build_leaves_nothing_that_counts_and_is_done_over(project: Project) -> None:
    # It dies with half a tool on disk, the way a machine that is switched off leaves it.
    project.program("go", BUILDING_GO + '[ "$1" = run ] && kill -9 $PPID')
    assert project.install("collector").returncode == -signal.SIGKILL
    assert project.number_of_builds() == 1
    assert not list(project.folder.glob(".cache/collector/0*"))
    project.program("go", BUILDING_GO)
    assert project.install("collector").returncode == 0
    assert len(project.collectors()) == 1


def test_terminated_script_takes_its_build_with_it(project: Project, tmp_path: Path) -> None:
    started = tmp_path / "pid"
    hang = f'[ "$1" = run ] && {{ echo $$ > {started}; exec /bin/sleep 600; }}'
    project.program("go", 'echo go1.99.1 | { [ "$1" = env ] && /bin/cat; }\n' + hang)
    with running("tools", project.command("collector"), tmp_path, project.env) as script:
        pid = int(eventually(lambda: non_empty(started), script))
        script.process.terminate()
        assert script.process.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def non_empty(path: Path) -> str:
    text = path.read_text()
    assert text
    return text


def test_two_at_the_same_time_build_once(project: Project) -> None:
    project.program("go", '[ "$1" = run ] && /bin/sleep 0.5\n' + BUILDING_GO)
    both = [
        subprocess.Popen(project.command("collector"), env=project.env, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert project.number_of_builds() == 1


def test_failed_build_says_why_and_keeps_the_reason(project: Project) -> None:
    project.program("go", 'echo go1.99.1\n[ "$1" = env ] || { echo no such module >&2; exit 1; }')
    result = project.install("collector")
    assert result.returncode == 1
    assert "collector: MISSING: go failed (no such module)" in result.stdout
    reason = project.folder / ".cache" / "collector" / "unavailable.txt"
    assert "no such module" in reason.read_text()
    project.program("go", BUILDING_GO)
    assert project.install("collector").returncode == 0
    assert not reason.exists()


def test_build_without_a_result_does_not_count(project: Project) -> None:
    project.program("node", "")
    project.program("go", BUILDING_GO.replace("/bin/chmod +x", ":"))
    result = project.install("collector", "node")
    assert result.returncode == 1
    assert "MISSING: installed without error, but there is no otelcol" in result.stdout
    assert "node: ready" in result.stdout  # one that is missing does not hold up the others


@pytest.mark.parametrize(("go", "said"), [(None, "none on PATH"), (OLD_GO, "which is older")])
def test_without_a_go_that_is_new_enough_a_wheel_is_tried(
    project: Project, go: str | None, said: str
) -> None:
    if go:
        project.program("go", go)
    result = project.install("collector")
    assert result.returncode == 1
    assert "needs Go 1.26 or newer" in result.stdout
    assert said in result.stdout
    assert "go: not in the cache; fetching it as a wheel" in result.stdout
    assert "collector: MISSING: no Go to build it with" in result.stdout


def test_prometheus_without_apt_says_what_would_help(project: Project) -> None:
    result = project.install("prometheus")
    assert result.returncode == 1
    assert "no apt-get or apt-config or dpkg here; put prometheus and promtool" in result.stdout


def test_prometheus_on_path_is_used(project: Project) -> None:
    project.program("prometheus", "")
    assert project.install("prometheus").returncode == 1  # promtool is needed as well
    project.program("promtool", "")
    assert project.install("prometheus").returncode == 0


def test_prometheus_that_takes_otlp_is_built_at_its_pinned_version(project: Project) -> None:
    project.program("go", BUILDING_GO)
    assert project.install("prometheus-otlp").returncode == 0
    module, version = tools.PROMETHEUS_MODULE
    build = project.builds.read_text()
    assert f"require {module} {version}\n" in build
    assert f"{module}/cmd/prometheus\n" in build
    link = project.folder / ".cache" / "bin" / "prometheus-otlp"
    assert link.resolve().name == "prometheus"
    assert version.removeprefix("v") in link.resolve().parent.name
    assert project.install("prometheus-otlp").returncode == 0
    assert project.builds.read_text() == build


def unpacks_victoria(project: Project, program: str) -> None:
    project.program("apt-config", "")
    project.program("apt-get", '[ "$2" = update ] || : > victoria-metrics_1.112.deb')
    script = f"#!/bin/sh\n{program}\n"
    project.program(
        "dpkg",
        f'/bin/mkdir -p "$3/usr/bin"; /bin/cp sources.list apt.conf {project.path}\n'
        f"for name in {' '.join(tools.VICTORIA_PROGRAMS)} vmbackup; do\n"
        f"echo {shlex.quote(script)} > $3/usr/bin/$name; /bin/chmod +x $3/usr/bin/$name\n"
        "done",
    )


@pytest.mark.skipif(not debian.KEYRING.is_file(), reason="Debian's keyring is not here")
def test_victoria_metrics_comes_from_a_release_that_has_otlp(project: Project) -> None:
    unpacks_victoria(project, "exit 0")
    result = project.install("victoria-metrics")
    assert result.returncode == 0, result.stdout
    (folder,) = project.folder.glob(".cache/victoria-metrics/trixie-*")
    assert {each.name for each in (folder / "usr/bin").iterdir()} == set(tools.VICTORIA_PROGRAMS)
    sources = (project.path / "sources.list").read_text()
    assert sources.startswith(f"deb [signed-by={debian.KEYRING}] ")
    assert "trixie main" in sources
    settings = (project.path / "apt.conf").read_text()
    assert f'sourcelist "{folder.parent}/partial/apt/sources.list"' in settings
    assert 'sourceparts "/dev/null"' in settings
    assert f'status "{folder.parent}/partial/apt/status"' in settings


@pytest.mark.skipif(not debian.KEYRING.is_file(), reason="Debian's keyring is not here")
def test_victoria_metrics_that_does_not_start_does_not_count(project: Project) -> None:
    unpacks_victoria(project, "echo no such libc >&2; exit 1")
    result = project.install("victoria-metrics")
    assert result.returncode == 1
    assert "MISSING: victoria-metrics does not start here: no such libc" in result.stdout
    assert not list(project.folder.glob(".cache/victoria-metrics/trixie-*"))


def test_kubectl_on_path_is_used(project: Project) -> None:
    project.program("kubectl", "")
    result = project.install("kubectl")
    assert (result.returncode, result.stdout) == (0, f"kubectl: ready: {project.path}/kubectl\n")


def test_links_lead_to_the_version_that_is_wanted_now(project: Project) -> None:
    project.program("go", BUILDING_GO)
    link = project.folder / ".cache" / "bin" / "otelcol"
    (first,) = (project.install("collector"), project.collectors())[1]
    assert link.resolve() == first.resolve()
    assert os.access(link, os.X_OK)
    manifest = project.folder / "collector-config" / "builder.yaml"
    manifest.write_text(manifest.read_text() + "connectors: []\n")
    project.install("collector")
    (second,) = set(project.collectors()) - {first}
    assert link.resolve() == second.resolve()
    link.unlink()
    project.install("collector")  # nothing to build, and the link is there again
    assert link.resolve() == second.resolve()
    assert [each.name for each in link.parent.iterdir()] == ["otelcol"]


def test_own_links_do_not_pass_for_programs_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "prometheus").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "prometheus").chmod(0o755)
    assert tools.find(tools.PROMETHEUS, "prometheus") is None


def test_jemalloc_without_apt_says_what_would_help(project: Project) -> None:
    result = project.install("jemalloc")
    assert result.returncode == 1
    assert "no apt-get or apt-config or dpkg here; install jemalloc instead" in result.stdout


def test_jemalloc_that_cannot_be_preloaded_does_not_count(project: Project) -> None:
    project.program("apt-config", "")
    project.program("apt-get", '[ "$2" = update ] || : > libjemalloc2_5.3.deb')
    project.program(
        "dpkg", '/bin/mkdir -p "$3/usr/lib/x" && echo x > "$3/usr/lib/x/libjemalloc.so.2"'
    )
    result = project.install("jemalloc")
    assert result.returncode == 1
    assert "jemalloc: MISSING: it cannot be preloaded: " in result.stdout
    assert not list(project.folder.glob(".cache/jemalloc/*-*"))


def unpacks_alertmanager(project: Project, unshare: str) -> None:
    project.program("apt-config", "")
    project.program("apt-get", '[ "$2" = update ] || : > prometheus-alertmanager_0.25.deb')
    project.program("dpkg", '/bin/mkdir -p "$3/usr/share"')
    for name in ("dirname", "readlink"):
        (project.path / name).symlink_to(shutil.which(name) or name)
    project.program("unshare", unshare)


def test_alertmanager_is_started_with_its_own_files(project: Project, tmp_path: Path) -> None:
    unpacks_alertmanager(project, f'echo "$@" >> {tmp_path}/started')
    result = project.install("alertmanager")
    assert result.returncode == 0, result.stdout
    (folder,) = project.folder.glob(".cache/alertmanager/*-*")
    subprocess.run([project.folder / ".cache/bin/alertmanager", "--x"], env=project.env, check=True)
    last = (tmp_path / "started").read_text().splitlines()[-1]
    assert last.endswith(f"{folder} prometheus-alertmanager --x")


def test_alertmanager_that_may_not_mount_its_files_does_not_count(project: Project) -> None:
    unpacks_alertmanager(project, "echo Operation not permitted >&2; exit 1")
    result = project.install("alertmanager")
    assert result.returncode == 1
    assert "no mount namespace for it (Operation not permitted); put alertm" in result.stdout
    assert not list(project.folder.glob(".cache/alertmanager/*-*"))


def test_apt_settings_keep_sources_and_lose_hooks(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.program(
        "apt-config",
        "echo 'Acquire::http::Proxy \"http://127.0.0.1:3128\";'\n"
        "echo 'APT::Update::Post-Invoke:: \"rm everything\";'\n"
        "echo 'DPkg::Post-Invoke:: \"rm everything\";'\n"
        "echo 'Dir::State \"var/lib/apt\";'",
    )
    monkeypatch.setenv("PATH", str(project.path))
    text = debian.write_apt_settings(tmp_path).read_text()
    assert "Proxy" in text
    assert "rm everything" not in text
    assert text.index("var/lib/apt") < text.index(f'Dir::State "{tmp_path}/state/"')


def test_unknown_tool_is_refused_with_the_list(project: Project) -> None:
    result = project.install("kafka")
    assert result.returncode == 2
    assert (
        "no such tool: kafka; there are collector, prometheus, prometheus-otlp, victoria-metrics, "
        "alertmanager, node, kubectl, jemalloc, go" in result.stderr
    )


def test_missing_tool_skips_with_the_reason_or_fails_when_all_are_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="node is missing: not installed yet"):
        node_for_tests()
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "unavailable.txt").write_text("no network\n")
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="node is missing: no network"):
        node_for_tests()
