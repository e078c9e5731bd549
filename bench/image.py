"""What each layer of an image takes, and whether it serves: by docker's rules, without docker.

    python bench/image.py [--target cpu] [--serve] [--prefix]

Runs the steps of deploy/docker/Dockerfile as root, each in a layer of its own, in Debian's smallest
system, which debootstrap makes once and which stands for the image of Python. --serve then starts it
as docker would, alone in a network of its own: entry point, user, health check, one answer. --prefix
asks for neither root nor debootstrap: all steps but those of the system itself, in an empty folder.
"""

import argparse
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from images.dockerfile import stages_of
from images.prefixed import Prefix
from images.rooted import Builder, Image, inside, lent, make_base, mounted
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
IGNORED = "Dockerfile.dockerignore"
PATIENCE_S = 300.0
INSIDE = "RAYLAX_BENCH_IMAGE"
"""Set where the command runs in a mount namespace of its own."""
ALONE = """
set -e
ip link set lo up
mount -t proc proc {root}/proc
{started} > /dev/null &
until {healthy} 2> /dev/null; do kill -0 $!; sleep 1; done
echo "healthy after $SECONDS s"
{asked}
kill -TERM $!
wait $! || [ $? = 143 ]
"""
ASK = """
import json, urllib.request as u
body = {"messages": [{"role": "user", "content": "What is 2 + 2?"}], "temperature": 0}
ask = u.Request("http://127.0.0.1:8000/v1/chat/completions", json.dumps(body).encode())
ask.add_header("Content-Type", "application/json")
print(json.load(u.urlopen(ask, timeout=60))["choices"][0]["message"]["content"])
"""


def size(directory: Path) -> int:
    """Bytes of its files, those with several names counted once, as a layer's archive has them."""
    stats = {
        (s := path.lstat()).st_ino: s.st_size
        for path in directory.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    return sum(stats.values())


def show(image: Image) -> None:
    table = Table("layer", "MB")
    sizes = [(name, size(layer) / 1e6) for name, layer in image.layers]
    for name, megabytes in sizes:
        table.add_row(name if len(name) < 60 else f"{name[:59]}…", f"{megabytes:.1f}")
    table.add_section()
    table.add_row("all", f"{sum(megabytes for _, megabytes in sizes):.0f}")
    Console(width=80).print(table)


def serve(image: Image, work: Path) -> None:
    """Entry point and command, until the health check passes and a question is answered."""
    check = json.loads(image.said["HEALTHCHECK"].text.partition("CMD ")[2])
    with mounted(image, work, work / "running") as root, lent(root):
        starts = [*image.said["ENTRYPOINT"].words, *image.said["CMD"].words]
        commands = [inside(image, root, one) for one in (starts, check, ["python", "-c", ASK])]
        started, healthy, asked = map(shlex.join, commands)
        script = ALONE.format(root=root, started=started, healthy=healthy, asked=asked)
        namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child"]
        own = ["unshare", *namespaces, "bash", "-c", script]
        subprocess.run(own, check=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)


def in_a_prefix(target: str, wants_answer: bool) -> None:
    """The target's steps below an empty folder, and what they take there."""
    with tempfile.TemporaryDirectory() as name:
        stages, ignored = stages_of(DOCKERFILE.read_text()), DOCKERFILE.with_name(IGNORED)
        prefix = Prefix(Path(name), ROOT, ignored)
        prefix.make(stages, f"needs-{target}")
        needs = size(prefix.root / "opt/raylax")
        prefix.make(stages, target)
        all_of_it = size(prefix.root / "opt/raylax")
        table = Table("layer", "MB")
        table.add_row("what raylax needs", f"{needs / 1e6:.0f}")
        table.add_row("raylax", f"{(all_of_it - needs) / 1e6:.0f}")
        Console(width=80).print(table)
        if wants_answer:
            serve_below(prefix)


def serve_below(prefix: Prefix) -> None:
    """Entry point and command, on ports that are free, until a question is answered."""
    port, grpc_port = free_ports(2)
    own = ["--host", "127.0.0.1", "--port", str(port), "--grpc-port", str(grpc_port)]
    starts = [*prefix.said["ENTRYPOINT"].words, *prefix.said["CMD"].words, *own]
    check = json.loads(prefix.said["HEALTHCHECK"].text.partition("CMD ")[2])
    begun = time.monotonic()
    with subprocess.Popen(
        ["env", *starts], env=prefix.environment, stdout=subprocess.DEVNULL
    ) as running:
        try:
            while subprocess.run(
                ["env", *(word.replace(":8000", f":{port}") for word in check)],
                env=prefix.environment, stderr=subprocess.DEVNULL,
            ).returncode:  # fmt: skip
                if running.poll() is not None or time.monotonic() - begun > PATIENCE_S:
                    sys.exit("error: it does not serve")
                time.sleep(1)
            print(f"healthy after {time.monotonic() - begun:.0f} s")
            print(prefix.run(["env", "python", "-c", ASK.replace(":8000", f":{port}")]), end="")
        finally:
            running.terminate()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in made]


def fetched(package: Path) -> str | None:
    """debootstrap, as scripts/debian_tools unpacks it, with its files beside it."""
    os.environ["DEBOOTSTRAP_DIR"] = str(package / "share" / "debootstrap")
    program = package / "sbin" / "debootstrap"
    return str(program) if program.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--prefix", action="store_true")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--base", type=Path, default=cache / "raylax-image" / "debian")
    args = parser.parse_args()
    if args.prefix:
        return in_a_prefix(args.target, args.serve)
    debootstrap = shutil.which("debootstrap") or fetched(cache / "raylax-debootstrap" / "usr")
    if os.geteuid() or debootstrap is None:
        sys.exit(
            "error: bench/image.py needs root and debootstrap (scripts/debian_tools), or --prefix"
        )
    args.base.parent.mkdir(parents=True, exist_ok=True)
    make_base(args.base, debootstrap)
    with tempfile.TemporaryDirectory(dir=args.base.parent) as name:
        stages = stages_of(DOCKERFILE.read_text())
        ignored = DOCKERFILE.with_name(IGNORED)
        image = Builder(stages, args.base, Path(name), ROOT, ignored).made(args.target)
        show(image)
        if args.serve:
            serve(image, Path(name))


if __name__ == "__main__":
    if INSIDE not in os.environ and "--prefix" not in sys.argv:
        os.environ[INSIDE] = "yes"
        own = ["unshare", "--mount", "--propagation", "private"]
        os.execvp(own[0], [*own, sys.executable, *sys.argv])
    main()
