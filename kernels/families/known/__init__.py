"""The families, each a table of where it differs from Llama."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.known.cohere import COHERE, COHERE2
from raylax.kernels.families.known.dots import DOTS1
from raylax.kernels.families.known.ernie import ERNIE, ERNIE_MOE
from raylax.kernels.families.known.exaone import EXAONE4
from raylax.kernels.families.known.gemma import GEMMA, GEMMA2, GEMMA3
from raylax.kernels.families.known.glm import GLM, GLM4, GLM4_MOE
from raylax.kernels.families.known.gpt import GPT2, NEOX, OSS
from raylax.kernels.families.known.granite import GRANITE, GRANITE4
from raylax.kernels.families.known.like_llama.arcee import ARCEE
from raylax.kernels.families.known.like_llama.cwm import CWM
from raylax.kernels.families.known.like_llama.helium import HELIUM
from raylax.kernels.families.known.like_llama.internlm import INTERNLM2, INTERNLM3
from raylax.kernels.families.known.like_llama.llama import LLAMA
from raylax.kernels.families.known.like_llama.nemotron import NEMOTRON
from raylax.kernels.families.known.like_llama.seed import SEED_OSS
from raylax.kernels.families.known.like_llama.smollm import SMOLLM3
from raylax.kernels.families.known.minimax import MINIMAX_M2
from raylax.kernels.families.known.mistral import MINISTRAL, MISTRAL, MIXTRAL
from raylax.kernels.families.known.olmo import OLMO2, OLMO3, OLMOE
from raylax.kernels.families.known.phi import PHI, PHI3
from raylax.kernels.families.known.qwen import MIMO, QWEN2, QWEN2_MOE, QWEN3, QWEN3_MOE
from raylax.kernels.families.known.stablelm import STABLELM
from raylax.kernels.families.known.starcoder import STARCODER2

CLASSIFIES = "ForSequenceClassification"
"""How the names of those end that have a head for labels of texts."""


def classifier(family: Family) -> Family:
    """The same with such a head: of rerankers, and of models of rewards."""
    name = family.architecture.removesuffix("ForCausalLM") + CLASSIFIES
    return replace(family, architecture=name, labels=True)


def base(family: Family) -> Family:
    """The same without a head: of models of embeddings, as transformers writes them."""
    name = family.architecture.removesuffix("ForCausalLM") + "Model"
    return replace(family, architecture=name, headless=True)


FAMILIES = {
    family.architecture: family
    for family in (
        ARCEE, COHERE, COHERE2, CWM, DOTS1, ERNIE, ERNIE_MOE, EXAONE4, GEMMA, GEMMA2, GEMMA3, GLM,
        GLM4, GLM4_MOE, GPT2, GRANITE, GRANITE4, HELIUM, INTERNLM2, INTERNLM3, LLAMA, MIMO,
        MINIMAX_M2, MINISTRAL, MISTRAL, MIXTRAL, NEMOTRON, NEOX, OLMO2, OLMO3, OLMOE, OSS, PHI,
        PHI3, QWEN2, QWEN2_MOE, QWEN3, QWEN3_MOE, SEED_OSS, SMOLLM3, STABLELM, STARCODER2,
        *map(classifier, (GEMMA, GEMMA2, LLAMA, MISTRAL, PHI3, QWEN2, QWEN3)),
        *map(base, (LLAMA, MISTRAL, QWEN2, QWEN3)),
    )
}  # fmt: skip
