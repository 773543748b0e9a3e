"""The figures within sentences of README.md and of the pages.

A sentence is some words of a page, with {} for each figure, and the figures as they are to stand
there. Settings and limits, such as a radius or a wanted rate, are no figures in this sense.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from attack_sentences import under_attack
from comparison_sentences import CIFAR10, choose, comparisons, readme
from env2_sentences import photographs, rest_of_results, second_environment
from page_tables import FIGURE, accuracy
from stored_results import stored

Sentences = list[tuple[str, Sequence[str]]]


def with_figures(text: str, words: str, figures: Sequence[str]) -> str:
    """The text of a page in which the figures stand among these words.

    Raises:
      ValueError: the words are not there, or are there twice.
    """
    gap = re.escape("{}")
    pattern = r"\s+".join(re.escape(word) for word in words.split())
    found = list(re.finditer(pattern.replace(gap, f"({FIGURE})"), text))
    if len(found) != 1:
        raise ValueError(f"expected these words once, found them {len(found)} times: {words}")
    for place in range(len(figures), 0, -1):
        start, end = found[0].span(place)
        text = text[:start] + figures[place - 1] + text[end:]
    return text


def results() -> Sentences:
    return [*comparisons(), *second_environment(), *photographs(), *rest_of_results()]


def how_it_works() -> Sentences:
    fewer = [found["fewer_gradients"] for found, in stored("search")["mnist"].values()]
    agree = [found["spearman"] for found, in stored("search")["mnist"].values()]
    return [
        ("searching took {} to {} times fewer gradients", [
            f"{min(fewer):.0f}", f"{max(fewer):.0f}",
        ]),
        ("agreed (Spearman correlation {};", [f"{min(agree):.4f}"]),
    ]


def limits() -> Sentences:
    return [("CIFAR-10 (test accuracy {}) the detectors", [accuracy(CIFAR10)])]


SENTENCES: Mapping[str, Callable[[], Sentences]] = {
    "README.md": readme,
    "results.md": results,
    "how-it-works.md": how_it_works,
    "limits.md": limits,
    "choose.md": choose,
    "under-attack.md": under_attack,
}
