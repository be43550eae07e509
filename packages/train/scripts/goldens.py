"""
Writes goldens/pytorch.json: results of PyTorch's optimizers and schedules and of torchvision's transforms.
Usage: python3 packages/train/scripts/goldens.py (needs torch and torchvision; Debian has both)
"""

import json
import math
import pathlib
import re

import torch
import torchvision
import torchvision.transforms.functional as F
from torch.optim import lr_scheduler as L


def digits(values, count):
    return [float(f"{value:.{count}g}") for value in values]


# Optimizers: five steps on four numbers, in float64.
def gradient(step):
    return torch.tensor([math.sin(3 * step + 2 * i) * (i + 0.5) for i in range(4)], dtype=torch.float64)


def optimized(make):
    parameter = torch.nn.Parameter(torch.tensor([0.7, -1.3, 0.2, 5.0], dtype=torch.float64))
    optimizer = make([parameter])
    for step in range(1, 6):
        parameter.grad = gradient(step)
        optimizer.step()
    return digits(parameter.tolist(), 12)


O = torch.optim
optimizers = {
    "sgd": lambda p: O.SGD(p, lr=0.02),
    "sgd, momentum and decay": lambda p: O.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.1),
    "sgd, nesterov and decay": lambda p: O.SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda p: O.Adam(p),
    "adam, betas, eps and decay": lambda p: O.Adam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    "adamW": lambda p: O.AdamW(p),
    "adamW, decay": lambda p: O.AdamW(p, lr=0.02, weight_decay=0.1),
    "rmsprop": lambda p: O.RMSprop(p),
    "rmsprop, alpha, eps and decay": lambda p: O.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-3, weight_decay=0.1),
    "rmsprop, momentum and decay": lambda p: O.RMSprop(p, lr=0.02, momentum=0.9, weight_decay=0.1),
}

# Clipping by norm: the gradients of steps 1 and 2 as those of two parameters.
pair = [torch.nn.Parameter(torch.zeros(4, dtype=torch.float64)) for _ in range(2)]
for index, parameter in enumerate(pair):
    parameter.grad = gradient(index + 1)
norm = torch.nn.utils.clip_grad_norm_(pair, 1.5)
clip = {"norm": norm.item(), "gradients": [digits(p.grad.tolist(), 12) for p in pair]}


# Schedules: the factor of each step, or of each epoch.
def scheduled(make, count, losses=None):
    optimizer = O.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimizer)
    factors = []
    for index in range(count):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step() if losses is None else schedule.step(losses[index])
    return digits(factors, 10)


losses = [1.0, 0.9, 0.95, 0.93, 0.91, 0.8, 0.85, 0.86, 0.87, 0.88, 0.89, 0.79995, 0.9]
schedules = {
    "stepDecay, every 3": scheduled(lambda o: L.StepLR(o, 3, 0.5), 10),
    "stepDecay, at 2 and 5": scheduled(lambda o: L.MultiStepLR(o, [2, 5], 0.1), 8),
    "cosine": scheduled(lambda o: L.CosineAnnealingLR(o, 10, eta_min=0.1), 10),
    "oneCycle": scheduled(lambda o: L.OneCycleLR(o, 1.0, 10, cycle_momentum=False), 10),
    "oneCycle, linear": scheduled(
        lambda o: L.OneCycleLR(o, 1.0, 20, None, None, 0.25, "linear", False, div_factor=10, final_div_factor=100), 20
    ),
    "warmUp, then cosine": scheduled(
        lambda o: L.SequentialLR(o, [L.LinearLR(o, 0.01, 1.0, 4), L.CosineAnnealingLR(o, 6)], [4]), 10
    ),
    "reduceOnPlateau": scheduled(
        lambda o: L.ReduceLROnPlateau(o, factor=0.5, patience=2, min_lr=0.1), len(losses), losses
    ),
}


# Transforms, on pictures whose values depend on their positions.
def picture(c, h, w):
    return torch.tensor(
        [[[((k * 7 + y * 13 + x * 29 + 5) * 37 % 101) / 100 for x in range(w)] for y in range(h)] for k in range(c)]
    )


small, large, grey = picture(3, 4, 5), picture(3, 9, 12), picture(1, 4, 5)
transforms = {
    "brightness 1.3": F.adjust_brightness(small, 1.3),
    "contrast 0.6": F.adjust_contrast(small, 0.6),
    "saturation 1.7": F.adjust_saturation(small, 1.7),
    "hue 0.2": F.adjust_hue(small, 0.2),
    "hue -0.4": F.adjust_hue(small, -0.4),
    "contrast 0.6 of grey": F.adjust_contrast(grey, 0.6),
    "smaller": F.resized_crop(large, 2, 3, 6, 8, [4, 4], antialias=True),
    "larger": F.resized_crop(large, 1, 2, 3, 4, [6, 6], antialias=True),
    "resizeTo 5": F.resize(large, 5, antialias=True),
    "padded crop": F.crop(F.pad(small, [1]), 2, 0, 4, 5),
    "flip": F.hflip(small),
    "centerCrop 4": F.center_crop(large, 4),
    "centerCrop 10": F.center_crop(large, 10),
    "tenCrop 3": torch.stack(F.ten_crop(small, 3)),
}

result = {
    "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
    "optimizers": {name: optimized(make) for name, make in optimizers.items()},
    "clip": clip,
    "losses": losses,
    "schedules": schedules,
    "transforms": {
        name: {"shape": list(value.shape), "data": digits(value.flatten().tolist(), 7)}
        for name, value in transforms.items()
    },
}
# Lists of numbers on one line each.
text = re.sub(
    r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"),
    json.dumps(result, indent=2),
)
path = pathlib.Path(__file__).parent.parent / "goldens" / "pytorch.json"
path.write_text(text + "\n")
