"""One training step here and in PyTorch, in turn: `make bench`, or `python3 scripts/bench.py [--batch N] [--rounds N]`.

Prints a table with ratios within this run, the only ones that count on a shared machine, and keeps it as
benchmarks/ADAPTER.json. PyTorch is taken from the Python that PYTHON names, else from python3.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def output(command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def merged(runs):
    """The median of each figure over the rounds."""
    times = {key: statistics.median(run[key] for run in runs) for key in ("first_s", "step_s")}
    return {**runs[0], **times}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32, help="images of a step")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a round")
    parser.add_argument("--rounds", type=int, default=3, help="how often both sides run in turn")
    args = parser.parse_args()
    cargo, python = os.environ.get("CARGO", "cargo"), os.environ.get("PYTHON", "python3")
    output([cargo, "build", "--release", "--example", "training_step"])
    sizes = [str(args.batch), str(args.steps)]
    ours = [str(ROOT / "target/release/examples/training_step"), *sizes]
    theirs = [python, str(ROOT / "scripts/torch_step.py"), *sizes]
    if subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode:
        print(f"{python} has no PyTorch (Debian: apt install python3-torch): measured alone", file=sys.stderr)
        theirs = None
    rounds = [[json.loads(output(c)) for c in (ours, theirs) if c] for _ in range(args.rounds)]
    sides = [merged(list(runs)) for runs in zip(*rounds)]
    print(f"{'ResNet-18 step':32} {'batch':>5} {'first s':>8} {'step s':>8} {'ratio':>6} {'peak MiB':>9}")
    base = sides[-1]["step_s"]
    for side in sides:
        peak = side["peak_mib"] or float("nan")
        print(f"{side['engine']:32} {side['batch']:5} {side['first_s']:8.2f} {side['step_s']:8.3f} "
              f"{side['step_s'] / base:6.2f} {peak:9.0f}")
    record = {
        "date": datetime.date.today().isoformat(),
        "commit": output(["git", "describe", "--always", "--dirty"]),
        "sides": sides,
    }
    name = re.sub(r"[^a-z0-9]+", "-", sides[0]["adapter"].lower()).strip("-")
    path = ROOT / "benchmarks" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"kept in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
