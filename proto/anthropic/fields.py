"""Fields of Anthropic's Messages API that are not in its models."""

from raylax.proto.openai import fields
from raylax.proto.openai.field_rules import FieldTable, Ignored, Refused

TEXT_ONLY = "the models here read text alone; describe the image, the sound or the file"
KEEP_THOUGHTS = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
MESSAGES: FieldTable = {
    **fields.OF_TEXT,
    **fields.STREAM_REASONING,
    "mcp_servers": Refused("raylax calls no servers; offer their functions as tools", ([],)),
    "container": Refused("raylax runs no code"),
    "cache_control": fields.CACHE, "betas": Ignored("fields are named one by one"),
    "context_management": Refused(
        "no conversation is shortened here", ({}, {"edits": []}, KEEP_THOUGHTS)
    ),
    "compaction": Refused("no conversation is shortened here"),
    "inference_geo": Refused("raylax computes where it runs; leave it out", ("global",)),
    "speed": Refused("there is one speed; see priority", ("standard",)),
    "diagnostics": Ignored("it asks for nothing of the answer"),
    "billing_policy": fields.FOR_OPERATOR, "user_profile_id": fields.FOR_OPERATOR,
    "workspace_id": fields.FOR_OPERATOR, "fallback_credit_token": fields.FOR_OPERATOR,
    "fallbacks": Refused("an answer is one model's", ([],)),
    "thread": Refused("no conversation is kept here; send the whole of it"),
    "n": fields.RESPONSES["n"], "stop": Refused("its name here is stop_sequences"),
    "presence_penalty": fields.RESPONSES["presence_penalty"],
    "frequency_penalty": fields.RESPONSES["frequency_penalty"],
    "logit_bias": fields.RESPONSES["logit_bias"],
    "response_format": Refused("its name here is output_config.format"),
    "max_completion_tokens": Refused("its name here is max_tokens"),
}  # fmt: skip
COUNT: FieldTable = {
    **MESSAGES,
    "max_tokens": Ignored("nothing is written"), "stop_sequences": Ignored("nothing is written"),
}  # fmt: skip
BLOCK: FieldTable = {
    **fields.CACHE_MARKS,
    "citations": Refused("only text is given", ([], {"enabled": False})),
    "is_error": Ignored("the content says what went wrong"),
    "caller": Ignored("the model alone calls tools"),
    "toolset_name": Ignored("tools are known by their names"),
}
TOOL: FieldTable = {
    **fields.CACHE_MARKS,
    "defer_loading": fields.RESPONSES_FUNCTION["defer_loading"],
    "allowed_callers": fields.RESPONSES_FUNCTION["allowed_callers"],
    "eager_input_streaming": Ignored("arguments always stream"),
    "input_examples": Refused("put them into the description", ([],)),
}  # fmt: skip
