"""Every way to an adapter for a style that nothing was trained on, drawn with beside each other.

Source: ours; arms are those that a sceptic would ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cpd import features
from cpd.measures import frechet
from cpd.study.unseen import scored, styles, through_loss
from cpd.study.unseen.styles import KEPT, SHOWN, Study, UnseenStyles

STARTS = ("untrained_adapter", "pictures", "one_for_all")  # arms that fine-tuning goes on from
DRAWS = 4  # adapters for one style, of which is measured how far they lie apart
AFTER = (0.05, 0.125, 0.25, 0.5, 1)  # of the steps of fine-tuning


@dataclass(frozen=True)
class Look:
    """How an adapter draws a style.

    Attributes:
        distance: Frechet distance of its pictures to the style's own, on MobileNetV2's features.
        drawn: (`KEPT`, s, s, 3) uint8, the first of these pictures.
    """

    distance: float
    drawn: np.ndarray


Arm = Callable[[Study, int], Tensor]  # of a study and a seed, an adapter for each unseen style


def _written(writes: str | None, how: str, count: int, study: Study, seed: int) -> Tensor:
    network = study.network(writes or study.how.writing.writes, seed)
    return network.write(study.told(how, seed, count))


def _of_another(study: Study, seed: int) -> Tensor:
    return _written(None, "pictures", SHOWN, study, seed).roll(1, dims=0)


def _from_bank(method: str, study: Study, seed: int) -> Tensor:
    generator = study.generator(method, seed)
    return torch.cat([generator.generate(seen, 1, seed) for seen in study.shown(seed)])


ARMS: dict[str, Arm] = {
    "untrained_adapter": lambda study, seed: study.asked.untrained().expand(len(study.unseen), -1),
    "tuned": lambda study, seed: study.tuned(seed),
    "pictures": partial(_written, None, "pictures", SHOWN),
    "one_picture": partial(_written, None, "pictures", 1),
    "sentence": partial(_written, None, "sentence", 0),
    "both": partial(_written, None, "both", SHOWN),
    "other": _of_another,
    "one_for_all": partial(_written, "head", "sentence", 0),
    "look_up": partial(_from_bank, "by_condition"),
    "look_up_as_many": lambda study, seed: study.taken(seed),
    **{name: partial(_from_bank, name) for name in ("k_nearest", "ridge", "cond_pdiff")},
}


READERS: dict[str, Arm] = {
    "picture_reader": lambda study, seed: study.reader(seed).write(study.told("pictures", seed))
}  # one LoRA for all styles; what is told of a style goes into the captions


EXPLORED: dict[str, Arm] = {
    "cond_pdiff_taught": lambda study, seed: through_loss.write(study.taught(seed), study.shown(seed), seed)
}  # COND P-DIFF that goes on through the loss


def spreads(how: UnseenStyles, seed: int) -> dict[str, float]:
    """Return how far adapters for one unseen style lie apart, as `through_loss.spread` measures, arm by arm.

    Args:
        how: sizes.
        seed: of all that is learned and drawn.
    """
    study = styles.study(how)
    fitted, taught, seen = study.generator("cond_pdiff", seed), study.taught(seed), study.shown(seed)
    draws = {
        "cond_pdiff": torch.stack([fitted.generate(each, DRAWS, seed + i) for i, each in enumerate(seen)], dim=1),
        "cond_pdiff_taught": torch.stack([through_loss.write(taught, seen, seed + i) for i in range(DRAWS)]),
    }
    return {arm: through_loss.spread(own) for arm, own in draws.items()}


def _gone_on(start: str, steps: int, study: Study, seed: int) -> Tensor:
    return study.gone_on(ARMS[start](study, seed), steps, seed)


def going_on(how: UnseenStyles) -> dict[str, dict[int, str]]:
    """Return the arms that go on with fine-tuning where another one ends: that one -> steps -> arm."""
    last = styles.study(how).asked.steps("")
    steps = sorted({max(2, round(share * last)) for share in AFTER})
    return {start: {n: f"{start}_then_{n}" for n in steps} for start in STARTS}


WRITTEN = {f"writes_{writes}": partial(_written, writes, "pictures", SHOWN) for writes in ("all", "b", "core")}


def scores(how: UnseenStyles, seed: int, names: Sequence[str] = tuple(ARMS)) -> dict[str, dict[str, Look]]:
    """Draw every unseen style with the adapters of arms, or find what was seen before.

    Args:
        how: sizes.
        seed: of all that is learned and drawn.
        names: of the arms.

    Returns:
        Arm -> style -> look.
    """
    found = scored.scores(
        {"unseen_styles": asdict(how), "styles": list(styles.study(how).tier)},
        seed,
        names,
        lambda missing: _score(styles.study(how), missing, seed),
    )
    return {
        arm: {style: Look(own["distance"], scored.unpacked(own["pictures"])) for style, own in each.items()}
        for arm, each in found.items()
    }


def _score(study: Study, names: Sequence[str], seed: int) -> dict[str, dict[str, Any]]:
    """Draw with the adapters of every arm, all those of a style at a time, and look at the pictures."""
    later = {
        name: partial(_gone_on, start, steps)
        for start, each in going_on(study.how).items()
        for steps, name in each.items()
    }
    known = ARMS | WRITTEN | EXPLORED | later
    made = {name: known[name](study, seed) for name in names if name not in READERS}
    read = {name: READERS[name](study, seed) for name in names if name in READERS}
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for domain, arms in ((study.asked, made), (study.asked_in_tokens, read)):
        for place, style in enumerate(study.unseen if arms else ()):
            vectors = torch.stack([own[place] for own in arms.values()])
            drawn = domain.draw(style.name, vectors, "report", range(study.how.finetuning.report_rows))
            real = study.asked.real(style.name, "report")
            for name, pictures in zip(arms, drawn, strict=True):
                distance = frechet.frechet_distance(real, features.features(pictures))
                found[name][style.name] = {"distance": distance, "pictures": scored.packed(pictures[:KEPT])}
    return found
