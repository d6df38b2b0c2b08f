"""Everything that can be timed here, and one training step beside PyTorch's: `make bench`, or
`python3 scripts/bench.py [--batch N] [--rounds N]`; `python3 scripts/bench.py --table FILE` prints a record.

Kernels and whole steps come from `anomem bench`; the step beside PyTorch runs in turn with it, and only ratios within
one run count on a shared machine. Kept as benchmarks/ADAPTER.json, a software driver's with the processor's name.
PyTorch is taken from the Python that PYTHON names, else from python3.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = ROOT / "target/release"


def output(command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def merged(runs):
    """The median of each figure over the rounds."""
    times = {key: statistics.median(run[key] for run in runs) for key in ("first_s", "step_s")}
    return {**runs[0], **times}


def own_figures():
    """Bounds, kernels and steps of this adapter."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bench.json"
        subprocess.run([str(BINARIES / "anomem"), "bench", "--json", str(path)], cwd=ROOT, check=True)
        return json.loads(path.read_text())


def beside_torch(batch, steps, rounds):
    """Our step, in half precision, and with norms or blocks run again for the backward pass, and PyTorch's, on a GPU in
    three precisions, in turn; ours alone where there is no PyTorch."""
    python = os.environ.get("PYTHON", "python3")
    sizes = [str(batch), str(steps)]
    ours = [str(BINARIES / "examples/training_step"), *sizes]
    theirs = [python, str(ROOT / "scripts/torch_step.py"), *sizes]
    probe = [python, "-c", "import torch; print(torch.cuda.is_available())"]
    found = subprocess.run(probe, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    modes = ["f32", "tf32", "amp"] if found.stdout.strip() == "True" else ["f32"]
    if found.returncode:
        print(f"{python} has no PyTorch (Debian: apt install python3-torch): measured alone", file=sys.stderr)
        modes = []
    others = [[*ours, word] for word in ("f16", "norms", "blocks")]
    commands = [ours, *others, *([*theirs, mode] for mode in modes)]
    runs = [[json.loads(output(c)) for c in commands] for _ in range(rounds)]
    return [merged(list(side)) for side in zip(*runs)]


def processor():
    """What a software driver's figures depend on."""
    try:
        info = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.*)", info, re.MULTILINE)
    name = found.group(1) if found else platform.processor()
    # Not told by every model's name, and kernels depend on it.
    return f"{name} AVX-512" if re.search(r"^flags\s*:.* avx512f ", info, re.MULTILINE) else name


def print_sides(sides):
    columns = f"{'first s':>8} {'step s':>8} {'ratio':>6} {'planned MiB':>11} {'peak MiB':>9}"
    print(f"\n{'ResNet-18 step':32} {'batch':>5} {columns}")
    base = next((s for s in sides if not s["engine"].startswith("anomem")), sides[0])["step_s"]
    for side in sides:
        planned, peak = (side.get(key) or float("nan") for key in ("planned_mib", "peak_mib"))
        print(f"{side['engine']:32} {side['batch']:5} {side['first_s']:8.2f} {side['step_s']:8.3f} "
              f"{side['step_s'] / base:6.2f} {planned:11.0f} {peak:9.0f}")


def text_of(record):
    """JSON with a line for each row of a table."""
    lines = []
    for key, value in record.items():
        if isinstance(value, list):
            rows = ",\n".join("    " + json.dumps(row) for row in value)
            lines.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def shown(figure, factor=1, unit=""):
    return "" if figure is None else f"{factor * figure:.1f}{unit}"


def print_table(record):
    """The record in Markdown."""
    bounds = record["bounds"]
    print(f"{record['adapter']['name']}, {record['date']}, commit {record['commit']}: at most "
          f"{bounds['gflops']:.0f} GFLOP/s, {bounds['gb_s']:.1f} GB/s.\n")
    print("| kernel | pass | ms | rate | of bound |\n|---|---|---|---|---|")
    for row in record["kernels"]:
        unit = "GFLOP/s" if row["limit"] == "arithmetic" else "GB/s"
        print(f"| {row['name']} | {row['pass']} | {row['ms']:.2f} | {row['rate']:.1f} {unit} "
              f"| {100 * row['share_of_bound']:.0f} % |")
    print("\n| step | batch | seconds | images/s | MiB | of host | first s |\n|---|---|---|---|---|---|---|")
    for row in record["steps"]:
        print(f"| {row['name']} | {row['batch']} | {row['seconds']:.3f} | {row['images_per_second']:.0f} "
              f"| {row['mib']:.0f} | {shown(row.get('host_share'), 100, ' %')} | {shown(row.get('first_seconds'))} |")
    print_sides(record["sides"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--batch", type=int, default=32, help="images of the step beside PyTorch's")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a round")
    parser.add_argument("--rounds", type=int, default=3, help="how often both sides run in turn")
    parser.add_argument("--table", type=pathlib.Path, help="print this record and measure nothing")
    args = parser.parse_args()
    if args.table:
        return print_table(json.loads(args.table.read_text()))
    cargo = os.environ.get("CARGO", "cargo")
    output([cargo, "build", "--release", "--bin", "anomem", "--example", "training_step"])
    figures = own_figures()
    sides = beside_torch(args.batch, args.steps, args.rounds)
    print_sides(sides)
    software = figures["adapter"]["class"] == "software"
    named = f"{sides[0]['adapter']} {processor() if software else ''}"
    name = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")
    path = ROOT / "benchmarks" / f"{name}.json"
    stamp = {"date": datetime.date.today().isoformat(), "commit": output(["git", "describe", "--always", "--dirty"])}
    path.parent.mkdir(exist_ok=True)
    path.write_text(text_of({**stamp, **figures, "sides": sides}))
    print(f"kept in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
