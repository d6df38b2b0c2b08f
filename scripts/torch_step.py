"""The step of examples/training_step.rs in PyTorch: `python3 torch_step.py [BATCH] [STEPS] [f32|tf32|amp] [resnet50]` prints
one line of JSON. amp: f16 with a scaled loss, channels last, compiled; on a GPU only, as tf32."""
import contextlib
import json
import os
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    expansion = 1

    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, channels, inner, stride):
        super().__init__()
        out = inner * self.expansion
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class Network(nn.Module):
    def __init__(self, block, depths):
        super().__init__()
        layers, channels = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
        for stage, (inner, depth) in enumerate(zip([64, 128, 256, 512], depths)):
            for index in range(depth):
                layers.append(block(channels, inner, 2 if stage and not index else 1))
                channels = inner * block.expansion
        self.encoder = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(channels, 512), nn.ReLU(), nn.Linear(512, 128))

    def forward(self, x):
        return self.head(self.encoder(x).mean((2, 3)))


def nt_xent(z, tau=0.5):
    z = F.normalize(z)
    n = z.shape[0]
    similarity = (z @ z.t() / tau).masked_fill(torch.eye(n, dtype=torch.bool, device=z.device), -1e9)
    return F.cross_entropy(similarity, (torch.arange(n, device=z.device) + n // 2) % n)


def main():
    words = sys.argv[1:]
    deep = "resnet50" in words
    words = [word for word in words if word != "resnet50"]
    batch, steps, mode = words + ["32", "5", "f32"][len(words):]
    batch, steps, amp = int(batch), int(steps), mode == "amp"
    torch.manual_seed(0)
    # Its default counts cores, not the threads that they offer.
    torch.set_num_threads(os.cpu_count())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if mode != "f32" and device == "cpu":
        sys.exit(f"{mode}: PyTorch finds no GPU")
    # Strict f32, as the kernels that this is compared with, unless asked.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = mode != "f32"
    network = (Network(Bottleneck, [3, 4, 6, 3]) if deep else Network(Block, [2, 2, 2, 2])).to(device)
    scaler = torch.cuda.amp.GradScaler(enabled=amp)
    forward = network
    if amp:
        network.to(memory_format=torch.channels_last)
        forward = torch.compile(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True)
    x = torch.randn(batch, 3, 32, 32, device=device)
    if amp:
        x = x.contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(device, torch.float16) if amp else contextlib.nullcontext():
            z = forward(x)
        loss = nt_xent(z.float())
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss.item()  # waits for the device
        seconds.append(time.perf_counter() - start)
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else \
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({
        "engine": f"PyTorch {torch.__version__}, {mode}{', resnet50' if deep else ''}", "adapter": name, "batch": batch, "first_s": seconds[0],
        "step_s": statistics.median(seconds[1:]), "peak_mib": peak,
    }))


if __name__ == "__main__":
    main()
