"""AdamW with two learning rates, and their rise and fall."""

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from amia.mner.model import RecognizerModel
from amia.mner.training.settings import TrainingSettings

__all__ = ["make_optimizer", "make_schedule"]


def make_optimizer(model: RecognizerModel, settings: TrainingSettings) -> AdamW:
    """Four groups: pretrained and new weights, each with and without decay (none for biases and LayerNorm).

    Public code uses an Adam without bias correction and one learning rate for all.
    """
    pretrained = model.encoder_parameters()
    rates = {
        True: settings.lr_encoder or model.recipe.lr_encoder,
        False: settings.lr_new or model.recipe.lr_new,
    }
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, weights in model.named_parameters():
        if weights.requires_grad:
            groups.setdefault((name in pretrained, weights.ndim > 1), []).append(weights)
    return AdamW(
        [
            {"params": weights, "lr": rates[old], "weight_decay": settings.weight_decay if decays else 0.0}
            for (old, decays), weights in groups.items()
        ]
    )


def make_schedule(optimizer: AdamW, steps: int, warmup: float) -> LambdaLR:
    """Linear rise over the first `warmup` share of `steps`, linear fall to 0 at the last."""
    rising = round(warmup * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (steps - step) / max(1, steps - rising))

    return LambdaLR(optimizer, factor)
