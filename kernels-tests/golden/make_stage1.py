#!/usr/bin/python3
"""Makes stage1.safetensors: ten stage-1 training steps of a narrow AnoMem, computed by PyTorch in f64.

    /usr/bin/python3 kernels-tests/golden/make_stage1.py            # writes the file beside this script
    /usr/bin/python3 kernels-tests/golden/make_stage1.py --check    # f32 against f64, and against the file

Made with PyTorch 1.13.1 (Debian python3-torch), CPU, one thread. Every number of the method comes from
arXiv 2211.09041 (eqs. 1, 3-7) and the choices below; every layer is PyTorch's own.

What is computed
  Encoder: ResNet-18 with torchvision's names, widths 8, 16, 32, 64; conv1 is 3x3, stride 1, padding 1, no
    max-pool, no fc; batch norm eps 1e-5, momentum 0.1, in training mode. Maps after layer3 (scale 0,
    4x4x32) and layer4 (scale 1, 2x2x64), both after their last ReLU.
  Batch: 6 images in two views through the encoder as ONE batch of 12: view 1 of images 0..5, then view 2.
  Positions: per step and scale, `count` indices into the H*W positions (index = row * W + column), the same
    for every image and both views. z1, z2 [6 * count, D]: row = image * count + draw.
  Memory (eq. 1): q = z1 / |z1|, P = W / |W| (rows), xi = q, then 3 times xi = softmax(16 xi P^T) P; no
    early stop, no renormalisation.
  Contrast (eqs. 3-5): all images normal, zt = xi. NT-Xent, tau 0.1, of the 2 n rows [zt; z2], each divided
    by its length; every row is an anchor, all other rows are in its denominator; mean over the 2 n anchors.
  Variance (eq. 6): mean over d of max(0, 1/sqrt(D) - sqrt(var_d(xi) + 1e-4)), var with n - 1.
  Loss (eq. 7): sum over scales s of lambda_s (contrast_s + 0.05 variance_s), lambda = 1, 2.
  Optimiser: SGD, Nesterov momentum 0.9 (torch.optim.SGD), learning rate per step from `lr`; weight decay 5e-4
    on every parameter of the encoder (batch norm's too), 0 on the prototypes.

Tensors (C order; NAME runs over the parameters: conv1.weight [O, I, KH, KW], bn1.weight, bn1.bias,
layer1.0.conv1.weight, ..., layer2.0.downsample.0.weight, layer2.0.downsample.1.weight, ...,
memory.0.prototypes [12, 32], memory.1.prototypes [10, 64])
  init.NAME                F32          every parameter before step 0; running mean 0 and variance 1
  input                    F32 [5, 12, 3, 16, 16]   the batches, NCHW, multiples of 1/64 in [-2, 2), to be used
                                        as they are; step t takes batch t mod 5
  positions.0, positions.1 U32 [10, 6, 5], [10, 6, 3]   indices per step and image (equal over the images)
  lr                       F32 [10]     learning rate of each step
  loss                     F64 [10]     total loss of each step, before its update
  contrast, variance       F64 [10, 2]  its terms per scale, unweighted
  step0.grad.NAME          F32          gradient of the total loss at step 0, without weight decay
  step0.map.0, .1          F32 [12, 32, 4, 4], [12, 64, 2, 2]   the maps at step 0, NCHW
  step0.retrieved.0, .1    F32 [30, 32], [18, 64]   xi at step 0
  step0.BN.running_mean    F32 [C]      after step 0's forward pass; BN = bn1, layer1.0.bn1, ...,
  step0.BN.running_var                  layer2.0.downsample.1, ...; the variance with n - 1
  final.NAME               F32          parameters after step 9: conv1.weight, every batch norm's, the prototypes
  semi.labels              U32 [6]      step 0 again with labels (1 normal, 0 anomaly): zt = xi where 1, q where
                                        0, and the variance over the rows of xi of normal images only
  semi.loss                F64 [1]      its total loss
  semi.contrast, .variance F64 [2]      its terms per scale, unweighted
  semi.grad.NAME           F32          its gradients of the two prototypes, conv1.weight and bn1's two

PyTorch's own f32 run, and eight more from weights that are off by a rounding, stay within these of the f64
values (of a tensor's norm): losses 2e-7, step0.grad 1.1e-5, maps and retrieved 1e-6, final 4e-7, semi.grad
3e-6. No weight decay moves a tensor of `final` by 1.5e-4 and weight decay on the prototypes by 3e-5, so a test
should hold the losses to 1e-5, gradients to 1e-4 and `final` to 5e-6.
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

FILE = Path(__file__).with_name("stage1.safetensors")
WIDTHS, SLOTS, COUNTS = (8, 16, 32, 64), (12, 10), (5, 3)
IMAGES, SIZE, BATCHES, STEPS = 6, 16, 5, 10
BETA, HOPFIELD_STEPS, TAU, LAMBDAS, LAMBDA_V = 16.0, 3, 0.1, (1.0, 2.0), 0.05
LR = (5e-4, 1e-3, 1.5e-3, 2e-3, 2e-3, 2e-3, 1.5e-3, 1.5e-3, 1e-3, 5e-4)
SEMI_LABELS = (1, 1, 0, 1, 0, 1)
SEMI_GRADS = ("memory.0.prototypes", "memory.1.prototypes", "conv1.weight", "bn1.weight", "bn1.bias")


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + shortcut)


class Memory(nn.Module):
    def __init__(self, slots, features):
        super().__init__()
        self.prototypes = nn.Parameter(torch.empty(slots, features))

    def forward(self, query):
        patterns = F.normalize(self.prototypes, dim=1)
        for _ in range(HOPFIELD_STEPS):
            query = torch.softmax(BETA * query @ patterns.T, dim=1) @ patterns
        return query


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        inputs = WIDTHS[0]
        for i, width in enumerate(WIDTHS):
            blocks = BasicBlock(inputs, width, 1 if i == 0 else 2), BasicBlock(width, width, 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
            inputs = width
        self.memory = nn.ModuleList(Memory(m, d) for m, d in zip(SLOTS, WIDTHS[2:]))

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        deep = self.layer3(self.layer2(self.layer1(x)))
        return deep, self.layer4(deep)


def nt_xent(a, b):
    z = F.normalize(torch.cat([a, b]), dim=1)
    n = len(a)
    s = z @ z.T / TAU
    others = s.masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    pair = torch.arange(2 * n).roll(n)
    return (torch.logsumexp(others, dim=1) - s[torch.arange(2 * n), pair]).mean()


def variance_loss(z):
    return F.relu(z.shape[1] ** -0.5 - torch.sqrt(z.var(dim=0, unbiased=True) + 1e-4)).mean()


def losses(network, x, positions, labels):
    """Total loss; per scale contrast, variance, map and retrieved vectors."""
    total, terms = 0.0, []
    for scale, full in enumerate(network(x)):
        d = full.shape[1]
        vectors = full.flatten(2).transpose(1, 2).reshape(2, IMAGES, -1, d)  # view, image, position, d
        drawn = positions[scale].unsqueeze(-1).expand(-1, -1, d)
        z1, z2 = (v.gather(1, drawn).reshape(-1, d) for v in vectors)
        query = F.normalize(z1, dim=1)
        retrieved = network.memory[scale](query)
        normal = labels.repeat_interleave(positions[scale].shape[1])
        contrast = nt_xent(torch.where(normal[:, None], retrieved, query), z2)
        variance = variance_loss(retrieved[normal])
        total = total + LAMBDAS[scale] * (contrast + LAMBDA_V * variance)
        terms.append((contrast, variance, full, retrieved))
    return total, terms


def images(random):
    """Smooth random pictures and their second views: shifted, of other contrast, noisy."""
    grid = np.arange(SIZE) / SIZE * 2 * np.pi
    batches = np.empty((BATCHES, 2, IMAGES, 3, SIZE, SIZE))
    for batch in batches:
        for image in range(IMAGES):
            field = np.zeros((3, SIZE, SIZE))
            for _ in range(6):
                fx, fy = random.randint(-3, 4, 2)
                wave = np.cos(fx * grid[None, :] + fy * grid[:, None] + random.uniform(0, 2 * np.pi))
                field += random.normal(0, 0.45, (3, 1, 1)) * wave
            batch[0, image] = field + random.normal(0, 0.15, field.shape)
            moved = np.roll(field, random.randint(0, 2, 2), axis=(1, 2)) * random.uniform(0.7, 1.3)
            batch[1, image] = moved + random.normal(0, 0.15, field.shape) + random.normal(0, 0.2)
    levels = np.clip(np.round(batches * 64), -128, 127)
    return (levels / 64).reshape(BATCHES, 2 * IMAGES, 3, SIZE, SIZE).astype(np.float32)


def make_inputs():
    """Everything that a test is given, from fixed seeds; nothing here depends on PyTorch's generator."""
    random = np.random.RandomState(221109041)
    given = {"input": images(random), "lr": np.array(LR, np.float32)}
    for scale, (count, places) in enumerate(zip(COUNTS, (16, 4))):
        rows = np.stack([random.permutation(places)[:count] for _ in range(STEPS)])
        given[f"positions.{scale}"] = np.repeat(rows[:, None], IMAGES, axis=1).astype(np.uint32)
    for name, p in Network().named_parameters():
        shape = tuple(p.shape)
        if p.dim() == 4:  # He et al. 2015, fan out
            value = random.normal(0, (2 / (shape[0] * shape[2] * shape[3])) ** 0.5, shape)
        elif "prototypes" in name:
            # Around the diagonal, as features after a ReLU are: further apart, three steps at beta 16 amplify
            # roundings. Of any length: the memory normalises them.
            value = (1 + 0.7 * random.normal(0, 1, shape)) / shape[1] ** 0.5
            value *= random.uniform(0.5, 1.5, (shape[0], 1))
        elif name.endswith("weight"):
            # Small at the end of a branch: larger ones make ten steps amplify roundings.
            low, high = (0.2, 0.4) if name.endswith("bn2.weight") else (0.6, 1.4)
            value = random.uniform(low, high, shape)
        else:
            value = random.normal(0, 0.1, shape)
        given[f"init.{name}"] = value.astype(np.float32)
    return given


def build(given, dtype):
    network = Network().to(dtype).train()
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(torch.from_numpy(given[f"init.{name}"]))
    return network


def positions_of(given, step):
    return [torch.from_numpy(given[f"positions.{s}"][step].astype(np.int64)) for s in (0, 1)]


def numpy(tensor, dtype=np.float32):
    return tensor.detach().numpy().astype(dtype)


def train(given, dtype, weight_decay=(5e-4, 0.0), **changed):
    """The ten steps: what they are expected to give."""
    network = build(given, dtype)
    encoder = [p for n, p in network.named_parameters() if not n.startswith("memory")]
    groups = [
        {"params": encoder, "weight_decay": weight_decay[0]},
        {"params": list(network.memory.parameters()), "weight_decay": weight_decay[1]},
    ]
    sgd = torch.optim.SGD(groups, lr=1.0, **{"momentum": 0.9, "nesterov": True, **changed})
    out = {"loss": np.empty(STEPS), "contrast": np.empty((STEPS, 2)), "variance": np.empty((STEPS, 2))}
    everyone = torch.ones(IMAGES, dtype=torch.bool)
    for step in range(STEPS):
        x = torch.from_numpy(given["input"][step % BATCHES]).to(dtype)
        total, terms = losses(network, x, positions_of(given, step), everyone)
        sgd.zero_grad()
        total.backward()
        out["loss"][step] = total.item()
        for scale, (contrast, variance, full, retrieved) in enumerate(terms):
            out["contrast"][step, scale] = contrast.item()
            out["variance"][step, scale] = variance.item()
            if step == 0:
                out[f"step0.map.{scale}"] = numpy(full, np.float64)
                out[f"step0.retrieved.{scale}"] = numpy(retrieved, np.float64)
        if step == 0:
            for name, p in network.named_parameters():
                out[f"step0.grad.{name}"] = numpy(p.grad, np.float64)
            for name, buffer in network.named_buffers():
                if "running" in name:
                    out[f"step0.{name}"] = numpy(buffer, np.float64)
        for group in sgd.param_groups:
            group["lr"] = float(given["lr"][step])
        sgd.step()
    for name, p in network.named_parameters():
        if p.dim() == 1 or "prototypes" in name or name == "conv1.weight":
            out[f"final.{name}"] = numpy(p, np.float64)
    return out


def semi(given, dtype):
    """Step 0 with anomalies among the images."""
    network = build(given, dtype)
    x = torch.from_numpy(given["input"][0]).to(dtype)
    labels = torch.tensor(SEMI_LABELS, dtype=torch.bool)
    total, terms = losses(network, x, positions_of(given, 0), labels)
    total.backward()
    out = {"semi.loss": np.array([total.item()])}
    out["semi.contrast"] = np.array([t[0].item() for t in terms])
    out["semi.variance"] = np.array([t[1].item() for t in terms])
    grads = dict(network.named_parameters())
    out.update({f"semi.grad.{name}": numpy(grads[name].grad, np.float64) for name in SEMI_GRADS})
    return out


def is_series(name):
    return name in ("loss", "contrast", "variance", "semi.loss", "semi.contrast", "semi.variance")


def safetensors(tensors):
    """The format by hand: u64 length of the header, JSON header, raw little-endian data."""
    kinds = {"float64": "F64", "float32": "F32", "uint32": "U32"}
    header = {"__metadata__": {"made_by": "kernels-tests/golden/make_stage1.py"}}
    data = b""
    # Widest first, so that every tensor is aligned to its element.
    for name in sorted(tensors, key=lambda n: (-tensors[n].itemsize, n)):
        t = tensors[name]
        raw = np.ascontiguousarray(t, t.dtype.newbyteorder("<")).tobytes()
        span = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": kinds[t.dtype.name], "shape": list(t.shape), "data_offsets": span}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def read_safetensors(raw):
    kinds = {"F64": "<f8", "F32": "<f4", "U32": "<u4"}
    (length,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    header.pop("__metadata__")
    out = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        out[name] = np.frombuffer(data[start:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return out


def distance(wide, other, name):
    return np.linalg.norm(wide[name] - other[name]) / np.linalg.norm(wide[name])


def check_roundings(given, wide):
    """f32 against f64, then f32 from weights that are off by a rounding: no step may amplify these."""
    narrow = {**train(given, torch.float32), **semi(given, torch.float32)}
    print(f"{'':44}{'f64':>14}{'f32':>14}{'relative':>10}")
    for step in range(STEPS):
        a, b = wide["loss"][step], narrow["loss"][step]
        print(f"loss of step {step:<31}{a:14.9f}{b:14.9f}{abs(a - b) / abs(a):10.1e}")
    for name in sorted(wide):
        a, b = np.linalg.norm(wide[name]), np.linalg.norm(narrow[name])
        print(f"{'|' + name + '|':44}{a:14.6e}{b:14.6e}{distance(wide, narrow, name):10.1e}")
    runs = [narrow]
    for seed in range(8):
        random = np.random.RandomState(seed)
        moved = {n: t * (1 + 6e-8 * random.uniform(-1, 1, t.shape)) for n, t in given.items() if "init" in n}
        moved = {n: t.astype(np.float32) for n, t in moved.items()}
        runs.append(train({**given, **moved}, torch.float32))
    losses_off = max(np.max(np.abs(r["loss"] / wide["loss"] - 1)) for r in runs)
    print("worst of these and of 8 more runs in f32 whose weights are off by a rounding (1e-4 allowed):")
    print(f"  losses {losses_off:.1e}")
    for kind in ("step0.grad", "step0", "final", "semi", ""):
        names = [n for n in wide if n.startswith(kind)]
        worst = max(distance(wide, r, n) for r in runs for n in names if n in r)
        print(f"  {kind or 'all'} {worst:.1e}")
    assert losses_off < 1e-4 and worst < 1e-4


def check_sensitivity(given, wide):
    """What a wrong optimiser would change: the tests must be able to see it."""
    changes = {
        "no weight decay": {"weight_decay": (0.0, 0.0)},
        "weight decay on the prototypes too": {"weight_decay": (5e-4, 5e-4)},
        "momentum without Nesterov": {"nesterov": False},
        "no momentum": {"momentum": 0.0, "nesterov": False},
    }
    print("a wrong optimiser changes at most, relatively:")
    for what, changed in changes.items():
        other = train(given, torch.float64, **changed)
        loss = np.max(np.abs(other["loss"] / wide["loss"] - 1))
        final = max(distance(wide, other, n) for n in wide if n.startswith("final"))
        print(f"  {what}: the losses by {loss:.1e}, a tensor of `final` by {final:.1e}")


def check_file(tensors):
    stored = read_safetensors(FILE.read_bytes())
    assert sorted(stored) == sorted(tensors)
    for name, t in tensors.items():
        assert stored[name].shape == t.shape and stored[name].dtype == t.dtype, name
        error = np.abs(stored[name].astype(np.float64) - t).max() / (np.abs(t).max() + 1e-300)
        assert error <= (1e-9 if t.dtype == np.float64 else 1e-6), (name, error)
    print(f"{FILE.name}: {len(stored)} tensors, the same as made now")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    given = make_inputs()
    wide = {**train(given, torch.float64), **semi(given, torch.float64)}
    tensors = {**given, "semi.labels": np.array(SEMI_LABELS, np.uint32)}
    tensors.update({n: t if is_series(n) else t.astype(np.float32) for n, t in wide.items()})
    if sys.argv[1:] == ["--check"]:
        check_roundings(given, wide)
        check_sensitivity(given, wide)
        check_file(tensors)
        return
    raw = safetensors(tensors)
    FILE.write_bytes(raw)
    print(f"{FILE}: {len(tensors)} tensors, {len(raw)} bytes")


if __name__ == "__main__":
    main()
