"""Answers of /v1/score and /v1/rerank."""

from raylax.proto.answers.embedding import WholeWriter
from raylax.proto.calls.vector import PairedCall
from raylax.proto.openai.scores import (
    RankedDocument,
    Ranking,
    RerankRequest,
    Score,
    ScoreList,
    TextDocument,
)


class ScoreWriter(WholeWriter):
    """Writes the score of each pair, in their order."""

    def __init__(self, paired: PairedCall, model: str, created: int) -> None:
        super().__init__(paired.call)
        self._paired, self._model, self._created = paired, model, created

    def response(self) -> ScoreList:
        scores = self._paired.scores()
        return ScoreList(
            id=self.call.id,
            created=self._created,
            model=self._model,
            data=[Score(index=at, score=score) for at, score in enumerate(scores)],
            usage=self.call.usage,
        )


class RankingWriter(WholeWriter):
    """Writes the documents, the best one first; of equal ones that which was given first."""

    def __init__(self, paired: PairedCall, model: str, body: RerankRequest) -> None:
        super().__init__(paired.call)
        self._paired, self._model, self._most = paired, model, body.top_n
        self._texts = body.document_texts[1] if body.return_documents else None

    def response(self) -> Ranking:
        scores = self._paired.scores()
        best = sorted(range(len(scores)), key=lambda at: -scores[at])
        return Ranking(
            id=self.call.id,
            model=self._model,
            results=[self._ranked(at, scores[at]) for at in best[: self._most or None]],
            usage=self.call.usage,
        )

    def _ranked(self, at: int, score: float) -> RankedDocument:
        document = None if self._texts is None else TextDocument(text=self._texts[at])
        return RankedDocument(index=at, document=document, relevance_score=score)
