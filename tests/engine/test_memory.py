"""The memory of a process is the least of the machine's and of all control groups around it."""

from __future__ import annotations

import dask
import pytest

from dlbd_estimators.engine.memory import Memory, process_memory

GB = 10**9
MACHINE = 64 * 2**30


@pytest.fixture
def write(tmp_path):
    """Write files of the kernel below a root of the test's own."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return process_memory(tmp_path)

    write(
        {
            "proc/meminfo": "MemTotal:       67108864 kB\nMemFree:  1 kB\n"
            "MemAvailable:   33554432 kB\nHugePages_Total:       0\n"
        }
    )
    return write


def v2(path, limit, used=None, stat=""):
    folder = f"sys/fs/cgroup/{path}".rstrip("/")
    files = {f"{folder}/memory.max": f"{limit}\n", f"{folder}/memory.stat": stat}
    return files if used is None else {**files, f"{folder}/memory.current": f"{used}\n"}


def v1(path, limit, used=0, stat=""):
    folder = f"sys/fs/cgroup/memory/{path}".rstrip("/")
    return {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{used}\n",
        f"{folder}/memory.stat": stat,
    }


def test_without_groups_it_is_the_machines(write):
    assert write({}) == Memory(MACHINE, MACHINE // 2)


def test_a_limit_of_the_own_group_counts(write):
    found = write({"proc/self/cgroup": "0::/job/step\n", **v2("job/step", 2 * GB, GB // 2)})
    assert found == Memory(2 * GB, 3 * GB // 2)


def test_the_least_limit_around_counts(write):
    files = {
        "proc/self/cgroup": "0::/a/b/c\n",
        **v2("a/b/c", "max", GB),
        **v2("a/b", 3 * GB, 2 * GB),
        **v2("a", 4 * GB, 7 * GB // 2),
    }
    # The group in between has the least limit, the one around it the least that is left.
    assert write(files) == Memory(3 * GB, GB // 2)


def test_groups_beside_the_own_count_nothing(write):
    found = write({"proc/self/cgroup": "0::/mine\n", **v2("other", GB), **v2("mine/below", GB)})
    assert found == Memory(MACHINE, MACHINE // 2)


def test_inside_a_container_the_mount_is_the_group(write):
    # Version 2 with a namespace, one that shows its own path from elsewhere, and version 1.
    for line in ("0::/\n", "0::/../../other\n"):
        found = write({"proc/self/cgroup": line, **v2("", 2 * GB, GB)})
        assert found == Memory(2 * GB, GB)


def test_version_1(write):
    lines = "12:cpu,cpuacct:/docker/abc\n9:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/x\n"
    unlimited = 9223372036854771712
    assert write({"proc/self/cgroup": lines}) == Memory(MACHINE, MACHINE // 2)
    assert write(v1("", unlimited)) == Memory(MACHINE, MACHINE // 2)
    assert write(v1("docker/abc", 2 * GB, GB)) == Memory(2 * GB, GB)
    # Seen from inside, the limit is on the mount.
    assert write(v1("", GB, GB // 4)).limit == GB


def test_files_that_can_be_read_again_take_no_memory(write):
    stat = f"anon 5\nactive_file {GB // 4}\ninactive_file {GB // 2}\n"
    found = write({"proc/self/cgroup": "0::/\n", **v2("", 2 * GB, GB, stat)})
    assert found == Memory(2 * GB, 7 * GB // 4)
    stat = f"total_active_file {GB // 4}\ntotal_inactive_file {GB}\n"
    found = write({"proc/self/cgroup": "5:memory:/\n", **v1("", 2 * GB, GB, stat)})
    assert found == Memory(2 * GB, 2 * GB)


def test_what_is_used_beyond_the_limit_leaves_nothing(write):
    found = write({"proc/self/cgroup": "0::/\n", **v2("", GB, 2 * GB)})
    assert found == Memory(GB, 0)


def test_where_nothing_can_be_read_the_system_is_asked(tmp_path):
    found = process_memory(tmp_path)
    assert found.limit == found.available > 0


def test_of_this_process():
    found = process_memory()
    assert 0 < found.available <= found.limit


@pytest.mark.parametrize("value", ["2GB", 2 * GB, 2e9])
def test_it_can_be_set_by_hand(value, write):
    with dask.config.set({"dlbd-estimators.memory": value}):
        assert write({}) == Memory(2 * GB, 2 * GB)


@pytest.mark.parametrize("value", ["a lot", 0, -1, True, [1], float("inf"), float("nan")])
def test_what_is_no_size_is_refused(value, write):
    with (
        dask.config.set({"dlbd-estimators.memory": value}),
        pytest.raises(ValueError, match=r"dlbd-estimators\.memory must be a size such as"),
    ):
        write({})
