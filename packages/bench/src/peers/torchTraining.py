"""Training step in PyTorch. Exchanges messages like a child process of Node: lines of JSON on the socket in NODE_CHANNEL_FD."""

import json
import os
import resource
import socket
import sys
import time


def load(job):
    import numpy
    import torch
    from torch.nn.functional import batch_norm, conv2d, cross_entropy, linear, max_pool2d, pad, relu

    torch.set_num_threads(job.get("threads", torch.get_num_threads()))
    shape = "x".join(map(str, job["input"]))

    with open(job["files"] + "weights.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        values = file.read()
    p = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        array = numpy.frombuffer(values[first:last], dtype="<f4").reshape(entry["shape"]).copy()
        p[name] = torch.from_numpy(array).requires_grad_("running" not in name)
    trained = [value for value in p.values() if value.requires_grad]
    pixels = numpy.fromfile(job["files"] + shape + ".f32", dtype="<f4").reshape(job["input"])
    x = torch.from_numpy(pixels)
    labels = torch.arange(job["input"][0]) % 10

    def lenet5(y):
        for name in ("conv1", "conv2"):
            y = max_pool2d(relu(conv2d(y, p[name + ".weight"], p[name + ".bias"])), 2)
        y = y.flatten(1)
        for name in ("fc1", "fc2"):
            y = relu(linear(y, p[name + ".weight"], p[name + ".bias"]))
        return linear(y, p["fc3.weight"], p["fc3.bias"])

    def norm(name, y):
        mean, variance = p[name + ".running_mean"], p[name + ".running_var"]
        return batch_norm(y, mean, variance, p[name + ".weight"], p[name + ".bias"], True)

    def resnet20(y):
        y = relu(norm("bn1", conv2d(y, p["conv1.weight"], padding=1)))
        for stage in (1, 2, 3):
            for block in range(3):
                name = f"layer{stage}.{block}."
                stride = 2 if stage > 1 and block == 0 else 1
                z = relu(norm(name + "bn1", conv2d(y, p[name + "conv1.weight"], stride=stride, padding=1)))
                z = norm(name + "bn2", conv2d(z, p[name + "conv2.weight"], padding=1))
                if stride == 2:
                    extra = y.shape[1] // 2
                    y = pad(y[:, :, ::2, ::2], (0, 0, 0, 0, extra, extra))
                y = relu(z + y)
        return linear(y.mean((2, 3)), p["linear.weight"], p["linear.bias"])

    def resnet18_cifar(y):
        y = relu(norm("bn1", conv2d(y, p["conv1.weight"], padding=1)))
        for stage in (1, 2, 3, 4):
            for block in range(2):
                name = f"layer{stage}.{block}."
                stride = 2 if stage > 1 and block == 0 else 1
                z = relu(norm(name + "bn1", conv2d(y, p[name + "conv1.weight"], padding=1)))
                z = norm(name + "bn2", conv2d(z, p[name + "conv2.weight"], stride=stride, padding=1))
                if stride == 2:
                    y = norm(name + "shortcut.1", conv2d(y, p[name + "shortcut.0.weight"], stride=2))
                y = relu(z + y)
        return linear(y.mean((2, 3)), p["linear.weight"], p["linear.bias"])

    networks = {"lenet5": lenet5, "resnet20": resnet20, "resnet18_cifar": resnet18_cifar}
    if job["network"] not in networks:
        raise NotImplementedError(job["network"] + " is not available: the benchmark has no form of it for PyTorch")
    forward = networks[job["network"]]
    optimizer = torch.optim.SGD(trained, lr=0.01)

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(forward(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run, torch.get_num_threads(), "PyTorch " + torch.__version__


def repeat(run, effort):
    times = []
    started = now = time.perf_counter()
    while len(times) < effort["runs"] or (now - started) * 1000 < effort["milliseconds"]:
        run()
        after = time.perf_counter()
        times.append((after - now) * 1000)
        now = after
    return times


def main():
    channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))
    lines = channel.makefile("rw", encoding="utf-8", newline="\n")

    def answer(message):
        lines.write(json.dumps(message) + "\n")
        lines.flush()

    try:
        begun = time.perf_counter()
        job = json.loads(sys.argv[1])
        run, threads, note = load(job)
        output = [run()]
        moment, first = time.time() * 1000, (time.perf_counter() - begun) * 1000
        output += [run() for _ in range(job.get("compared", 1) - 1)]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = {"output": output, "threads": threads, "notes": [note], "time": moment}
        answer({"value": {**started, "firstResult": first, "kernels": 0, "peakMemory": memory}})
    except (ImportError, NotImplementedError) as error:
        return answer({"error": str(error), "unsupported": True})
    for line in lines:
        request = json.loads(line)
        repeat(run, request["warmUp"])
        answer({"value": repeat(run, request["timed"])})


main()
