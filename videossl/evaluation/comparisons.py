"""The model against each control on the same contexts: the difference has a narrower interval than the two values."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from videossl.evaluation.predictors import Prediction
from videossl.probing import Bootstrap

HIGHER_IS_BETTER = {"coverage", "hit_at_1"}
IN_OWN_SPACE = {"energy_score"}  # by distances of one space: no unit that another space shares


def comparisons(
    rows: Sequence[Prediction], values: Mapping[str, Mapping[str, Tensor]], bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    """The entry `comparisons` of `metrics.json`.

    Coverage and energy where branches can be counted, energy and hit@1 where they cannot; energy in px where motion
    can be read, else the energy score, against rows of the model's own space only.

    Args:
        rows: All rows, the model's own first.
        values: Key of a row -> name of a metric -> (n,) of the contexts.
        bootstrap: Of the same contexts.

    Returns:
        For each metric and control: `difference`, the mean of the model's value less the control's, with its 95 %
        interval from `low` to `high`; `better` if all of that interval is on the better side of zero.
    """
    model, own = rows[0], values[rows[0].key]
    energy = "energy_px" if "energy_px" in own else "energy_score"
    found = []
    for metric in ("coverage", energy) if "coverage" in own else (energy, "hit_at_1"):
        for row in rows:
            others = values[row.key]
            if row.kind != "control" or metric not in others or (metric in IN_OWN_SPACE and row.space != model.space):
                continue
            gap = bootstrap.mean(own[metric].double() - others[metric].double())
            is_better = gap.low > 0 if metric in HIGHER_IS_BETTER else gap.high < 0
            found.append(
                {
                    "metric": metric,
                    "against": row.key,
                    "difference": gap.value,
                    "low": gap.low,
                    "high": gap.high,
                    "better": is_better,
                }
            )
    return found
