"""Learn vectors with gensim's Word2Vec.

Products liked by one user are the words of a sentence (Barkan and Koenigstein,
"Item2Vec: neural item embedding for collaborative filtering", 2016); the model is
skip-gram with negative sampling (Mikolov et al., "Distributed representations of words
and phrases and their compositionality", 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gensim.models import Word2Vec
from gensim.models.callbacks import CallbackAny2Vec

from common.errors import RunError, UserError
from common.work_progress import shown_progress
from domains.product_recommendation.item2vec.sentences import Sentences
from domains.product_recommendation.item2vec.vectors import Vectors


@dataclass(frozen=True)
class Settings:
    """How to learn; the command's flags say what each is."""

    dimensions: int
    window: int
    negative: int
    sample: float
    learning_rate: float
    min_count: int
    epochs: int
    seed: int
    workers: int


def fit(
    settings: Settings, sentences: Sentences, write_line: Callable[[str], None]
) -> Vectors:
    """Learn a vector for each product that is frequent enough.

    With one worker the same sentences and settings give the same vectors, in any
    process: the vocabulary is in the order of the products' counts and names, and all
    that is random comes from NumPy's generator with the seed, so Python's hashes, which
    PYTHONHASHSEED changes, decide nothing.

    Args:
        settings: How to learn.
        sentences: What to learn from.
        write_line: Is told how far it is.

    Returns:
        The vectors, from the most frequent product.

    Raises:
        UserError: Fewer than two products are frequent enough.
        RunError: Training diverged.
    """
    counts = np.bincount(sentences.words, minlength=len(sentences.products))
    frequent = np.flatnonzero(counts >= settings.min_count)
    if len(frequent) < 2:
        raise UserError(
            f"--min_count {settings.min_count}: {len(frequent)} products are in so "
            "many sentences; lower it"
        )
    order = frequent[np.argsort(-counts[frequent], kind="stable")]
    model = Word2Vec(
        vector_size=settings.dimensions,
        window=settings.window,
        min_count=1,
        sg=1,
        negative=settings.negative,
        sample=settings.sample,
        alpha=settings.learning_rate,
        epochs=settings.epochs,
        seed=settings.seed,
        workers=settings.workers,
        # It is sorted already; gensim would leave products of one count in any order.
        sorted_vocab=0,
    )
    names = sentences.products[order]
    model.build_vocab_from_freq(
        dict(zip(names.tolist(), counts[order].tolist(), strict=True)),
        corpus_count=len(sentences),
    )
    with shown_progress("learning", settings.epochs, "epochs", _ignore) as advance:
        model.train(
            sentences,
            total_examples=len(sentences),
            epochs=settings.epochs,
            callbacks=[_Epochs(settings.epochs, write_line, advance)],
        )
    values = model.wv.vectors.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise RunError("training diverged; lower --learning_rate")
    return Vectors(names, counts[order], values)


class _Epochs(CallbackAny2Vec):  # type: ignore[misc]
    """Say when an epoch has ended."""

    def __init__(
        self,
        epochs: int,
        write_line: Callable[[str], None],
        advance: Callable[[int], object],
    ) -> None:
        self._epochs, self._done = epochs, 0
        self._write_line, self._advance = write_line, advance

    def on_epoch_end(self, model: Any) -> None:
        self._done += 1
        self._advance(1)
        self._write_line(f"epoch {self._done:>{len(str(self._epochs))}}/{self._epochs}")


def _ignore(line: str) -> None:
    """Take a line and show it to nobody."""
