"""AdamW with separate learning rates for pretrained and new weights, and their schedule."""

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from amia.mner.model import RecognizerModel
from amia.mner.training.settings import TrainingSettings

__all__ = ["make_optimizer", "make_schedule"]


def make_optimizer(model: RecognizerModel, settings: TrainingSettings) -> AdamW:
    """Create AdamW with four parameter groups: pretrained and new, each with and without weight decay.

    Biases and LayerNorm have no decay. Public code uses Adam without bias correction and a single learning rate.
    """
    pretrained_names = model.pretrained_parameter_names()
    learning_rates = {
        True: settings.lr_encoder or model.recipe.lr_encoder,
        False: settings.lr_new or model.recipe.lr_new,
    }
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name in pretrained_names, parameter.ndim > 1), []).append(parameter)
    return AdamW(
        [
            {
                "params": parameters,
                "lr": learning_rates[is_pretrained],
                "weight_decay": settings.weight_decay if has_decay else 0.0,
            }
            for (is_pretrained, has_decay), parameters in groups.items()
        ]
    )


def make_schedule(optimizer: AdamW, steps: int, warmup: float) -> LambdaLR:
    """Create a schedule: linear increase over the first `warmup` fraction of `steps`, linear decrease to 0 at the end.

    Unlike `transformers.get_linear_schedule_with_warmup`, the first step has a learning rate above 0, so no step is
    wasted; after the warmup both are equal.
    """
    warmup_steps = round(warmup * steps)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        return max(0.0, (steps - step) / max(1, steps - warmup_steps))

    return LambdaLR(optimizer, factor)
