"""What is still the same after an application has been deployed again, and what is another thing.

Serve replaces the replicas of a deployment whose version is another one, and routers let sequences
move among workers of one model id only.
"""

from importlib.metadata import version
from pathlib import Path

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.placement import device_of_a_worker
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.store import key_of, source_hash


def version_of(*told: object) -> str:
    """The version of replicas that are told these things when they start."""
    return key_of({"raylax": version("raylax"), "told": repr(told)})


def model_id(checkpoint: Path, config: ClusterConfig) -> str:
    """A name of all that decides a model's tokens. Workers of one id give the same tokens, and so
    can go on with each other's sequences."""
    engine = config.engine_config(1)
    return key_of(
        {
            "checkpoint": open_checkpoint(checkpoint, config.has_weights).identity,
            "quantization": engine.quantization,
            "kv_dtype": engine.kv_dtype,
            "window": (engine.sliding_window_size or 0, engine.attention_sink_size or 0),
            "shards": config.tensor_parallel_shards,  # their sums round otherwise
            "device": device_of_a_worker(config),
            "kernels": source_hash(),
        }
    )
