//! Forms in which four floats lie in a buffer and get into registers: in half precision, where a plan stores them so,
//! and as a driver reads them fastest, where a read of a storage buffer costs by the access.
//!
//! llvmpipe walks the lanes of a buffer read one by one, and its components within, each put into its vector through
//! memory; two of 64 bits take two thirds of the time of four of 32. A texel of a storage texture is gathered in
//! registers: some 60 instructions for eight lanes instead of 280, and no branch; of a sampled texture it takes a call
//! of a function. But it has to be copied into the texture first (Mesa 22.3). So there bindings are declared as pairs of
//! u64, to be read and to be written, and those as textures that are only read and of which a shader says that this
//! pays for the copy (`#texels`, or `#more_texels` if it does only where pairs are put together in memory). A texel
//! that is written takes longer than a pair.

use std::fmt::Write;

use super::texels::TEXELS_PER_ROW;

/// How one binding is declared, and how its elements are read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    storage: &'static str,
    ty: &'static str,
    /// An element `x[i]` becomes `open`, `x`, `index`, `i`, `close`.
    open: &'static str,
    index: &'static str,
    close: &'static str,
    /// The function through which goes what is assigned to an element, if any.
    assigned: Option<&'static str>,
}

const READ_ONLY: &str = "var<storage, read> ";
const WRITTEN: &str = "var<storage, read_write> ";
const FLOATS: &str = ": array<vec4<f32>>;";

/// Two u64, taken apart in registers.
pub(super) const PAIRS: Form = Form {
    storage: READ_ONLY,
    ty: ": array<vec2<u64>>;",
    open: "unpacked_pairs(",
    index: "[",
    close: "])",
    assigned: None,
};

/// Four f16 in two words, taken apart by a function of the language that needs no feature of the adapter.
pub(super) const HALVES: Form =
    Form { ty: ": array<vec2<u32>>;", open: "unpacked_halves(", ..PAIRS };

/// The same in one u64.
pub(super) const WIDE_HALVES: Form =
    Form { ty: ": array<u64>;", open: "unpacked_wide_halves(", ..PAIRS };

/// Two u64 that are written, and maybe read.
pub(super) const WRITTEN_PAIRS: Form =
    Form { storage: WRITTEN, assigned: Some("packed_pairs"), ..PAIRS };

/// Four f16 that are written, and not read.
pub(super) const WRITTEN_HALVES: Form =
    Form { storage: WRITTEN, assigned: Some("packed_halves"), ..HALVES };

/// Texels of a storage texture, in rows of [`TEXELS_PER_ROW`].
pub(super) const TEXELS: Form = Form {
    storage: "var ",
    ty: ": texture_storage_2d<rgba32float, read>;",
    open: "textureLoad(",
    index: ", texel(",
    close: "))",
    assigned: None,
};

/// Little-endian, as every adapter is: the first float of a pair is the low half.
const UNPACK: &str = "
fn unpacked_pairs(pairs: vec2<u64>) -> vec4<f32> {
    let low = vec2<u32>(pairs);
    let high = vec2<u32>(pairs >> vec2<u32>(32u));
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}
";

const PACK: &str = "
fn packed_pairs(v: vec4<f32>) -> vec2<u64> {
    let words = bitcast<vec4<u32>>(v);
    return vec2<u64>(words.xz) | (vec2<u64>(words.yw) << vec2<u32>(32u));
}
";

const UNPACK_HALVES: &str = "
fn unpacked_halves(halves: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(halves.x), unpack2x16float(halves.y));
}
";

const UNPACK_WIDE_HALVES: &str = "
fn unpacked_wide_halves(halves: u64) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(u32(halves)), unpack2x16float(u32(halves >> 32u)));
}
";

/// In integers: what `pack2x16float` makes of values beyond the largest half, and how it rounds, is left to drivers, some
/// of which round toward zero. A loss scale is lowered by infinities, which 65,504 would hide.
const PACK_HALVES: &str = "
fn packed_halves(v: vec4<f32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(v);
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    // Half of the last place, less a bit where that would round a tie to odd; the exponent overflows to infinity.
    let odd = (magnitude >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = (magnitude + vec4<u32>(0xc8000fffu) + odd) >> vec4<u32>(13u);
    // The sum's last place is that of subnormal halves.
    let small = bitcast<vec4<u32>>(bitcast<vec4<f32>>(magnitude) + vec4<f32>(0.5)) - vec4<u32>(0x3f000000u);
    let beyond = select(vec4<u32>(0x7c00u), vec4<u32>(0x7e00u), magnitude > vec4<u32>(0x7f800000u));
    let finite = select(normal, small, magnitude < vec4<u32>(0x38800000u));
    let halves = select(finite, beyond, magnitude >= vec4<u32>(0x47800000u))
        | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
    return halves.xz | (halves.yw << vec2<u32>(16u));
}
";

/// Name of the binding that a line declares as `array<vec4<f32>>`, and whether it is written.
fn declared(line: &str) -> Option<(&str, bool)> {
    let name = |storage: &str| line.split_once(storage)?.1.strip_suffix(FLOATS);
    name(READ_ONLY).map(|n| (n, false)).or(name(WRITTEN).map(|n| (n, true)))
}

/// The text of a shader with its `array<vec4<f32>>` bindings in the forms that `form` gives them by name, and whether
/// they are written.
pub(super) fn rewritten(text: &str, form: impl Fn(&str, bool) -> Option<&'static Form>) -> String {
    let code =
        |line: &str| line.split("//").next().unwrap_or_default().trim_end().to_owned() + "\n";
    let plain: String = text.lines().map(code).collect();
    let formed = |line: &str| {
        let (name, written) = declared(line)?;
        Some((name.to_owned(), form(name, written)?))
    };
    let bindings: Vec<(String, &Form)> = plain.lines().filter_map(formed).collect();
    if bindings.is_empty() {
        return plain;
    }
    let mut out = String::with_capacity(2 * plain.len());
    // A function ends where a line begins with its closing brace.
    for function in plain.split_inclusive("\n}\n") {
        let seen: Vec<Seen<'_>> = bindings
            .iter()
            .map(|(name, form)| Seen { name, until: seen_until(name, function), form })
            .collect();
        out.push_str(&reads_of(function, &seen));
    }
    for (name, form) in &bindings {
        let new = format!("{}{name}{}", form.storage, form.ty);
        let storage = if form.assigned.is_some() { WRITTEN } else { READ_ONLY };
        out = out.replace(&format!("{storage}{name}{FLOATS}"), &new);
    }
    for (name, function) in [
        ("unpacked_pairs", UNPACK),
        ("packed_pairs", PACK),
        ("unpacked_halves", UNPACK_HALVES),
        ("unpacked_wide_halves", UNPACK_WIDE_HALVES),
        ("packed_halves", PACK_HALVES),
    ] {
        let is_used = |form: &Form| form.open.starts_with(name) || form.assigned == Some(name);
        if bindings.iter().any(|(_, form)| is_used(form)) {
            out.push_str(function);
        }
    }
    if bindings.iter().any(|(_, form)| **form == TEXELS) {
        let _ = writeln!(
            out,
            "\nfn texel(i: u32) -> vec2<u32> {{\n    return vec2<u32>(i % {TEXELS_PER_ROW}u, i / {TEXELS_PER_ROW}u);\n}}"
        );
    }
    out
}

/// A binding within a function.
struct Seen<'a> {
    name: &'a str,
    /// The place from which on something else has its name.
    until: usize,
    form: &'a Form,
}

/// The place in a function from which on a parameter or a variable of this name hides the binding.
fn seen_until(name: &str, function: &str) -> usize {
    let hides = |(at, _): (usize, &str)| {
        let (before, after) = (function[..at].trim_end(), &function[at + name.len()..]);
        if ["let", "var"].iter().any(|word| before.ends_with(word)) && after.starts_with([' ', ':'])
        {
            // Its own value may still come from the binding.
            return after.find(';').map(|end| at + name.len() + end);
        }
        (before.ends_with(['(', ',']) && after.starts_with(':')).then_some(0)
    };
    function.match_indices(name).find_map(hides).unwrap_or(function.len())
}

/// Puts every element of a binding into its form, also within another element's index.
fn reads_of(text: &str, seen: &[Seen<'_>]) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    // The form of every bracket that is open, where it is an element of a binding, and the place of that in `out`.
    let mut open: Vec<Option<(&Form, usize)>> = Vec::new();
    // Whether the value of an assignment is within a function's brackets.
    let mut assigned = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if word > 0 {
            let at = text.len() - rest.len();
            let (name, after) = rest.split_at(word);
            let binding = seen.iter().find(|s| s.name == name && at < s.until);
            match binding {
                Some(Seen { form, .. }) if after.starts_with('[') && !out.ends_with('.') => {
                    open.push(Some((form, out.len())));
                    out.extend([form.open, name, form.index]);
                    rest = &after[1..];
                }
                _ => {
                    out.push_str(name);
                    rest = after;
                }
            }
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            '[' => open.push(None),
            ']' => {
                if let Some(Some((form, at))) = open.pop() {
                    let value = rest.strip_prefix(" =").filter(|value| !value.starts_with('='));
                    match (form.assigned, value) {
                        (Some(function), Some(value)) => {
                            out.replace_range(at..at + form.open.len(), "");
                            out.extend(["] = ", function, "("]);
                            (rest, assigned) = (value.trim_start(), true);
                        }
                        _ => out.push_str(form.close),
                    }
                    continue;
                }
            }
            ';' if std::mem::take(&mut assigned) => out.push(')'),
            _ => {}
        }
        out.push(first);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(text: &str) -> String {
        rewritten(text, |_, written| (!written).then_some(&PAIRS))
    }

    #[test]
    fn only_what_is_read_alone_is_widened() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // [N]\n\
                    @group(0) @binding(1) var<storage, read> i: array<u32>;\n\
                    @group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;\n\
                    fn f(k: u32) { y[k] = x[i[k]].x * x[k + 1u] + p.x[0] + y[k] + max[1]; }";
        let wide = paired(text);
        assert!(wide.contains("var<storage, read> x: array<vec2<u64>>;\n"), "{wide}");
        assert!(wide.contains("var<storage, read_write> y: array<vec4<f32>>;\n"), "{wide}");
        let body = "y[k] = unpacked_pairs(x[i[k]]).x * unpacked_pairs(x[k + 1u]) + p.x[0] + y[k] + max[1];";
        assert!(wide.contains(body), "{wide}");
        let written = "var<storage, read_write> y: array<vec4<f32>>;\n";
        assert_eq!(paired(written), written);
    }

    #[test]
    fn each_binding_has_its_form() {
        let text = "@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;\n\
                    @group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;\n\
                    @group(0) @binding(2) var<storage, read> c: array<vec4<f32>>;\n\
                    fn f(k: u32) -> f32 { return a[u32(b[k].x)].y + c[0].x; }\n";
        let forms = |name: &str, _| match name {
            "a" => Some(&TEXELS),
            "b" => Some(&PAIRS),
            _ => None,
        };
        let new = rewritten(text, forms);
        assert!(
            new.contains("@binding(0) var a: texture_storage_2d<rgba32float, read>;\n"),
            "{new}"
        );
        assert!(new.contains("@binding(1) var<storage, read> b: array<vec2<u64>>;\n"), "{new}");
        assert!(new.contains("@binding(2) var<storage, read> c: array<vec4<f32>>;\n"), "{new}");
        let body = "textureLoad(a, texel(u32(unpacked_pairs(b[k]).x))).y + c[0].x;";
        assert!(new.contains(body), "{new}");
        assert!(new.contains("vec2<u32>(i % 4096u, i / 4096u)"), "{new}");
    }

    #[test]
    fn halves_are_unpacked_and_packed() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
                    @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;\n\
                    fn f(k: u32) { var s = x[k]; y[k + 1u] = max(x[k], s) * p.x[0]; s = x[0]; y[0] = s; }\n";
        for (form, function) in
            [(&HALVES, "unpacked_halves"), (&WIDE_HALVES, "unpacked_wide_halves")]
        {
            let new =
                rewritten(text, |_, written| Some(if written { &WRITTEN_HALVES } else { form }));
            assert!(new.contains(&format!("var<storage, read> x{}\n", form.ty)), "{new}");
            assert!(new.contains("var<storage, read_write> y: array<vec2<u32>>;\n"), "{new}");
            let body = "var s = UN(x[k]); y[k + 1u] = packed_halves(max(UN(x[k]), s) * p.x[0]); s = UN(x[0]); \
                        y[0] = packed_halves(s); }";
            assert!(new.contains(&body.replace("UN", function)), "{new}");
        }
    }

    #[test]
    fn what_is_assigned_is_packed_and_what_is_read_unpacked() {
        let text = "@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;\n\
                    fn f(k: u32) { y[k] = y[k + 1u] + 1.0; y[u32(y[0].x)] =\n  vec4<f32>(y[k].x); if (y[0].x == 1.0) { return; } }\n";
        let new = rewritten(text, |_, written| written.then_some(&WRITTEN_PAIRS));
        assert!(new.contains("var<storage, read_write> y: array<vec2<u64>>;\n"), "{new}");
        let body = "y[k] = packed_pairs(unpacked_pairs(y[k + 1u]) + 1.0); \
                    y[u32(unpacked_pairs(y[0]).x)] = packed_pairs(vec4<f32>(unpacked_pairs(y[k]).x)); \
                    if (unpacked_pairs(y[0]).x == 1.0) { return; }";
        assert!(new.contains(body), "{new}");
        for function in ["fn packed_pairs(", "fn unpacked_pairs("] {
            assert_eq!(new.matches(function).count(), 1, "{new}");
        }
    }

    #[test]
    fn locals_hide_a_binding_in_their_function_alone() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
                    fn of(x: array<f32, 2>, y: u32) -> f32 {\n    return x[1];\n}\n\
                    fn mine() -> f32 {\n    let x = x[7];\n    return x[0];\n}\n\
                    fn g(max: f32) -> vec4<f32> {\n    return x[1];\n}\n";
        for (form, element) in
            [(&PAIRS, "unpacked_pairs(x[N])"), (&TEXELS, "textureLoad(x, texel(N))")]
        {
            let new = rewritten(text, |_, _| Some(form));
            assert_eq!(
                new.matches(form.index).count() - text.matches(form.index).count(),
                if *form == PAIRS { 0 } else { 2 },
                "{new}"
            );
            for n in ["7", "1"] {
                assert!(new.contains(&element.replace('N', n)), "{new}");
            }
            assert!(new.contains("return x[0];") && new.contains("return x[1];"), "{new}");
        }
    }
}
