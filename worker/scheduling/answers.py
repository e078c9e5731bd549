"""What is drawn becomes tokens of its sequence, and what is said of them."""

from dataclasses import dataclass

from raylax.proto.fair_share import GENERATED
from raylax.proto.vocabulary import Delta, Finish
from raylax.worker.sampling.draws import DrawResult
from raylax.worker.scheduling.counters import Counters
from raylax.worker.scheduling.holdings import Holdings
from raylax.worker.scheduling.outcomes import failed
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.waiting_queue import WaitingQueue


@dataclass(frozen=True, slots=True)
class Answers:
    """Of the sequences of a batch. Whose last delta has a finish is to be taken out."""

    counters: Counters
    waiting: WaitingQueue
    """Which tells what each tenant has had."""
    holdings: Holdings

    def take(self, one: Sequence, count: int, results: list[DrawResult]) -> list[Delta]:
        """A step has computed so many of a sequence's tokens that count, and these came of its
        rows."""
        results = self._read(one, results)
        stops = one.request.stop_token_ids
        ids = [each.token for each in results if each.token is not None and each.token not in stops]
        one.tokens.extend(ids)
        if (matcher := one.constraints.matcher) is not None:
            matcher.advance(ids)
        one.computed, one.suspect = one.computed + count, False
        self.holdings.index(one, count)
        self.holdings.give_back_unseen(one)
        return self._said(one, ids, results) if results else []

    def _read(self, one: Sequence, results: list[DrawResult]) -> list[DrawResult]:
        """Take what is of a prompt that is scored; what is drawn is left."""
        if one.unread <= 0 or not results:
            return results
        read = results[: one.unread]
        for drawn in read:
            if drawn.error is not None:
                return [drawn]
            assert drawn.token is not None
            one.tokens.append(drawn.token)
            one.scored += drawn.logprobs
        self.waiting.charge(one.request.tenant, len(read) / one.request.share)
        return results[len(read) :]

    def _said(self, one: Sequence, ids: list[int], results: list[DrawResult]) -> list[Delta]:
        """What is said of its tokens, the last ones: one by one, so that a stream is the same
        however many came of each step. Or it ends, or has its vector."""
        request, last = one.request, results[-1]
        cached = 0 if one.announced else one.cached_tokens or 0
        cuts = None if one.announced or one.cuts is None else one.cuts
        one.announced = True
        if last.error is not None:
            self.counters.unanswered += 1
            self.holdings.forget(one)
            return [failed(request.id, last.error, last.fault)]
        self.counters.generated_tokens += len(ids)
        self.waiting.charge(request.tenant, len(ids) * GENERATED / request.share)
        pairs = zip(ids, results, strict=False)  # one that ends it is not said
        said = [Delta(request.id, (token,), drawn.logprobs) for token, drawn in pairs]
        if len(ids) < len(results):
            said.append(Delta(request.id, finish=Finish.STOP, embedding=last.embedding))
        elif one.is_complete:
            said[-1] = said[-1]._replace(finish=Finish.STOP)
        elif one.generated >= one.max_tokens:
            said[-1] = said[-1]._replace(finish=Finish.LENGTH)
        if said[-1].finish is not None and (had := one.proposal) is not None:
            said[-1] = said[-1]._replace(
                accepted=had.accepted, drafts=had.drafts, drafted=had.drafted
            )
        if cached:
            said[0] = said[0]._replace(cached_tokens=cached)
        if cuts is not None:
            said[0] = said[0]._replace(cuts=cuts._replace(steps=one.prefill_steps))
        if one.scored:
            said[0] = said[0]._replace(prompt_logprobs=tuple(one.scored))
            one.scored.clear()
        return said
