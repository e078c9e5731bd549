"""What Metrics is told of a configuration."""

import json

from raylax.cluster.config.flat import settings_of
from raylax.cluster.config.schema import ClusterConfig

HASH = "0123456789" + "ab" * 27


def test_settings_have_names_of_their_own_and_no_secret() -> None:
    """Sections as section.key, keys as keys.NAME.key; it can be sent as JSON."""
    key = {"name": "alice", "sha256": HASH, "share": 2.0}
    asked = {"keys": [key], "limits": {"max_wait_s": 7}, "engine": {"kv_dtype": "int8"}}
    told = settings_of(ClusterConfig.model_validate(asked))

    assert told["limits.max_wait_s"] == 7
    assert told["engine.kv_dtype"] == "int8"
    assert told["keys.alice.share"] == 2.0
    assert told["keys.alice.sha256"] == "01234567"
    assert HASH not in json.dumps(told)
    assert {name.partition(".")[0] for name in told} >= {"model", "port", "autoscaling"}
