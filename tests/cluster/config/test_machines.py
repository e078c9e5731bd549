"""Addresses of machines, as people type them."""

import pytest

from raylax.cluster.config.machines import Place, place_of
from raylax.cluster.config.reading import read_config
from raylax.cluster.errors import UserError


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("10.0.0.2", Place("10.0.0.2", 7000)),
        ("10.0.0.2:1", Place("10.0.0.2", 1)),
        ("127.0.0.2:65535", Place("127.0.0.2", 65535)),
    ],
)
def test_an_address_with_and_without_a_port(text: str, place: Place) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize(
    "text",
    ["", "node-7", "10.0.0", "0.0.0.0", "127.0.0.1", "127.0.0.1:7000", "224.0.0.1", "::1",
     "[fd00::1]:7000", "10.0.0.2 ", "http://10.0.0.2"],
)  # fmt: skip
def test_what_no_other_machine_could_reach(text: str) -> None:
    with pytest.raises(ValueError, match="^must be the address of IPv4 by which other machines"):
        place_of(text)


@pytest.mark.parametrize("port", ["", "0", "65536", "x", "-1", "²", "9" * 5000])
def test_a_port_that_is_none(port: str) -> None:
    with pytest.raises(ValueError, match="^must end with a port from 1 to 65535"):
        place_of(f"10.0.0.2:{port}")


def test_machines_join_by_a_secret_alone() -> None:
    """What others may join is not opened to everybody."""
    for one in ({"cluster": "10.0.0.2"}, {"cluster_secret": "secret"}):
        with pytest.raises(UserError, match="machines join by a secret alone, found one without"):
            read_config(None, one)

    config = read_config(None, {"cluster": "10.0.0.2", "cluster_secret": "secret"})
    assert config.cluster == "10.0.0.2:7000"
    assert config.cluster_secret is not None and config.cluster_secret.is_absolute()
