"""Which test shows what a field of the engine's configuration does."""

SHOWN_BY = {
    "model": (
        "worker/api/test_mlc_engine_life.py",
        "test_paths_devices_and_nothing_are_understood",
    ),
    "model_lib": ("kernels/test_jit_policy.py", "test_what_is_named_is_taken_from_anywhere"),
    "additional_models": ("laws/test_same_tokens.py", "test_with_a_model_that_drafts"),
    "mode": ("worker/test_sizing.py", "test_sizes"),
    "tensor_parallel_shards": (
        "worker/ranks/test_leader.py",
        "test_several_ranks_answer_as_one_does",
    ),
    "pipeline_parallel_stages": (
        "worker/ranks/test_leader.py",
        "test_several_ranks_answer_as_one_does",
    ),
    "gpu_memory_utilization": (
        "worker/hardware/test_devices.py",
        "test_what_a_rank_may_take_of_a_gpu",
    ),
    "kv_cache_bytes": (
        "worker/api/test_mlc_engine_life.py",
        "test_a_cache_of_a_size_must_fit_into_what_is_available",
    ),
    "swap_space_bytes": (
        "worker/scheduling/test_swap.py",
        "test_who_comes_back_is_computed_again_where_that_takes_less",
    ),
    "gpus_per_rank": ("worker/hardware/test_devices.py", "test_what_a_rank_may_take_of_a_gpu"),
    "kv_cache_page_size": ("worker/test_config.py", "test_a_wrong_value_is_named_with_its_rule"),
    "max_num_sequence": ("worker/scheduling/decision/test_scheduler.py", "test_seats_are_limited"),
    "max_total_sequence_length": ("laws/test_same_tokens.py", "test_after_preemption"),
    "max_single_sequence_length": (
        "worker/engine/model/test_limits.py",
        "test_an_answer_may_be_cut_to_what_a_sequence_holds",
    ),
    "prefill_chunk_size": ("laws/test_same_tokens.py", "test_in_a_full_batch"),
    "sliding_window_size": (
        "kernels/cpu/test_windows.py",
        "test_what_is_seen_is_what_transformers_masks_leave",
    ),
    "attention_sink_size": (
        "kernels/cpu/test_windows.py",
        "test_what_is_seen_is_what_transformers_masks_leave",
    ),
    "max_history_size": ("worker/test_config.py", "test_what_is_not_there_yet_is_refused"),
    "kv_state_kind": ("worker/test_config.py", "test_what_is_not_there_yet_is_refused"),
    "speculative_mode": ("laws/test_same_tokens.py", "test_with_drafts_of_the_text_so_far"),
    "spec_lookup_answers": ("laws/test_same_tokens.py", "test_with_drafts_of_other_answers"),
    "spec_draft_length": (
        "worker/scheduling/drafting/test_model_proposer.py",
        "test_a_fixed_length_is_kept_as_far_as_there_is_room",
    ),
    "spec_tree_width": ("laws/test_same_tokens.py", "test_with_a_model_that_drafts"),
    "spec_draft_quantization": (
        "worker/ranks/drafts/test_loading.py",
        "test_what_drafts_has_a_quantization_of_its_own",
    ),
    "prefix_cache_mode": (
        "worker/scheduling/test_roster.py",
        "test_without_a_prefix_cache_nothing_is_shared",
    ),
    "prefix_cache_max_num_recycling_seqs": (
        "worker/scheduling/test_roster.py",
        "test_pages_of_some_sequences_are_kept_after_their_end",
    ),
    "prefill_mode": (
        "worker/scheduling/test_batch.py",
        "test_in_turns_a_long_prompt_takes_every_other_step",
    ),
    "pooling": ("worker/api/test_pooling.py", "test_it_is_the_mean_that_transformers_has"),
    "target_itl_ms": (
        "worker/scheduling/test_batch.py",
        "test_a_long_prompt_leaves_the_steps_of_others_short",
    ),
    "verbose": ("worker/api/test_mlc_engine_life.py", "test_progress_is_logged_for_who_wants_it"),
    "opt": ("kernels/cuda/step/test_model.py", "test_without_graphs_the_bits_are_the_same"),
    "quantization": ("kernels/cpu/test_same_bits.py", "test_decoding_in_any_batch"),
    "kv_dtype": ("kernels/cpu/test_long_contexts.py", "test_split_or_not_the_bits_are_the_same"),
    "overlap_launches": ("kernels/cuda/test_form.py", "test_launches_overlap_from_hopper_on"),
    "threads": ("kernels/cpu/test_long_contexts.py", "test_split_or_not_the_bits_are_the_same"),
    "pin_threads": (
        "worker/hardware/test_cores.py",
        "test_the_threads_of_an_engine_keep_to_its_cores",
    ),
    "max_waiting": (
        "worker/engine/model/test_limits.py",
        "test_places_are_for_those_who_run_and_those_who_wait",
    ),
}
"""By field: a file below `tests`, and a test in it."""
