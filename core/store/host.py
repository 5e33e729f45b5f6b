"""Facts about this host: its name, whether a process lives, whether a folder is a network share."""

import os
import socket
import subprocess
import sys
from pathlib import Path

# File systems on which SQLite's WAL cannot work: it needs memory shared by all processes
# (https://www.sqlite.org/wal.html, "does not work over a network filesystem").
NETWORK_FILESYSTEMS = frozenset(
    (
        "9p",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.davfs2",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "osxfs",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "webdav",
    )
)


def host_name() -> str:
    """A name under which process ids are comparable: the host and, on Linux, its pid namespace."""
    name = socket.gethostname()
    namespace = Path("/proc/self/ns/pid")
    try:
        return f"{name} {namespace.readlink()}"
    except OSError:
        return name


def process_alive(pid: int) -> bool:
    """Whether a process of this host runs."""
    if sys.platform == "win32":
        return _process_alive_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _process_alive_windows(pid: int) -> bool:
    # os.kill(pid, 0) would send Ctrl-C on Windows.
    import ctypes

    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    query_limited, still_active = 0x1000, 259
    handle = kernel32.OpenProcess(query_limited, False, pid)
    if not handle:
        access_denied = 5
        return bool(ctypes.get_last_error() == access_denied)  # type: ignore[attr-defined,unused-ignore]
    code = ctypes.c_ulong()
    kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel32.CloseHandle(handle)
    return code.value == still_active


def network_filesystem(folder: Path) -> str:
    """The name of the network file system that a folder lies on; empty for a local one."""
    folder = folder.resolve()
    if sys.platform == "win32":
        return _network_drive_windows(folder)
    kind = filesystem_of(folder, _mounts())
    return kind if kind in NETWORK_FILESYSTEMS else ""


def filesystem_of(folder: Path, mounts: list[tuple[str, str]]) -> str:
    """The file system type of the longest mount point above a folder.

    Args:
        folder: absolute.
        mounts: mount point and type, in mounting order: a later one hides an earlier one.
    """
    above = {str(folder), *(str(parent) for parent in folder.parents)}
    best, kind = "", ""
    for point, point_kind in mounts:
        if point in above and len(point) >= len(best):
            best, kind = point, point_kind
    return kind


def _mounts() -> list[tuple[str, str]]:
    table = Path("/proc/self/mounts")
    if table.exists():
        fields = (line.split(" ") for line in table.read_text(errors="replace").splitlines())
        return [(_unescape(line[1]), line[2]) for line in fields if len(line) > 2]
    listing = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
    mounts = []
    for line in listing.splitlines():  # macOS: "//server/share on /Volumes/share (smbfs, ...)"
        point, _, options = line.partition(" on ")[2].rpartition(" (")
        mounts.append((point, options.split(",")[0].rstrip(")")))
    return mounts


def _unescape(point: str) -> str:
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        point = point.replace(code, character)
    return point


def _network_drive_windows(folder: Path) -> str:
    import ctypes

    if folder.drive.startswith("\\\\"):
        return "network share"
    drive_remote = 4
    kind = ctypes.WinDLL("kernel32").GetDriveTypeW(f"{folder.drive}\\")  # type: ignore[attr-defined,unused-ignore]
    return "network drive" if kind == drive_remote else ""
