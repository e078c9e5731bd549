"""Everything that SECURITY.md promises, tried on a cluster as a user would start it.

    python bench/attack.py [MODEL] [--only WORD …] [--json FILE]

Without a model, the demo model; two workers, three API keys. What processes survive is tried by
chaos.py. Exits with 1 if a promise did not hold. As root it also tries to be another user.
"""

import argparse
import json
import resource
import sys
from pathlib import Path

from attacks import clients, local_users, networks, tenants
from attacks.house import house
from attacks.report import Attack, Finding, table_of, tried
from rich.console import Console

FILES = (local_users, clients, tenants)
"""Tried on loopback; the networks' on a cluster that serves every address."""


def chosen(attacks: list[Attack], words: list[str]) -> list[Attack]:
    return [one for one in attacks if not words or any(word in one.__name__ for word in words)]


def attacked(
    model: str | None, attacks: list[Attack], console: Console, host: str = "127.0.0.1"
) -> list[Finding]:
    """Who ends the house gets another one for the next attack."""
    found: list[Finding] = []
    while left := attacks[len(found) :]:
        with house(model, host) as it:
            for attack in left:
                with console.status(attack.__name__.replace("_", " ")):
                    found.append(tried(attack, it))
                console.print(table_of(found[-1:]))
                if not it.answers(1):
                    break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?")
    parser.add_argument("--only", nargs="+", default=[], help="attacks with such a word in them")
    parser.add_argument("--json", type=Path, help="the findings, for a machine")
    args = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    console = Console()
    usual = chosen([one for file in FILES for one in file.ATTACKS], args.only)
    found = attacked(args.model, usual, console)
    found += attacked(args.model, chosen(networks.ATTACKS, args.only), console, "0.0.0.0")
    console.print(table_of(found))
    if args.json:
        rows = [[one.name, one.held, one.found] for one in found]
        args.json.write_text(json.dumps(rows, indent=1))
    sys.exit(0 if all(one.held for one in found) else 1)


if __name__ == "__main__":
    main()
