"""What a gateway may ask of the engine that it sees: the model, and how the workers stand.

A gateway sees one engine, of one rank: the cluster behind the router.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from raylax.proto.calls.sampling_defaults import SamplingDefaults
from raylax.proto.frontend import Frontend
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.router.calls.service import Service
from raylax.router.fleet.table import Fleet

NO_TOKEN = -1
"""Stands for no token: a proto3 number cannot be left out, and 0 is a token."""


def model_info(frontend: Frontend, admin: bool) -> pb.GetModelInfoResponse:
    """Where its files lie is told to admins; to others its name stands there."""
    config = frontend.files.config
    path = str(frontend.files.directory) if admin else frontend.name
    known, neutral = asdict(frontend.defaults), asdict(SamplingDefaults())
    defaults = {name: value for name, value in known.items() if value != neutral[name]}
    return pb.GetModelInfoResponse(
        model_path=path,
        is_generation=True,
        max_context_length=frontend.max_sequence_length,
        vocab_size=frontend.vocab,
        served_model_name=frontend.name,
        tokenizer_path=path,
        model_type=config.get("model_type") or "",
        architectures=config.get("architectures") or [],
        eos_token_ids=sorted(frontend.end_token_ids),
        pad_token_id=one_token(config, "pad_token_id"),
        bos_token_id=one_token(config, "bos_token_id"),
        max_req_input_len=frontend.max_sequence_length - 1,
        default_sampling_params_json=json.dumps(defaults),
    )


class LastReceived:
    """When a request came last, of each tenant."""

    def __init__(self, begun: float) -> None:
        """`begun`: what is told before there was one."""
        self._begun, self._at = begun, dict[str, float]()

    def note(self, tenant: str, now: float) -> None:
        self._at[tenant] = now

    def of(self, tenant: str | None) -> float:
        """Of this tenant, or of anybody."""
        at = self._at.values() if tenant is None else [self._at.get(tenant, self._begun)]
        return max(at, default=self._begun)


def one_token(config: Mapping[str, Any], name: str) -> int:
    token = config.get(name)
    return token if isinstance(token, int) else NO_TOKEN


def loads(service: Service, now: datetime) -> pb.GetLoadsResponse:
    return pb.GetLoadsResponse(
        timestamp=now.astimezone(UTC).isoformat(),
        version=version("raylax"),
        dp_rank_count=1,
        loads=[load_of(service.workers.ledger.fleet)],
    )


def load_of(fleet: Fleet) -> pb.SchedulerLoad:
    """The load of all workers that may be given requests, together; rates are not known here."""
    rows = fleet.rows()
    running, waiting, kv = (int(c[rows].sum()) for c in (fleet.running, fleet.waiting, fleet.kv))
    capacity = int(fleet.kv_capacity[rows].sum())
    usage = kv / capacity if capacity else 0.0
    return pb.SchedulerLoad(
        num_running_reqs=running,
        num_waiting_reqs=waiting,
        num_total_reqs=running + waiting,
        num_used_tokens=kv,
        max_total_num_tokens=capacity,
        token_usage=usage,
        num_waiting_uncached_tokens=int((fleet.todo + fleet.pending)[rows].sum()),
    )
