"""Hosts of either kind of address, with their ports."""

import pytest

from raylax.proto.addresses import address_of, bare_host, parts_of, url_host


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("localhost", "localhost:80"),
        ("", ":80"),
        ("::1", "[::1]:80"),
        ("::", "[::]:80"),
        ("fe80::1%eth0", "[fe80::1%eth0]:80"),
    ],
)
def test_an_address_is_taken_apart_as_it_was_put_together(host: str, address: str) -> None:
    assert address_of(host, 80) == address
    assert parts_of(address) == (host, 80)
    assert bare_host(url_host(host)) == host


@pytest.mark.parametrize("address", ["", "here", "here:", "[::1]", "here:x"])
def test_an_address_without_a_port(address: str) -> None:
    with pytest.raises(ValueError):
        parts_of(address)
