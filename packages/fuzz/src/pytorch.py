"""
Evaluates graphs with PyTorch in float64. Each request on standard input is a line of JSON (the graph) followed by
float32 values; each answer on standard output is a line of JSON (the number of values, or an error) followed by
float64 values. Started by pytorch.ts; needs torch and numpy.
"""

import json
import signal
import sys

import numpy
import torch
import torch.nn.functional as F


class Unsupported(Exception):
    pass


def activation(x, attrs):
    fn = attrs["fn"]
    if fn == "leakyRelu":
        return F.leaky_relu(x, attrs["slope"])
    return {
        "relu": F.relu,
        "relu6": F.relu6,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "silu": F.silu,
        # The gradients of PyTorch's own functions contain 1/6 rounded to float32.
        "hardSwish": lambda x: x * F.relu6(x + 3) / 6,
        "hardSigmoid": lambda x: F.relu6(x + 3) / 6,
    }[fn](x)


def conv2d(x, attrs, w, b=None):
    top, left, bottom, right = attrs["padding"]
    padded = F.pad(x, (left, right, top, bottom))
    return F.conv2d(padded, w, b, stride=attrs["stride"], dilation=attrs["dilation"], groups=attrs["groups"])


def symmetric(attrs):
    top, left, bottom, right = attrs["padding"]
    if (top, left) != (bottom, right):
        raise Unsupported("pooling with uneven padding")
    return (top, left)


def max_pool(x, attrs):
    return F.max_pool2d(
        x, attrs["kernel"], attrs["stride"], symmetric(attrs), attrs["dilation"], ceil_mode=attrs["ceilMode"]
    )


def avg_pool(x, attrs):
    return F.avg_pool2d(
        x,
        attrs["kernel"],
        attrs["stride"],
        symmetric(attrs),
        ceil_mode=attrs["ceilMode"],
        count_include_pad=attrs["countIncludePad"],
    )


def batch_norm(x, attrs, weight, bias, mean, variance, training):
    # A frozen norm uses its running statistics in training too.
    if training and weight.requires_grad:
        return F.batch_norm(x, None, None, weight, bias, True, attrs["momentum"], attrs["eps"])
    return F.batch_norm(x, mean, variance, weight, bias, False, attrs["momentum"], attrs["eps"])


def pad(x, attrs):
    amounts = [count for pair in reversed(list(zip(attrs["before"], attrs["after"]))) for count in pair]
    return F.pad(x, amounts)


def cut(x, attrs):
    index = [slice(None)] * x.dim()
    index[attrs["axis"]] = slice(attrs["start"], attrs["end"], attrs["step"])
    return x[tuple(index)]


def channel_shuffle(x, attrs):
    n, c, h, w = x.shape
    groups = attrs["groups"]
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def local_response_norm(x, attrs):
    return F.local_response_norm(x, attrs["size"], attrs["alpha"], attrs["beta"], attrs["k"])


ops = {
    "activation": activation,
    "adaptiveAvgPool": lambda x, attrs: F.adaptive_avg_pool2d(x, attrs["size"]),
    "adaptiveMaxPool": lambda x, attrs: F.adaptive_max_pool2d(x, attrs["size"]),
    "add": lambda x, attrs, y: x + y,
    "avgPool": avg_pool,
    "channelShuffle": channel_shuffle,
    "concat": lambda x, attrs, *others: torch.cat([x, *others], attrs["axis"]),
    "conv2d": conv2d,
    "globalAvgPool": lambda x, attrs: x.mean((2, 3)),
    "linear": lambda x, attrs, w, b=None: F.linear(x, w, b),
    "localResponseNorm": local_response_norm,
    "logSoftmax": lambda x, attrs: F.log_softmax(x, 1),
    "maxPool": max_pool,
    "mul": lambda x, attrs, y: x * y,
    "pad": pad,
    "reshape": lambda x, attrs: x.reshape(attrs["shape"]),
    "slice": cut,
    "softmax": lambda x, attrs: F.softmax(x, 1),
}


def answer(request, floats):
    values = []
    at = 0

    def take(shape):
        nonlocal at
        count = int(numpy.prod(shape))
        part = floats[at : at + count].reshape(shape)
        at += count
        return torch.from_numpy(part)

    for node in request["nodes"]:
        op, attrs = node["op"], node["attrs"]
        inputs = [values[index] for index in node["inputs"]]
        if op in ("input", "parameter"):
            value = take(node["shape"])
            value.requires_grad_(op == "input" or attrs["trainable"])
        elif op == "batchNorm":
            value = batch_norm(inputs[0], attrs, *inputs[1:], training=request["training"])
        elif op in ops:
            value = ops[op](inputs[0], attrs, *inputs[1:])
        else:
            raise Unsupported(op)
        if list(value.shape) != node["shape"]:
            raise ValueError(f"{op} gives {list(value.shape)}, not {node['shape']}, with {attrs}")
        values.append(value)
    output = values[request["output"]]
    output.backward(take(output.shape))
    gradients = [values[index].grad for index in request["leaves"]]
    results = [output.detach(), *(torch.zeros(0) if g is None else g for g in gradients)]
    return numpy.concatenate([result.double().reshape(-1).numpy() for result in results])


# Ctrl-C also signals this process; it ignores the signal and ends when standard input closes.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
torch.set_num_threads(1)
requests, answers = sys.stdin.buffer, sys.stdout.buffer
while line := requests.readline():
    request = json.loads(line)
    floats = numpy.frombuffer(requests.read(4 * request["floats"]), numpy.float32).astype(numpy.float64)
    try:
        result = answer(request, floats)
        head = {"count": len(result)}
    except Unsupported as error:
        result, head = numpy.zeros(0), {"count": 0, "skipped": f"PyTorch has no {error}"}
    except Exception as error:
        result, head = numpy.zeros(0), {"count": 0, "problem": f"PyTorch: {type(error).__name__}: {error}"}
    answers.write(json.dumps(head).encode() + b"\n" + result.tobytes())
    answers.flush()
