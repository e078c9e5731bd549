"""Which workers are a model's, by what Serve says of them."""

from pathlib import Path
from typing import NamedTuple

import pytest

from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from tests.support.checkpoints import write_checkpoint


@pytest.mark.filterwarnings("ignore")
def test_routers_use_the_workers_of_their_model_only() -> None:
    """While one model replaces another, workers of both are there: no sequence of the one may go
    on with the weights of the other."""
    from raylax.router.discovery import WorkerRoll

    class Running(NamedTuple):
        replica_metadata: dict[str, str]

    theirs, ours = (
        {"worker_id": name, "step_addr": name, "model_id": f"model of {name}"} for name in "ab"
    )
    roll = WorkerRoll("model of b")
    roll.fill([Running(theirs), Running({}), Running(ours)])

    assert roll.addresses == {"b": "b"}


@pytest.mark.filterwarnings("ignore")
def test_a_router_that_could_make_no_text_does_not_start(tmp_path: Path) -> None:
    """It would look for workers for ever, and nobody would be told why."""
    from raylax.router.discovery import ModelWatch

    write_checkpoint(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    config = RouterConfig("m", str(tmp_path), "token")

    with pytest.raises(ValueError, match="tokenizer.json: no tokenizer can be made of it"):
        ModelWatch(config, None, Models([config]))
