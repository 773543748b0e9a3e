"""What the parts of a run say together."""

from collections import Counter
from typing import Any

import numpy as np

from a2d_tf.scoring.places import Place
from a2d_tf.scoring.ray_session import import_ray
from a2d_tf.scoring.worker import ERROR

BINS = 20  # of the histogram of scores
EXAMPLES = 3  # of each reason


def summarize(parts: list[Place]) -> dict[str, Any]:
    """The rows, the flagged ones, these per class, the failed ones by reason, and the scores.

    A failed row is flagged; its score and its class are in no figure but that of all rows.

    Args:
      parts: the files that were written, in their order.
    """
    parquet = import_ray("pyarrow.parquet")
    rows: Counter[int] = Counter()
    flagged: Counter[int] = Counter()
    reasons: dict[str, dict[str, Any]] = {}
    scores = [np.zeros(0, np.float32)]
    every = failed = 0
    for part in parts:
        with part.system.open_input_file(part.path) as file:
            table = parquet.read_table(
                file, columns=["id", "label", "score", "is_adversarial", ERROR]
            )
        is_flagged = table["is_adversarial"].to_numpy()
        label, errors = table["label"].to_numpy(), table[ERROR].to_pylist()
        known = np.array([error is None for error in errors], np.bool_)
        every += len(label)
        failed += int((~known).sum())
        rows.update(label[known].tolist())
        flagged.update(label[known & is_flagged].tolist())
        scores.append(table["score"].to_numpy()[known])
        for name, error in zip(table["id"].to_pylist(), errors):
            if error is not None:
                _add(reasons, name, error)
    judged = sum(rows.values())
    return {
        "rows": every,
        "flagged": sum(flagged.values()) + failed,
        "judged": judged,
        "judged_flagged": sum(flagged.values()),
        "judged_flagged_share": _share(sum(flagged.values()), judged),
        "classes": {
            str(label): {
                "rows": count, "flagged": flagged[label], "share": _share(flagged[label], count),
            }
            for label, count in sorted(rows.items())
        },
        "failed": failed,
        "reasons": reasons,
        "scores": _histogram(np.concatenate(scores)),
    }


def _add(reasons: dict[str, dict[str, Any]], name: str, error: str) -> None:
    """Counts a reason: errors are told apart by what was expected, not by what came."""
    reason = reasons.setdefault(error.partition(", got ")[0], {"rows": 0, "examples": []})
    reason["rows"] += 1
    if len(reason["examples"]) < EXAMPLES:
        reason["examples"].append({"id": name, "error": error})


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _histogram(scores: Any) -> dict[str, list[float]]:
    if not len(scores):
        return {"edges": [], "counts": []}
    counts, edges = np.histogram(scores.astype(np.float64), BINS)
    return {"edges": edges.tolist(), "counts": counts.tolist()}
