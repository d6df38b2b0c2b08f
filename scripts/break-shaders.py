#!/usr/bin/env python3
"""Breaks shaders one line at a time and asks whether the tests notice.

Each mutant changes one place of one WGSL file: + and - swapped, < and <=, another constant, an index
off by one, a term or statement dropped, two sizes exchanged, a guard removed. The family's tests run
against it. A mutant that they fail is killed; one that they pass has survived: either a test is missing,
or the change makes no difference, which scripts/break-shaders.allow then says with a reason.

Shaders are read at run time (feature `live-shaders`) from a copy in a temporary folder: nothing is
rebuilt between mutants, and the working tree is never touched. Mutants that naga rejects count as
invalid. Dropped barriers are not tried: software drivers do not show the race.

    scripts/break-shaders.py                      4 mutants of every file
    scripts/break-shaders.py pool rng --all       every mutant of a family, and of common/rng.wgsl
    scripts/break-shaders.py --list pool          only show them
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALLOW = ROOT / "scripts" / "break-shaders.allow"

Mutant = collections.namedtuple("Mutant", "file line operator old new")
Allowed = collections.namedtuple("Allowed", "file operator new reason text")

# What replaces what, between spaces: angle brackets of types have none.
BINARY = {
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
    "+=": ["-="], "-=": ["+="], "*=": ["/="], "/=": ["*="], "|=": ["&="], "^=": ["|="],
    "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
    "==": ["!="], "!=": ["=="], "&&": ["||"], "||": ["&&"],
    "<<": [">>"], ">>": ["<<"], "&": ["|"], "|": ["&"], "^": ["|"],
}
CALLS = {
    "min": "max", "max": "min", "floor": "ceil", "ceil": "floor", "abs": "", "sqrt": "", "exp": "",
    "log": "", "cos": "sin", "sin": "cos", "clamp": None, "select": None,
}


def closing(text, at):
    """The place of the bracket that closes the one at `at`, or -1."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i
    return -1


def arguments(text, at):
    """Start and end of each argument of the call whose bracket opens at `at`."""
    end, depth, start, out = closing(text, at), 0, at + 1, []
    for i in range(at + 1, end):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if text[i] == "," and depth == 0:
            out.append((start, i))
            start = i + 1
    return out + [(start, end)] if end > 0 else []


def term_end(text, at):
    """The end of the factor or product that starts at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        stop = text[i] in ";," or re.match(r" (\+|-|<=?|>=?|==|!=|&&|\|\||\{|[|&^]) ?", text[i:])
        if depth < 0 or (depth == 0 and stop):
            return i
    return len(text)


def literal(text):
    """Other values of a number."""
    if m := re.fullmatch(r"(\d+)(u?)", text):
        n = int(m[1])
        return [f"{v}{m[2]}" for v in ([1] if n == 0 else [n - 1, n + 1])]
    if re.fullmatch(r"0[xX][0-9a-fA-F]+u?", text):
        return [f"({text} ^ 1u)" if text.endswith("u") else f"({text} ^ 1)"]
    value = float(text)
    return ["1.0"] if value == 0 else [f"({text} * 2.0)"] + (["0.0"] if value == 1 else [])


def line_mutants(code, params, rng):
    """Yields (operator, new code) for one line of code without its comment."""
    cut = lambda a, b, new: code[:a] + new + code[b:]
    for m in re.finditer(r"(?<= )(\S{1,2})(?= )", code):
        for new in BINARY.get(m[1], []):
            yield "operator", cut(m.start(1), m.end(1), new)
    for m in re.finditer(r"\b(\w+)\(", code):
        if m[1] not in CALLS:
            continue
        parts = arguments(code, m.end() - 1)
        if m[1] == "select" and len(parts) == 3:
            (a, b), (c, d) = parts[0], parts[1]
            yield "select", code[:a] + code[c:d].strip() + ", " + code[a:b].strip() + code[d:]
        elif m[1] == "clamp" and parts:
            yield "call", cut(m.start(), closing(code, m.end() - 1) + 1, code[slice(*parts[0])])
        elif CALLS[m[1]] is not None:
            yield "call", cut(m.start(1), m.end(1), CALLS[m[1]])
    for m in re.finditer(r"(?<![\w.])(0[xX][0-9a-fA-F]+u?|\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+|\d+u?)(?![\w.])", code):
        for new in literal(m[1]):
            yield "constant", cut(m.start(), m.end(), new)
    for m in re.finditer(r"(?<=\w)\[", code):
        end = closing(code, m.start())
        if end > 0:
            yield "index", cut(end, end, " + 1u")
    for m in re.finditer(r" [+-] (?=[\w(-])", code):
        yield "term", cut(m.start(), term_end(code, m.end()), "")
    for m in re.finditer(r"([\w.]+) \* ([\w.]+) \+ ([\w.]+)(?![\w.(\[])", code):
        yield "stride", cut(m.start(), m.end(), f"{m[1]} * {m[3]} + {m[2]}")
    for m in re.finditer(r"\bp\.(\w+)", code):
        others = [n for n, kind in params.items() if kind == params.get(m[1]) and n != m[1]]
        if others:
            yield "size", cut(m.start(1), m.end(1), rng.choice(others))
    for m in re.finditer(r"(?<=[(=,+*/?] )-(?=[\w(])|(?<=\()-(?=[\w(])|(?<=return )-", code):
        yield "sign", cut(m.start(), m.end(), "")
    for m in re.finditer(r"!(?=[\w(])", code):
        yield "not", cut(m.start(), m.end(), "")
    if m := re.match(r"(\s*(?:\} else )?if )\((.*)\) \{$", code):
        # The outermost guard of an entry point keeps stores inside their buffers.
        bounds = code.startswith("    if (") and re.fullmatch(r"[\w.]+ < [^&|]+", m[2])
        yield ("bounds" if bounds else "guard"), f"{m[1]}(true) {{"
        yield "guard", f"{m[1]}(false) {{"
    statement = code.strip()
    whole = statement.endswith(";") and not re.match(r"(let|var|const|return|for|\}|workgroupBarrier)\b|\}", statement)
    if whole and statement.count("(") == statement.count(")") and re.match(r"[\w.\[\]() +*/%-]+( [-+*/|^&]?= |\+\+;|;|\()", statement):
        yield "statement", re.match(r"\s*", code)[0] + ";"


def restated_constants():
    """Constants that the Rust side sets: the file's own value is not what runs."""
    text = "".join(p.read_text() for p in (ROOT / "src" / "ops").rglob("*.rs"))
    return set(re.findall(r'\(\s*"([A-Z_]+)"', text)) | {"WG"}


def imported(path):
    """A file and those that it imports, directly or through others, as `#import` of src/gpu/shader.rs."""
    found, waiting = set(), [path]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            for name in re.findall(r"^#import (\S+)", file.read_text(), re.M):
                waiting.append(ROOT / "shaders" / f"{name if '/' in name else 'common/' + name}.wgsl")
    return found


def params_of(files):
    """Names and types of the Params struct that one of the files declares."""
    text = "\n".join(re.sub(r"//.*", "", f.read_text()) for f in files)
    struct = re.search(r"^struct Params \{(.*?)\}", text, re.M | re.S)
    return dict(re.findall(r"(\w+)\s*:\s*(\w+)", struct[1])) if struct else {}


def mutants_of(path, users, restated, rng):
    """All mutants of a file, each line's in a list of its own. users: the imported files of each user."""
    lines, by_line = path.read_text().split("\n"), []
    declared = [params_of(files) for files in users]
    # The sizes that all users have: another would be invalid in some.
    params = {n: kind for n, kind in declared[0].items() if all(d.get(n) == kind for d in declared)}
    for number, line in enumerate(lines, 1):
        code, comment = (line.split("//", 1) + [None])[:2]
        tail = "" if comment is None else "//" + comment
        stripped = code.rstrip()
        space = code[len(stripped):]
        head = re.match(r"\s*(\w+)?", stripped)[1]
        constant = re.match(r"const (\w+)", stripped)
        declares = re.match(r"\s*(@|struct\b|fn\b|#import|\}? *$|\w+: [\w<>, ]+,?$|var<|\) )", stripped)
        if declares or (constant and constant[1] in restated) or head == "else":
            continue
        seen, here = {stripped}, []
        for operator, new in line_mutants(stripped, params, rng):
            # `i < n` in the outermost guard: the driver discards the store beyond the buffer.
            if operator == "operator" and re.match(r"    if \([\w.]+ < [^&|]+( && .*)?\) \{$", stripped):
                if " <= " in new and " <= " not in stripped:
                    operator = "bounds"
            if new not in seen:
                seen.add(new)
                here.append(Mutant(path, number, operator, line, new + space + tail))
        if here:
            by_line.append(here)
    return by_line


def sample(by_line, count, rng):
    """`count` mutants, from as many lines as possible."""
    pools = [rng.sample(line, len(line)) for line in by_line]
    chosen = []
    while len(chosen) < count and any(pools):
        for pool in rng.sample(pools, len(pools)):
            if pool and len(chosen) < count:
                chosen.append(pool.pop())
    return sorted(chosen, key=lambda m: m.line)


def read_allow():
    entries = []
    for line in ALLOW.read_text().splitlines() if ALLOW.exists() else []:
        if line.strip() and not line.startswith("#"):
            parts = [p.strip() for p in line.split(" :: ")]
            if len(parts) != 4 or not parts[3]:
                sys.exit(f"{ALLOW.name}: expected FILE :: OPERATOR :: NEW LINE :: REASON, found: {line}")
            entries.append(Allowed(*parts, line))
    return entries


def allowed(mutant, entries):
    name = mutant.file.relative_to(ROOT / "shaders").as_posix()
    new = mutant.new.split("//")[0].strip()
    for e in entries:
        text = ".*".join(re.escape(part) for part in e.new.split("..."))
        if fnmatch.fnmatch(name, e.file) and fnmatch.fnmatch(mutant.operator, e.operator) and re.fullmatch(text, new):
            return e
    return None


def build():
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "test", "--no-run", "--features", "live-shaders", "--test", "kernels-tests",
               "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit("the tests do not build")
    for line in reversed(done.stdout.splitlines()):
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "kernels-tests":
            return message["executable"]
    sys.exit("cargo names no test binary")


class Tests:
    """The test binary and which of its tests belong to which family."""

    def __init__(self, binary):
        self.binary = str(pathlib.Path(binary).resolve())
        listed = subprocess.run([self.binary, "--list"], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout
        self.names = collections.defaultdict(list)
        for line in listed.splitlines():
            if line.endswith(": test"):
                name = line[: -len(": test")]
                self.names[name.split("::")[0]].append(name)
        self.seconds = {}

    def run(self, names, shaders, limit, whole=False):
        """'passed', 'failed' (at the first failure, unless `whole`) or 'timeout', and the output."""
        environment = dict(os.environ, ANOMEM_SHADERS=str(shaders), ANOMEM_GPU="require", RUST_BACKTRACE="0",
                           PROPTEST_MAX_SHRINK_ITERS="0")
        process = subprocess.Popen([self.binary, "--exact", *names], cwd=shaders, env=environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        state = {}
        timer = threading.Timer(limit, lambda: (state.setdefault("timeout", True), process.kill()))
        timer.start()
        output = []
        try:
            for line in process.stdout:
                output.append(line)
                if re.search(r"(^| \.\.\. )FAILED\s*$", line):
                    state.setdefault("failed", True)
                    if not whole:
                        process.kill()
        finally:
            timer.cancel()
            code = process.wait()
            process.stdout.close()
        verdict = "failed" if "failed" in state else "timeout" if "timeout" in state else "passed" if code == 0 else "failed"
        return verdict, "".join(output)

    def baseline(self, family, shaders, limit):
        if not self.names[family]:
            sys.exit(f"{family}: no tests")
        if family not in self.seconds:
            start = time.monotonic()
            verdict, output = self.run(self.names[family], shaders, limit, whole=True)
            if verdict != "passed":
                sys.exit(f"{family}: its tests fail before anything is broken ({verdict})\n{output}")
            self.seconds[family] = time.monotonic() - start


def judge(mutant, tests, families, shaders, factor):
    """'killed', 'timeout', 'survived' or 'invalid'."""
    target = shaders / mutant.file.relative_to(ROOT / "shaders")
    original = target.read_text()
    lines = original.split("\n")
    lines[mutant.line - 1] = mutant.new
    target.write_text("\n".join(lines))
    try:
        if tests.run(["contracts::every_kernel_is_valid"], shaders, 120)[0] != "passed":
            return "invalid"
        for family in families:
            verdict, _ = tests.run(tests.names[family], shaders, max(30.0, factor * tests.seconds[family]))
            if verdict != "passed":
                return "killed" if verdict == "failed" else "timeout"
        return "survived"
    finally:
        target.write_text(original)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="families, or stems of shaders/common; all if none")
    parser.add_argument("--per-file", type=int, default=4, metavar="N", help="mutants per file (default 4)")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--seed", type=int, default=1, help="of the choice (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time (a software driver uses all cores for one)")
    parser.add_argument("--factor", type=float, default=6.0, help="a mutant may take so many times its tests' usual time")
    parser.add_argument("--binary", help="the test binary, if it is built already")
    parser.add_argument("--json", metavar="FILE", help="write every verdict to a file")
    parser.add_argument("--list", action="store_true", help="show the mutants and stop")
    args = parser.parse_args()

    rng, restated, entries = random.Random(args.seed), restated_constants(), read_allow()
    files = sorted((ROOT / "shaders").glob("*/*.wgsl"))
    kernels = [f for f in files if re.search(r"^@compute", f.read_text(), re.M)]
    users = {f: [k for k in kernels if f in imported(k)] for f in files}
    known = {f.parent.name for f in files} | {f.stem for f in files if f.parent.name == "common"}
    if unknown := set(args.names) - known:
        sys.exit(f"no such family or common file: {', '.join(sorted(unknown))}")
    if args.names:
        files = [f for f in files if f.parent.name in args.names or (f.parent.name == "common" and f.stem in args.names)]
    work = []
    for f in files:
        by_line = mutants_of(f, [sorted(imported(k)) for k in users[f]], restated, rng)
        chosen = [m for line in by_line for m in line] if args.all else sample(by_line, args.per_file, rng)
        work.extend(chosen)
    if args.list:
        for m in work:
            print(f"{m.file.relative_to(ROOT)}:{m.line} [{m.operator}] {m.old.strip()}  ->  {m.new.strip()}")
        sys.exit(0)

    tests = Tests(args.binary or build())
    with tempfile.TemporaryDirectory(prefix="break-shaders-") as folder:
        copies = queue.Queue()
        for i in range(max(1, args.jobs)):
            shaders = pathlib.Path(folder) / f"shaders{i}"
            shutil.copytree(ROOT / "shaders", shaders)
            copies.put(shaders)
        first = copies.queue[0]

        def families_of(file):
            found = {k.parent.name for k in users[file]}
            for family in found:
                tests.baseline(family, first, 600)
            return sorted(found, key=lambda family: tests.seconds[family])

        families = {}
        for f in files:
            families[f] = families_of(f)

        def one(mutant):
            shaders = copies.get()
            try:
                return mutant, judge(mutant, tests, families[mutant.file], shaders, args.factor)
            finally:
                copies.put(shaders)

        totals, results, used = collections.defaultdict(collections.Counter), [], set()
        with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
            for mutant, verdict in pool.map(one, work):
                place = f"{mutant.file.relative_to(ROOT)}:{mutant.line}"
                entry = allowed(mutant, entries) if verdict == "survived" else None
                if entry:
                    verdict = "allowed"
                    used.add(entry)
                totals[mutant.file.parent.name][verdict] += 1
                results.append({"place": place, "operator": mutant.operator, "old": mutant.old.strip(),
                                "new": mutant.new.strip(), "verdict": verdict})
                if verdict == "survived":
                    print(f"SURVIVED {place} [{mutant.operator}] {mutant.old.strip()}  ->  {mutant.new.strip()}", flush=True)

    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1) + "\n")
    kinds = ["killed", "timeout", "survived", "allowed", "invalid"]
    print(f"{'family':14}" + "".join(f"{k:>10}" for k in kinds) + f"{'total':>10}")
    total = sum(totals.values(), collections.Counter())
    for family, counts in sorted(totals.items()) + [("all", total)]:
        print(f"{family:14}" + "".join(f"{counts[k]:>10}" for k in kinds) + f"{sum(counts.values()):>10}")
    if args.all and not args.names:
        for e in entries:
            if e not in used:
                print(f"not needed any more in {ALLOW.name}: {e.text}")
    sys.exit(1 if total["survived"] else 0)


if __name__ == "__main__":
    main()
