"""Fields of OpenAI's API, and of vLLM's, SGLang's and MLC's extensions, that are not in the models.

A test holds the tables to the types of OpenAI's own client, and `docs/api.md` to the tables.
"""

from raylax.proto.openai.field_rules import FieldTable, Ignored, Refused

SPECIAL = "special tokens are left out of the text; use /v1/chat/completions"
TRIMMED = "a stop string is not part of the text; append it"
TEXT_ONLY = "only text is read and written"
NO_BEAMS = "tokens are drawn, not searched for; ask for several choices by n"
FOR_OPERATOR = Ignored("it says something to who runs the service")
CACHE = Ignored("equal beginnings are found without it")
TOOLS = "deprecated; use tools and tool_choice"

OF_TEXT: FieldTable = {
    # OpenAI
    "metadata": FOR_OPERATOR, "store": Ignored("nothing is kept"), "service_tier": FOR_OPERATOR,
    "safety_identifier": FOR_OPERATOR, "user": FOR_OPERATOR,
    "verbosity": Ignored("no model here knows it"),
    "prompt_cache_key": CACHE, "prompt_cache_retention": CACHE, "prompt_cache_options": CACHE,
    "moderation": Refused("raylax moderates nothing; ask a model that does"),
    # vLLM
    "best_of": Refused("may only be 1; ask for several choices by n", (1,)),
    "use_beam_search": Refused(NO_BEAMS, (False,)),
    "length_penalty": Refused(NO_BEAMS, (1,)),
    "early_stopping": Refused(NO_BEAMS, (False,)),
    "include_stop_str_in_output": Refused(TRIMMED, (False,)),
    "skip_special_tokens": Refused(SPECIAL, (True,)),
    "spaces_between_special_tokens": Ignored("nothing stands between special tokens but text"),
    "truncate_prompt_tokens": Refused("no prompt is cut here; shorten it"),
    "truncation_side": Ignored("no prompt is cut here"),
    "prompt_logprobs": Refused("use /v1/chat/completions", (False,)),
    "echo": Refused("messages are not repeated; use /v1/completions", (False,)),
    "guided_decoding_backend": Ignored("there is one"),
    "mm_processor_kwargs": Refused(TEXT_ONLY, ({},)),
    "request_id": Refused("send it as the header X-Request-Id"),
    "return_tokens_as_token_ids": Refused("tokens are told by their text; leave it out", (False,)),
    "return_token_ids": Refused("use /v1/chat/completions", (False,)),
    "kv_transfer_params": Refused("workers move pages by themselves; leave it out", ({},)),
    "vllm_xargs": Refused("these are vLLM's own; leave them out", ({},)),
    "logits_processors": Refused("no code is taken from clients; use logit_bias", ([],)),
    "repetition_detection": Refused("use repetition_penalty"),
    "media_io_kwargs": Refused(TEXT_ONLY, ({},)),
    # SGLang
    "no_stop_trim": Refused(TRIMMED, (False,)),
    "stop_regex": Refused("use stop", ([],)),
    "lora_path": Refused("there are no adapters; serve the merged model under a name of its own"),
    "session_params": Refused("send the whole conversation, and X-Session-Id", ({},)),
    "return_hidden_states": Refused("hidden states are given by /v1/embeddings alone", (False,)),
    "rid": Refused("send it as the header X-Request-Id"),
    "custom_logit_processor": Refused("no code is taken from clients; use logit_bias"),
    "custom_params": Refused("they are for code of clients, which is not taken", ({},)),
    "input_ids": Refused("send token ids as prompt to /v1/completions"),
    "data_parallel_rank": Refused("the router chooses the worker; use X-Session-Id"),
    "extra_key": Refused("its name here is cache_salt"),
    # MLC
    "debug_config": Refused("use /v1/chat/completions or /v1/completions", ({},)),
    # llama.cpp, TGI and clouds
    "xtc_probability": Refused("the likeliest tokens are never left out; use temperature", (0,)),
    "xtc_threshold": Ignored("it says nothing without xtc_probability"),
    "dry_multiplier": Refused("use repetition_penalty or frequency_penalty", (0,)),
    "dry_base": Ignored("it says nothing without dry_multiplier"),
    "dry_allowed_length": Ignored("it says nothing without dry_multiplier"),
    "dry_penalty_last_n": Ignored("it says nothing without dry_multiplier"),
    "dry_sequence_breakers": Ignored("it says nothing without dry_multiplier"),
    "n_predict": Refused("use max_tokens"), "max_new_tokens": Refused("use max_tokens"),
    "mirostat": Refused("use top_p or min_p", (0,)),
}  # fmt: skip
OWN = (
    "debug_config", "include_stop_str_in_output", "skip_special_tokens", "truncate_prompt_tokens",
    "truncation_side", "return_token_ids", "prompt_logprobs",
)  # fmt: skip
"""What both have of OpenAI's older APIs."""
OF_OLDER: FieldTable = {
    **{name: rule for name, rule in OF_TEXT.items() if name not in OWN},
    "no_stop_trim": Refused("its name here is include_stop_str_in_output", (False,)),
}
AS_IT_IS = Ignored("the text of a completion is given as it is")
COMPLETIONS: FieldTable = {
    **{name: rule for name, rule in OF_OLDER.items() if name not in ("echo", "best_of")},
    "separate_reasoning": AS_IT_IS, "stream_reasoning": AS_IT_IS,
    "include_reasoning": Refused("the text of a completion is given as it is", (True,)),
    "enable_thinking": Refused("it is for chat templates; write the prompt for it"),
    "thinking_budget": Refused("thoughts are not looked for here; use max_tokens"),
    "thinking_token_budget": Refused("thoughts are not looked for here; use max_tokens"),
    "reasoning": Refused("thoughts are not looked for here; write the prompt for them", ({},)),
    "thinking": Refused("it is for chat templates; write the prompt for it"),
}  # fmt: skip
STREAM_REASONING: FieldTable = {"stream_reasoning": Ignored("thoughts stream as all else")}
THINKING: FieldTable = {"display": Ignored("thoughts are given whole")}
CHAT: FieldTable = {
    **OF_OLDER,
    **STREAM_REASONING,
    "audio": Refused(TEXT_ONLY),
    "modalities": Refused(TEXT_ONLY, (["text"],)),
    "prediction": Ignored("it would make an answer faster, not another one"),
    "functions": Refused(TOOLS, ([],)),
    "function_call": Refused(TOOLS, ("auto", "none")),
    "web_search_options": Refused("nothing is searched; offer a tool"),
}
NOT_CUT = "no conversation is shortened here; send less of it"
NOT_INCLUDED = "nothing more is given than what is written"
WAITED_FOR = "clients wait for their answers, or come back to a stream; leave it out"
RESPONSES: FieldTable = {
    **{name: rule for name, rule in OF_TEXT.items() if name not in ("metadata", "store")},
    **STREAM_REASONING,
    "conversation": Refused("raylax keeps responses alone; use previous_response_id"),
    "prompt": Refused("raylax keeps no prompts; send its text as instructions and input"),
    "background": Refused(WAITED_FOR, (False,)),
    "background_options": Refused(WAITED_FOR),
    "top_logprobs": Refused("log-probabilities are only given by /v1/chat/completions", (0,)),
    "client_metadata": FOR_OPERATOR,
    "access_programs": Refused("raylax knows none; leave it out"), "image": Refused(TEXT_ONLY),
    "context_management": Refused("no conversation is shortened here", ([],)),
    "max_tool_calls": Refused("raylax calls no tools by itself; count your own"),
    "stream_options": Refused("a stream ends with its usage; leave it out", ({},)),
    "n": Refused("a response has one answer; ask again", (1,)),
    "stop": Refused("use /v1/chat/completions", ([],)),
    "presence_penalty": Refused("use repetition_penalty, or /v1/chat/completions", (0,)),
    "frequency_penalty": Refused("use repetition_penalty, or /v1/chat/completions", (0,)),
    "logit_bias": Refused("use /v1/chat/completions", ({},)),
    "max_tokens": Refused("its name here is max_output_tokens"),
    "response_format": Refused("its name here is text.format"),
}  # fmt: skip
EMBEDDINGS: FieldTable = {
    **{name: OF_TEXT[name] for name in (
        "metadata", "store", "service_tier", "user", "request_id", "rid", "mm_processor_kwargs",
        "lora_path", "extra_key",
    )},
    "normalize": Refused("may only be true: vectors have length 1", (True,)),
    "use_activation": Refused("may only be true: vectors have length 1", (True,)),
    "embed_dtype": Refused("may only be float32", ("float32",)),
    "endianness": Refused("may only be little", ("little", "native")),
    "input_type": Refused("put the instruction of your model before the text"),
}  # fmt: skip
COMPARED: FieldTable = {
    **{name: OF_TEXT[name] for name in (
        "user", "request_id", "rid", "mm_processor_kwargs", "lora_path", "extra_key",
    )},
    "use_activation": Refused("may only be true: scores are as the model means them", (True,)),
    "activation": Refused("its name here is use_activation", (True,)),
    "softmax": Refused("its name here is use_activation", (True,)),
}  # fmt: skip
CLASSIFY: FieldTable = {
    **COMPARED,
    "id2label": Refused("labels have the names of the model's config.json"),
}
SCORE: FieldTable = {
    **COMPARED,
    "data_1": Refused("its name here is queries"), "data_2": Refused("its name here is documents"),
    "items": Refused("its name here is documents"),
}  # fmt: skip
RERANK: FieldTable = {
    **COMPARED,
    "max_tokens_per_doc": Refused("its name here is truncate_prompt_tokens"),
    "max_chunks_per_doc": Refused("documents are read whole; send them in pieces"),
    "rank_fields": Refused("a document is its text; put into that what counts", (["text"],)),
}
TOKENIZE: FieldTable = {"mm_processor_kwargs": Refused(TEXT_ONLY, ({},)), "user": FOR_OPERATOR}

# Inside of objects.
STREAM_OPTIONS: FieldTable = {
    "include_obfuscation": Ignored("nothing is added to events"),
}
DEBUG_CONFIG: FieldTable = {
    "disagg_config": Refused("workers move pages by themselves; leave it out", ({},)),
}
STRUCTURED_OUTPUTS: FieldTable = {
    "disable_any_whitespace": Ignored("JSON has no other white space than Python writes"),
    "disable_fallback": Ignored("there is one engine of grammars"),
    "disable_additional_properties": Refused("say so in the schema", (False,)),
}
STRUCTURAL_TAGS: FieldTable = {
    "format": Refused("tags are told here by triggers and structures; use those, or a grammar"),
}
CACHE_MARKS: FieldTable = {"cache_control": CACHE, "prompt_cache_breakpoint": CACHE}
MESSAGE: FieldTable = {
    **CACHE_MARKS,
    "audio": Refused("only text is read; send what was said as content"),
    "function_call": Refused("only the assistant calls functions"),
    "refusal": Refused("only the assistant refuses"),
    "annotations": Ignored("they mark places of the text"),
    "prefix": Refused("use continue_final_message", (False,)),
    "weight": Ignored("it is for training"),
}
CALL: FieldTable = {"index": Ignored("the order says it")}
ORIGIN = Ignored("it says how the item came to be")
ITEM: FieldTable = {
    **CACHE_MARKS,
    "id": ORIGIN, "status": ORIGIN, "phase": ORIGIN, "annotations": ORIGIN, "logprobs": ORIGIN,
    "caller": ORIGIN,
    "async": Refused("calls are waited for", (False,)),
}  # fmt: skip
REASONING_ITEM: FieldTable = {
    **ITEM, "encrypted_content": Ignored("nothing is encrypted here; the content says it"),
}  # fmt: skip
REASONING: FieldTable = {
    "summary": Ignored("thoughts are given whole, as the item's content"),
    "generate_summary": Ignored("thoughts are given whole, as the item's content"),
}
OUTPUT: FieldTable = {
    **ITEM, "name": Ignored("call_id says it"), "namespace": Ignored("call_id says it"),
}  # fmt: skip
SHELL_OUTPUT: FieldTable = {
    **{name: rule for name, rule in ITEM.items() if name != "id"},
    "call_id": Ignored("id says it"),
}
TEXT_CONFIG: FieldTable = {"verbosity": OF_TEXT["verbosity"]}
RESPONSES_FUNCTION: FieldTable = {
    "output_schema": Refused("what a tool gives is not checked here"),
    "async": Refused("calls are waited for", (False,)),
    "defer_loading": Refused("all tools are shown", (False,)),
    "allowed_callers": Refused("the model alone calls tools", (["direct"], [])),
}
RESPONSES_CUSTOM: FieldTable = {
    name: rule for name, rule in RESPONSES_FUNCTION.items() if name != "output_schema"
}
