#!/usr/bin/env python3
"""Teaches a trained model a few labelled defects and measures it before and after.

    teach-few.py ANOMEM MODEL DATA OUT --kinds blowhole,break,fray [--counts 5,20] [--seeds 3] [--masks]

DATA is a folder in MVTec AD's layout. Per seed as many defects as the largest count are drawn from the kinds
and left out of the test; each count teaches the first of them, with --masks also together with their masks. Prints means and deviations over the seeds of the
image AUROC on the kinds taught and on the others (each the mean over its kinds), and of pixel AUROC and AUPRO over all.
"""
import argparse, json, os, random, shutil, statistics, subprocess
from pathlib import Path


def link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def without(data, drawn, folder):
    """The set without the drawn test images; hard links where the file system allows them."""
    for file in sorted(p for p in data.rglob("*") if p.is_file()):
        if file not in drawn:
            link(file, folder / file.relative_to(data))


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("anomem", "model", "data", "out"):
        parse.add_argument(name, type=Path)
    parse.add_argument("--kinds", required=True, type=lambda text: text.split(","))
    parse.add_argument("--counts", default=[5, 20], type=lambda text: [int(n) for n in text.split(",")])
    parse.add_argument("--seeds", default=3, type=int)
    parse.add_argument("--masks", action="store_true")
    o = parse.parse_args()
    counts, figures = sorted(o.counts), {}
    # A file, or else a name to look for in PATH.
    program = str(o.anomem.resolve() if o.anomem.is_file() else o.anomem)

    def anomem(*words):
        subprocess.run([program, *map(str, words), "-q"], check=True, stdout=subprocess.DEVNULL)

    def measure(key, model, rest, name):
        json_file = o.out / f"{name}.json"
        anomem("test", "--model", model, "--data", rest, "--json", json_file)
        result = json.loads(json_file.read_text())
        of = lambda chosen: statistics.mean(k["image_auroc"] for n, k in result["kinds"].items() if (n in o.kinds) == chosen)
        row = [of(True), of(False), result["pixel_auroc"], result["aupro"]]
        figures.setdefault(key, []).append([100 * v for v in row])

    for seed in range(o.seeds):
        rng = random.Random(seed)
        piles = [sorted((o.data / "test" / kind).iterdir()) for kind in o.kinds]
        for pile in piles:
            rng.shuffle(pile)
        drawn = [piles[i % len(piles)][i // len(piles)] for i in range(counts[-1])]
        folder = o.out / f"seed-{seed}"
        rest = folder / "rest"
        without(o.data, set(drawn), rest)
        measure("before", o.model, rest, f"before-{seed}")
        for count in counts:
            defects, masks = folder / f"defects-{count}", folder / f"masks-{count}"
            for file in drawn[:count]:
                kind = file.parent.name
                link(file, defects / f"{kind}-{file.name}")
                for mask in (o.data / "ground_truth" / kind).glob(f"{file.stem}_mask.*"):
                    link(mask, masks / f"{kind}-{mask.name}")
            for how, more in [("", []), (", with masks", ["--masks", masks])][: 1 + o.masks]:
                name = f"taught-{count}{'-masks' if how else ''}"
                words = ["--anomalies", defects, *more, "--normals", rest, "--out", folder / name]
                anomem("teach", "--model", o.model, *words)
                measure(f"{count} taught{how}", folder / name, rest, f"{name}-{seed}")

    print(f"| {o.seeds} draws | image, kinds taught | image, other kinds | pixel AUROC | AUPRO@30% |\n|---|---|---|---|---|")
    for key, rows in figures.items():
        spread = lambda v: f"{statistics.mean(v):.1f} ± {statistics.stdev(v):.1f}" if len(v) > 1 else f"{v[0]:.1f}"
        print(f"| {key} | " + " | ".join(spread(v) for v in zip(*rows)) + " |")


main()
