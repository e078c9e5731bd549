"""What follows from a configuration: who may ask, and where."""

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.router.access.keys import hash_of

HASH = hash_of("a secret")


@pytest.mark.parametrize(
    ("host", "keys", "open_to_all"),
    [
        ("127.0.0.1", [], False),
        ("localhost", [], False),
        ("0.0.0.0", [], True),
        ("::1", [], False),
        ("[::1]", [], False),
        ("::", [], True),
        ("10.1.2.3", [], True),
        ("0.0.0.0", [{"name": "a", "sha256": HASH}], False),
    ],
)
def test_a_cluster_that_anybody_may_ask_is_known(
    host: str, keys: list[dict[str, str]], open_to_all: bool
) -> None:
    config = ClusterConfig.model_validate({"host": host, "keys": keys})

    assert config.open_to_all == open_to_all


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("10.1.2.3", "http://10.1.2.3:8000"),
        ("::1", "http://[::1]:8000"),
        ("[::1]", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("fd00::2", "http://[fd00::2]:8000"),
    ],
)
def test_the_address_to_paste_can_be_reached(host: str, url: str) -> None:
    """HTTP's, and that of gRPC."""
    config = ClusterConfig(host=host)

    assert config.url == url
    assert config.grpc_address == url.replace("http://", "").replace("8000", "9000")
