"""Influential words, picked by labelled documents.

The paper asks another language model for influential words; here the data name them. A word counts once per document:
documents are independent, the words of one are not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

from semprune.errors import ConceptWithoutEvidenceError, SettingError
from semprune.ranges import checked
from semprune.types import Count, Positive

_WORD: Final = re.compile(r"[a-z]+(?:'[a-z]+)?")
PRIOR_STRENGTH: Final = 500.0
"""Sum of the prior's pseudo-counts. Ours: it holds back words that a handful of documents happen to share; with fewer
than some thousand documents little is found, which a smaller prior would not make true."""
MINIMUM_Z: Final = 1.96


def words_of(text: str) -> set[str]:
    """Distinct lower-case words of a text.

    Example:
        >>> sorted(words_of("Don't stop, DON’T!"))
        ["don't", 'stop']
    """
    return set(_WORD.findall(text.lower().replace("\u2019", "'")))


def log_odds_z(
    inside: Float[np.ndarray, " words"], outside: Float[np.ndarray, " words"], prior_strength: float = PRIOR_STRENGTH
) -> Float[np.ndarray, " words"]:
    r"""Standardised difference of log-odds of each word, under an informative Dirichlet prior.

    .. math:: \delta_w = \log\frac{y^i_w + \alpha_w}{n^i + \alpha_0 - y^i_w - \alpha_w}
              - \log\frac{y^j_w + \alpha_w}{n^j + \alpha_0 - y^j_w - \alpha_w},\quad
              z_w = \delta_w / \sqrt{1/(y^i_w + \alpha_w) + 1/(y^j_w + \alpha_w)}

    Source: Monroe, Colaresi and Quinn, Fightin' Words (Political Analysis 16, 2008), equations 16, 20 and 22; the prior
    is the word's share of both groups together.

    Args:
        inside: Count of each word in the class.
        outside: Count of each word in the other classes.
        prior_strength: Sum of the prior's pseudo-counts.

    Returns:
        Positive where the word speaks for the class.

    Example:
        >>> z = log_odds_z(np.array([30.0, 10.0, 60.0]), np.array([10.0, 30.0, 60.0]), prior_strength=10.0)
        >>> z.round(2).tolist()
        [3.57, -3.57, 0.0]
    """
    alpha = prior_strength * (inside + outside) / (inside + outside).sum()
    first, second = inside + alpha, outside + alpha
    delta = np.log(first / (first.sum() - first)) - np.log(second / (second.sum() - second))
    z: Float[np.ndarray, " words"] = delta / np.sqrt(1 / first + 1 / second)
    return z


@checked
def influential_words(
    texts: Sequence[str],
    labels: Sequence[str],
    label: str,
    *,
    most: Count = 100,
    minimum_documents: Count = 5,
    prior_strength: Positive = PRIOR_STRENGTH,
) -> list[tuple[str, float]]:
    """Words that speak for a class, strongest first, with their z.

    Args:
        texts: Labelled documents; of the fitting split only.
        labels: Class of each.
        label: The class.
        most: Words to give at most.
        minimum_documents: Fewest documents of the class that hold a word.
        prior_strength: Sum of the prior's pseudo-counts.

    Raises:
        SettingError: No text has the label, or all have it.
        ConceptWithoutEvidenceError: No word has a z of at least 1.96.
    """
    own = [text for text, other in zip(texts, labels, strict=True) if other == label]
    if not own or len(own) == len(texts):
        raise SettingError("label", label, "the class of some texts and not of all")
    inside = Counter(word for text in own for word in words_of(text))
    total = Counter(word for text in texts for word in words_of(text))
    vocabulary = sorted(total)
    here = np.array([float(inside[word]) for word in vocabulary])
    z = log_odds_z(here, np.array([float(total[word]) for word in vocabulary]) - here, prior_strength)
    found = [
        (word, float(value))
        for word, value in zip(vocabulary, z, strict=True)
        if value >= MINIMUM_Z and inside[word] >= minimum_documents
    ]
    if not found:
        raise ConceptWithoutEvidenceError([f"influential.{label}"], len(texts))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:most]
