"""Another user of the same machine. Needs root, which tries as `nobody`."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

from attacks.house import House
from attacks.report import Attack, Broken
from raylax.cluster.startup.sockets import listening
from raylax.cluster.supervision.roles import Role

NOBODY = 65534
TOUCH = "import sys; open(sys.argv[1], 'w')"
COMMAND = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(2); s.connect(sys.argv[1])
s.sendall(b"show info\\n"); sys.exit(0 if s.recv(100) else 1)
"""
TAKING_S = 10
TAKE = """
import socket, sys, time
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            one.bind(("127.0.0.1", int(sys.argv[1])))
            one.listen()
            sys.exit(0)
        except OSError:
            time.sleep(0.002)
sys.exit(1)
"""


def as_nobody(code: str, *arguments: object) -> bool:
    """Whether some Python code succeeds as a user who has nothing to do with us."""
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", code, *map(str, arguments)],
        user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, cwd="/",
    )  # fmt: skip
    return done.returncode == 0


def need_root() -> None:
    if os.getuid() != 0:
        raise Broken("not tried: it needs root, to become another user")


def writes_in_the_run_directory(house: House) -> str:
    """Nobody else can write, read or replace anything of a run."""
    need_root()
    run, looked = house.run_directory, 0
    for path in [run, *run.rglob("*")]:
        if path.is_symlink():
            continue
        looked += 1
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode) and as_nobody_may(path, mode) and as_nobody(TOUCH, path / "probe"):
            (path / "probe").unlink()
            raise Broken(f"nobody can write in {path.relative_to(run)} ({stat.filemode(mode)})")
    return f"{looked} files and directories looked at"


def as_nobody_may(path: Path, mode: int) -> bool:
    """Worth a process that tries."""
    return bool(mode & stat.S_IWOTH) and path.exists()


def commands_the_front_door(house: House) -> str:
    """Nobody else can talk to any socket of a run."""
    need_root()
    found = [path for path in house.run_directory.rglob("*") if path.is_socket()]
    for path in found:
        if as_nobody(COMMAND, path):
            raise Broken(f"nobody commands {path.name} ({stat.filemode(path.stat().st_mode)})")
    return f"{len(found)} sockets refuse"


def plants_a_library(house: House) -> str:
    """A store in which somebody else could put a library is refused by name."""
    need_root()
    store = house.temporary / "planted"
    store.mkdir()
    os.chown(store, NOBODY, NOBODY)
    done = subprocess.run(
        [Path(sys.executable).with_name("raylax"), "compile", "demo"],
        env=os.environ | {"RAYLAX_STORE": str(store)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode == 0 or "Traceback" in done.stderr or str(store) not in done.stderr:
        raise Broken(f"exit code {done.returncode}: {done.stderr[-200:] or 'loaded from there'}")
    return "refused: " + done.stderr.strip().splitlines()[-1][:120]


def asks_what_serve_tells(house: House) -> str:
    """Serve's own pages and HAProxy's statistics tell nobody anything without a key."""
    told = []
    for port in ports_of(house):
        for path in ("/-/routes", "/stats", "/metrics"):
            if status_of(port, path) == 200:
                told.append(f":{port}{path}")
    if told:
        raise Broken(f"answered without a key: {', '.join(sorted(told))}")
    return "all refuse"


def ports_of(house: House) -> set[int]:
    return {port for _, port in listening(house.pids())}


def status_of(port: int, path: str) -> int:
    """0: it is no HTTP."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as raw:
            raw.settimeout(2)
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            said = raw.recv(100).split()
            return int(said[1]) if said and said[0].startswith(b"HTTP/1") else 0
    except (OSError, ValueError, IndexError):
        return 0


def takes_the_place_of_the_dead(house: House) -> str:
    """Nobody else can listen where a server of ours has just died."""
    need_root()
    tries = [
        subprocess.Popen(
            ["/usr/bin/env", "python3", "-c", TAKE, str(port), str(TAKING_S)],
            user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
        )
        for port in (house.port, house.grpc_port)
    ]  # fmt: skip
    for role in (Role.HAPROXY, Role.ROUTER):
        assert (pid := house.first(role)) is not None, f"there is no {role}"
        os.kill(pid, signal.SIGKILL)
    taken = [one.args[4] for one in tries if one.wait() == 0]  # type: ignore[index]
    if taken:
        raise Broken(f"nobody listens at port {', '.join(taken)}")
    if not house.answers(60):
        raise Broken("no answer came afterwards")
    return f"not in {TAKING_S} s of trying, while HAProxy and routers were killed"


def asks_past_the_front_door(house: House) -> str:
    """No other port of ours answers HTTP to who has no secret of the run."""
    inner = ports_of(house) - {house.port, house.grpc_port}
    told = [port for port in sorted(inner) if status_of(port, "/health") == 200]
    if told:
        raise Broken(f"answered at {', '.join(map(str, told))}")
    return f"{len(inner)} ports refuse"


ATTACKS: list[Attack] = [
    writes_in_the_run_directory,
    commands_the_front_door,
    plants_a_library,
    asks_what_serve_tells,
    asks_past_the_front_door,
    takes_the_place_of_the_dead,
]
