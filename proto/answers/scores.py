"""Answers of /v1/score, /v1/rerank and /classify."""

from raylax.proto.answers.embedding import WholeWriter
from raylax.proto.calls.vector import LabelledCall, PairedCall
from raylax.proto.openai.scores import (
    Classified,
    ClassifiedList,
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


class LabelWriter(WholeWriter):
    """Writes what each text has of the labels."""

    def __init__(self, labelled: LabelledCall, model: str, created: int) -> None:
        super().__init__(labelled.call)
        self._labelled, self._model, self._created = labelled, model, created

    def response(self) -> ClassifiedList:
        return ClassifiedList(
            id=self.call.id,
            created=self._created,
            model=self._model,
            data=[self._one(at, scores) for at, scores in enumerate(self._labelled.scores())],
            usage=self.call.usage,
        )

    def _one(self, index: int, scores: list[float]) -> Classified:
        label = self._labelled.labels.names[scores.index(max(scores))]
        return Classified(index=index, label=label, probs=scores, num_classes=len(scores))


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
