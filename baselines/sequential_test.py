"""The sequential probability ratio test of label changes (Wald 1945; Wang et al. 2019)."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from a2d_tf import checks
from a2d_tf.errors import InvalidInputError

Z_99 = 2.58  # standard errors on either side of a 99 % interval
ADVERSARIAL, OPEN, BENIGN = 1, 0, -1


@dataclass(frozen=True, kw_only=True)
class SequentialTest:
    """Whether an image's label change rate lies above or below a threshold, by few mutants.

    It is evaluated after every mutant, as in the paper (the artifact evaluates it at mutants that
    change the label only, with the count before that change).

    Attributes:
      threshold: h, a label change rate.
      half_width: d, half of the width of the region of indifference around h.
      alpha: the wanted probability of calling a benign image adversarial.
      beta: the wanted probability of calling an adversarial image benign.
    """

    threshold: float = field(metadata={"maximum": 1})
    half_width: float = field(metadata={"maximum": 1})
    alpha: float = field(default=0.05, metadata={"maximum": 0.5})
    beta: float = field(default=0.05, metadata={"maximum": 0.5})

    def __post_init__(self) -> None:
        checks.check_fields(self)
        if not 0 < self.threshold - self.half_width < self.threshold + self.half_width < 1:
            raise InvalidInputError(
                f"expected a threshold +- half_width between 0 and 1, got {self.threshold:g} +- "
                f"{self.half_width:g}; give a smaller half_width or another rate of mutation"
            )

    @classmethod
    def from_benign(
        cls, rates: ArrayLike, *, extend: float = 1.0, relax: float = 0.1
    ) -> "SequentialTest":
        """The test whose threshold lies at the upper end of the rates of benign images.

        With the mean of the rates plus 2.58 standard errors, the threshold is `extend` times and
        the half-width `relax` times that number.

        Args:
          rates: f64[N], label change rates of benign images, N >= 2.
          extend, relax: the factors.

        Raises:
          InvalidInputError: too few rates, or a test that cannot decide.
        """
        values = np.asarray(rates, np.float64).reshape(-1)
        if len(values) < 2 or not np.isfinite(values).all():
            raise InvalidInputError(
                f"expected label change rates of 2 benign images or more, got {len(values)}; give "
                "finite rates of more images"
            )
        upper = values.mean() + Z_99 * values.std(ddof=1) / np.sqrt(len(values))
        if upper == 0:
            raise InvalidInputError(
                "expected mutants that change the label of some benign image, got none; use a "
                "larger rate of mutation or more mutants"
            )
        return cls(threshold=float(extend * upper), half_width=float(relax * upper))

    def log_ratio(self, asked: ArrayLike, changed: ArrayLike) -> NDArray[np.float64]:
        """The logarithm of the ratio of the likelihoods, adversarial to benign.

        Args:
          asked: the number of mutants.
          changed: how many of them changed the label.
        """
        above, below = self.threshold + self.half_width, self.threshold - self.half_width
        hits = np.asarray(changed, np.float64)
        others = np.asarray(asked, np.float64) - hits
        return np.asarray(
            hits * np.log(above / below) + others * np.log((1 - above) / (1 - below))
        )

    def verdict(self, asked: ArrayLike, changed: ArrayLike) -> NDArray[np.int64]:
        """`ADVERSARIAL`, `BENIGN` or `OPEN` after so many mutants; see `log_ratio`."""
        ratio = self.log_ratio(asked, changed)
        return np.select(
            [
                ratio >= np.log((1 - self.beta) / self.alpha),
                ratio <= np.log(self.beta / (1 - self.alpha)),
            ],
            [ADVERSARIAL, BENIGN], OPEN,
        )
