"""The weights and the tokenizer of the package `wordllama`, and what they make of texts.

Only the package's files are used. To import it would set up the host's logging (it calls
`logging.basicConfig`), and a file it does not find it would try to download. This module itself is
imported by `start()`, on a thread: numpy takes 0.1 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from dovetail import InvalidRequest, NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dovetail_wordllama.pieces import Piece

TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
WEIGHTS = "weights/l2_supercat_256.safetensors"
_TENSOR = "embedding.weight"
_WIDTH = 256
_TINY = np.finfo(np.float32).tiny


class Weights:
    """A vector for each token. Shared by threads; nothing in it changes."""

    def __init__(self, folder: Path) -> None:
        """Read the files in the package's `folder`.

        Raises:
            NotReady: one is missing, damaged, or not of this plugin's model.
        """
        for name in (TOKENIZER, WEIGHTS):
            if not (folder / name).is_file():
                message = (
                    f"the package wordllama has no file `{folder / name}`; install a version that "
                    "has it: `pip install --force-reinstall wordllama`"
                )
                raise NotReady(message)
        self._tokenizer = _read_tokenizer(folder / TOKENIZER)
        self._table = _read_table(folder / WEIGHTS)
        words, rows = self._tokenizer.get_vocab_size(), len(self._table)
        if words > rows:
            message = f"{words} tokens of the tokenizer have {rows} rows of weights"
            raise _damaged(folder / WEIGHTS, message)
        self.tokens(["the tokenizer's own threads start with the first text"])

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """The numbers of each text's tokens; other threads run meanwhile."""
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def count(self, text: str) -> int:
        """How many tokens `text` has; half of a surrogate pair counts as any other character."""
        return len(self.tokens([text.encode(errors="replace").decode()])[0])

    def total(self, tokens: list[int]) -> NDArray[np.float32]:
        """The sum of the tokens' vectors."""
        total: NDArray[np.float32] = self._table[tokens].sum(axis=0)
        return total


class Pool:
    """The vectors of one request, as their texts are read. Used by one thread at a time."""

    def __init__(self, weights: Weights, texts: int) -> None:
        self._weights = weights
        self._sums = np.zeros((texts, _WIDTH), np.float32)
        self._counts = np.zeros((texts, 1), np.int64)

    @property
    def tokens(self) -> int:
        """How many tokens were read."""
        return int(self._counts.sum())

    def add(self, pieces: Sequence[Piece]) -> None:
        """Read some pieces of the texts.

        Raises:
            InvalidRequest: one holds half of a surrogate pair, which is no character.
        """
        for piece in pieces:
            _check(piece)
        encoded = self._weights.tokens([piece.text for piece in pieces])
        for piece, tokens in zip(pieces, encoded, strict=True):
            self._sums[piece.place] += self._weights.total(tokens)
            self._counts[piece.place] += len(tokens)

    def vectors(self, dimensions: int, *, normalize: bool) -> tuple[tuple[float, ...], ...]:
        """The mean of each text's tokens, cut to `dimensions`, then of length 1 if wanted."""
        vectors = self._sums[:, :dimensions] / self._counts.astype(np.float32)
        if normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _TINY)
        return tuple(tuple(vector.tolist()) for vector in vectors)


def _check(piece: Piece) -> None:
    try:
        piece.text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"text {piece.place + 1} has half of a surrogate pair at character "
            f"{piece.start + error.start + 1}, which is no text: remove or replace it"
        )
        raise InvalidRequest(message) from error


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # it raises nothing narrower
        raise _damaged(path, error) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _read_table(path: Path) -> NDArray[np.float32]:
    try:
        with safe_open(path, framework="np") as file:
            table = file.get_tensor(_TENSOR)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    if table.ndim != 2 or table.shape[1] != _WIDTH:
        raise _damaged(path, f"it holds a table of {table.shape}, not of {_WIDTH} columns")
    # Twice the memory of the file's halves, 33 MB, and up to twice the speed.
    return np.ascontiguousarray(table, dtype=np.float32)


def _damaged(path: Path, why: object) -> NotReady:
    return NotReady(
        f"`{path}` cannot be used ({why}); install it again: "
        "`pip install --force-reinstall wordllama`"
    )
