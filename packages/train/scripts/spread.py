"""
Writes goldens/spread.json: the largest deviations of PyTorch's own float32 from the goldens (float64) over several
orders of addition: with the pictures of each batch in other orders, on one and two threads, with and without oneDNN.
The goldens state the deviation of one such run. Of the first step's gradients it has the norms and first three values,
divided by the norm or by 1e-4 of the largest norm. Of LeNet, where rounding does not change the side of a relu input,
it also has losses, final weights and logits.
Usage: python3 packages/train/scripts/spread.py (needs torch and torchvision; Debian has both)
"""

import itertools
import json
import math
import pathlib

import numpy as np
import torch
import torchvision.models as M
from torch import nn
from torch.nn import functional as F

folder = pathlib.Path(__file__).parent.parent / "goldens"
ORDERS = 12


# The scheme of inputs and weights: see packages/testing/src/scheme.ts.
def hashes(name, count):
    key = 0x811C9DC5
    for byte in name.encode():
        key = ((key ^ byte) * 0x01000193) & 0xFFFFFFFF
    h = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) ^ np.uint32(key)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return h ^ (h >> np.uint32(16))


def filled(name, shape, scale, offset=0.0):
    units = ((hashes(name, math.prod(shape)) >> np.uint32(8)).astype(np.int32) - 2**23).astype(np.float32) * np.float32(2**-23)
    return torch.from_numpy((np.float32(offset) + np.float32(scale) * units).reshape(shape))


def weight(name, shape, gain2):
    kind = name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return torch.zeros(shape)
    if kind in ("running_mean", "running_var"):
        return torch.full(shape, float(kind == "running_var"))
    if len(shape) >= 2:
        return filled(name, shape, math.sqrt(3 * gain2 / math.prod(shape[1:])))
    return filled(name, shape, 0.5, 1.0) if kind == "weight" else filled(name, shape, 0.125)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


def conv(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class TinyResnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 8, 3), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 8, 1))
        self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(Block(c, 2 * c, 2), Block(2 * c, 2 * c, 1)) for c in (8, 16, 32)
        )
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


def without_chance(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
    return model


O = torch.optim
momentum = {"momentum": 0.9, "weight_decay": 5e-4}
cases = {
    "lenet5_relu__sgd": (LeNet, lambda p: O.SGD(p, lr=0.01, **momentum)),
    "lenet5_relu__adam": (LeNet, lambda p: O.Adam(p, lr=5e-4, weight_decay=5e-4)),
    "tiny_resnet18_w8__sgd": (TinyResnet, None),
    "tiny_resnet18_w8__adam": (TinyResnet, None),
    "mobilenet_v2_w0.25__sgd": (lambda: without_chance(M.mobilenet_v2(width_mult=0.25, num_classes=10)), None),
    "shufflenet_v2_x0_5__adamw": (lambda: M.shufflenet_v2_x0_5(num_classes=10), None),
    "efficientnet_b0__sgd": (
        lambda: without_chance(M.efficientnet_b0(num_classes=10, stochastic_depth_prob=0.0)),
        None,
    ),
}


def run(golden, build, make, order):
    """Gives the deviations of a run: of the first step, or of all steps if `make` makes an optimizer."""
    model = build()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(weight(name, tuple(value.shape), golden["gain2"]))
    model.train()
    optimizer = make and make(model.parameters())
    largest = max(entry["norm"] for entry in golden["gradStep1"].values())
    found = {"gradNorm": 0.0, "gradFirst": 0.0}
    for step in range(golden["steps"] if make else 1):
        x = filled(f"train/x/{step % 4}", golden["input"], 2)[order]
        model.zero_grad()
        loss = F.cross_entropy(model(x), torch.tensor(golden["labels"][step % 4])[order])
        loss.backward()
        if step == 0:
            for name, parameter in model.named_parameters():
                entry, gradient = golden["gradStep1"][name], parameter.grad.double()
                scale = max(entry["norm"], 1e-4 * largest)
                found["gradNorm"] = max(found["gradNorm"], abs(gradient.norm().item() - entry["norm"]) / scale)
                for value, expected in zip(gradient.flatten().tolist(), entry["first"]):
                    found["gradFirst"] = max(found["gradFirst"], abs(value - expected) / scale)
        if not make:
            return found
        found["loss"] = max(found.get("loss", 0), abs(loss.item() - golden["losses"][step]))
        optimizer.step()
    state = model.state_dict()
    found["final"] = max(
        abs(value - expected)
        for name, entry in golden["final"].items()
        for value, expected in zip(state[name].flatten().tolist(), entry["first"])
    )
    model.eval()
    with torch.no_grad():
        logits = model(filled("train/x/0", golden["input"], 2))[:2].flatten().tolist()
    expected = [value for row in golden["evalLogitsAfter"] for value in row]
    found["evalLogits"] = max(abs(a - b) for a, b in zip(logits, expected))
    return found


def spread(file, build, make):
    golden = json.loads((folder / f"{file}.json").read_text())
    source = np.random.default_rng(1)
    most = {}
    for index in range(ORDERS):
        order = torch.arange(golden["input"][0]) if index == 0 else torch.from_numpy(source.permutation(golden["input"][0]))
        for onednn, threads in itertools.product((True, False), (1, 2)):
            torch.set_num_threads(threads)
            with torch.backends.mkldnn.flags(enabled=onednn):
                for key, value in run(golden, build, make, order).items():
                    most[key] = max(most.get(key, 0), value)
    return {key: float(f"{value:.3g}") for key, value in most.items()}


result = {"torch": torch.__version__, "orders": ORDERS, "spread": {file: spread(file, *case) for file, case in cases.items()}}
(folder / "spread.json").write_text(json.dumps(result, indent=2) + "\n")
