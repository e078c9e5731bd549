"""Stories in the messages of raylax.v1."""

from raylax.proto.pb import raylax_pb2 as pb
from raylax.router.observe.timeline import Explanation, Told


def explanation_message(explanation: Explanation) -> pb.Explanation:
    return pb.Explanation(
        request_id=explanation.request_id,
        policy=explanation.policy,
        chosen=explanation.chosen,
        reason=explanation.reason,
        runner_up=explanation.runner_up,
        candidates=[
            pb.Explanation.Candidate(worker=one.worker, age_s=one.age_s, terms=one.terms)
            for one in explanation.candidates
        ],
    )


def story_message(story: Told) -> pb.ExplainReply:
    """Every decision: a call may have several choices, and move."""
    return pb.ExplainReply(
        explanations=[explanation_message(one) for one in story.choices],
        events=[
            pb.ExplainReply.Event(at_s=one.at_s, name=one.name, detail=one.detail)
            for one in story.moments
        ],
    )
