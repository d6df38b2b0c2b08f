# Two commands from a fresh clone: `make demo` and `make test`.
.PHONY: demo test check driver break bench bundle
CARGO ?= cargo
OUT ?= demo

# Trains on made-up surfaces, prints image and pixel AUROC, and writes $(OUT)/heatmaps.png and a
# report of the run, $(OUT)/run/report.html.
demo: driver
	$(CARGO) run --release -- demo --out $(OUT)

# A Vulkan, Metal or DX12 adapter must answer. On Debian and Ubuntu without one this installs Mesa's software driver.
driver:
	@sh scripts/ensure-driver.sh

test: driver
	ANOMEM_GPU=require $(CARGO) test

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

# Breaks shaders line by line and asks whether the tests notice: `make break ARGS="pool --all"`.
break: driver
	python3 scripts/break-shaders.py $(ARGS)

# Kernels, steps and scoring, and one training step beside PyTorch's, where there is one.
bench: driver
	python3 scripts/bench.py $(ARGS)

# Binaries for scripts/gpu-job.sh on a machine without Rust.
bundle:
	$(CARGO) build --release --bin anomem --example training_step
	$(CARGO) test --release --no-run --test kernels-tests
	mkdir -p bundle
	cp target/release/anomem target/release/examples/training_step bundle/
	cp "$$(ls -t target/release/deps/kernels_tests-* | grep -v '\.d$$' | head -1)" bundle/kernels-tests
