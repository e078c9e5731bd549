"""What `raylax explain --scaling` shows of decisions that were really made."""

from dataclasses import asdict
from io import StringIO

from rich.console import Console

from raylax.cluster.autoscaling.rule import ScalingRule
from raylax.cluster.cli.calls import COLUMNS, cells_of, decided
from tests.support.scaling import TARGETS, looks
from tests.support.scaling import decided as decisions_of


def test_a_decision_is_a_row_with_all_that_it_was_made_of() -> None:
    receipt = decisions_of(ScalingRule(TARGETS), looks(lambda _: 45.0, 100))[-1]
    told = {"at_s": 0.0, "dry_run": False, **asdict(receipt)}
    cells = dict(zip(COLUMNS, cells_of(told), strict=True))

    assert cells["workers"] == f"{receipt.inputs.target} → {receipt.choice}"
    assert (cells["need"], cells["drain"]) == (str(receipt.need), "0")
    assert cells["work"] == f"{receipt.work:.2f}"
    assert cells["why"] == receipt.reason
    assert cells["in time -1/0/+1"].endswith("/100%")


def test_a_dry_run_says_so() -> None:
    receipt = decisions_of(ScalingRule(TARGETS), looks(lambda _: 1.0, 4))[-1]
    told = {"at_s": 0.0, "dry_run": True, **asdict(receipt)}
    out = StringIO()
    Console(file=out, width=200).print(decided("chat", [told] * 30))
    text = out.getvalue()

    assert "chat: decisions that are not carried out (dry_run)" in text
    assert text.count("1 → 1") == 20
