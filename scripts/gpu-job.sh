#!/bin/sh
# All that a new GPU should tell, in one command: its limits, every kernel test, the speed of kernels and steps, a
# training step beside PyTorch's where python3 has it, a profiled training, and, with a set of images, a detector trained and tested at full length.
#
#     scripts/gpu-job.sh OUT [BIN] [DATA [NORMAL_CLASS]]
#
# BIN holds `anomem`, `kernels-tests` and `training_step` as `make bundle` puts them there, for machines without
# Rust; run from the repository's root. Each part goes on when another fails; OUT/summary says which did.
set -u
out=${1:?usage: scripts/gpu-job.sh OUT [BIN] [DATA [NORMAL_CLASS]]}
bin=${2:-bundle}
data=${3:-}
class=${4:-}
mkdir -p "$out"
: >"$out/summary"
part() { # name, command...
    name=$1
    shift
    begin=$(date +%s)
    "$@" >"$out/$name.txt" 2>&1
    echo "$name: exit $?, $(($(date +%s) - begin)) s" | tee -a "$out/summary"
}
part devices "$bin/anomem" devices --json
part kernels env ANOMEM_GPU=require ANOMEM_RACE_REPEATS=1000 "$bin/kernels-tests" --test-threads 4
part bench "$bin/anomem" bench --json "$out/bench.json"
part bench-simple "$bin/anomem" bench --variant simple --only product --no-steps
if grep -q '16x16x16 f16->f32' "$out/devices.txt"; then
    part bench-cooperative "$bin/anomem" bench --variant cooperative --only conv --no-steps \
        --json "$out/bench-cooperative.json"
fi
# Which step, the words that ask for it: unquoted, so that each is one.
for words in "" f16 norms blocks resnet50 "resnet50 f16" "resnet50 norms" "resnet50 blocks"; do
    part "$(echo step $words | tr ' ' -)" "$bin/training_step" 256 20 $words
done
for words in f32 tf32 amp "f32 resnet50" "amp resnet50"; do
    part "$(echo step-torch $words | tr ' ' -)" python3 "$(dirname "$0")/torch_step.py" 256 20 $words
done
# Where kernels for 3 x 3 convolutions by Winograd's points begin to win, among others.
part tune "$bin/anomem" tune --out "$out/tuned.toml"
part bench-tuned "$bin/anomem" bench --tuning "$out/tuned.toml" --only conv --no-steps --json "$out/bench-tuned.json"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
part synth "$bin/anomem" synth --out "$work/surfaces"
part profile-tiny "$bin/anomem" train --data "$work/surfaces" --out "$work/tiny" --epochs 3 --profile "$out/tiny.json"
part profile-resnet18 "$bin/anomem" train --data "$work/surfaces" --out "$work/r18" --preset resnet18 --epochs 2 \
    --set train.batch=128 --profile "$out/resnet18.json"
part profile-resnet18-f16 "$bin/anomem" train --data "$work/surfaces" --out "$work/r18-f16" --preset resnet18 --epochs 2 \
    --set train.batch=128 --set network.precision=f16 --profile "$out/resnet18-f16.json"
part demo "$bin/anomem" demo --out "$work/demo"
cp "$work/demo/heatmaps.png" "$work/demo/metrics.json" "$out/" 2>/dev/null
if [ -n "$data" ]; then
    part train "$bin/anomem" train --data "$data" ${class:+--normal-class "$class"} --out "$work/full" --preset resnet18
    part test "$bin/anomem" test --data "$data" ${class:+--normal-class "$class"} --model "$work/full" --baseline
    cp "$work/full/log.jsonl" "$out/" 2>/dev/null
fi
