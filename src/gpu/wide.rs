//! Reads of four floats at once, for a driver on which a read costs by the access.
//!
//! llvmpipe walks the lanes of a read one by one, and its components within: two of 64 bits take two thirds of the
//! time of four of 32 (Mesa 22.3). So bindings that are only read are declared as pairs of u64 there, and each element
//! read from them is taken apart in registers. Writes gain nothing.

use std::fmt::Write;

const FLOATS: &str = ": array<vec4<f32>>;";
const PAIRS: &str = ": array<vec2<u64>>;";
const READ_ONLY: &str = "var<storage, read> ";

/// Little-endian, as every adapter is: the first float of a pair is the low half.
const UNPACK: &str = "
fn unpacked_pairs(pairs: vec2<u64>) -> vec4<f32> {
    let low = vec2<u32>(pairs);
    let high = vec2<u32>(pairs >> vec2<u32>(32u));
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}
";

/// The text of a shader with its read-only `array<vec4<f32>>` bindings read in pairs of u64; absent where it has none.
pub(super) fn widened(text: &str) -> Option<String> {
    let mut names = Vec::new();
    let mut out = String::with_capacity(text.len() + UNPACK.len());
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or_default();
        let declared = code.split_once(READ_ONLY).and_then(|(_, rest)| rest.split_once(FLOATS));
        let code = match declared {
            Some((name, _)) => {
                names.push(name.to_owned());
                code.replace(FLOATS, PAIRS)
            }
            None => code.to_owned(),
        };
        let _ = writeln!(out, "{}", code.trim_end());
    }
    if names.is_empty() {
        return None;
    }
    let mut wide = String::with_capacity(out.len() + out.len() / 8);
    // A function ends where a line begins with its closing brace.
    for function in out.split_inclusive("\n}\n") {
        let seen: Vec<(&str, usize)> =
            names.iter().map(|name| (name.as_str(), seen_until(name, function))).collect();
        wide.push_str(&reads_of(function, &seen));
    }
    wide.push_str(UNPACK);
    Some(wide)
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

/// Puts every element of a binding into [`UNPACK`]'s function, up to its place: `x[i]` becomes `unpacked_pairs(x[i])`,
/// also within another element's index.
fn reads_of(text: &str, seen: &[(&str, usize)]) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    // Of every bracket that is open, whether it is an element of those.
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if word > 0 {
            let at = text.len() - rest.len();
            let (name, after) = rest.split_at(word);
            let is_binding = seen.iter().any(|(n, until)| *n == name && at < *until);
            if after.starts_with('[') && !out.ends_with('.') && is_binding {
                out.push_str("unpacked_pairs(");
                out.push_str(name);
                out.push('[');
                open.push(true);
                rest = &after[1..];
            } else {
                out.push_str(name);
                rest = after;
            }
            continue;
        }
        out.push(first);
        match first {
            '[' => open.push(false),
            ']' if open.pop() == Some(true) => out.push(')'),
            _ => {}
        }
        rest = &rest[first.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_alone_is_widened() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // [N]\n\
                    @group(0) @binding(1) var<storage, read> i: array<u32>;\n\
                    @group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;\n\
                    fn f(k: u32) { y[k] = x[i[k]].x * x[k + 1u] + p.x[0] + y[k] + max[1]; }";
        let wide = widened(text).unwrap();
        assert!(wide.contains("var<storage, read> x: array<vec2<u64>>;\n"), "{wide}");
        assert!(wide.contains("var<storage, read_write> y: array<vec4<f32>>;\n"), "{wide}");
        let body = "y[k] = unpacked_pairs(x[i[k]]).x * unpacked_pairs(x[k + 1u]) + p.x[0] + y[k] + max[1];";
        assert!(wide.contains(body), "{wide}");
        assert_eq!(widened("var<storage, read_write> y: array<vec4<f32>>;"), None);
    }

    #[test]
    fn locals_hide_a_binding_in_their_function_alone() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
                    fn of(x: array<f32, 2>, y: u32) -> f32 {\n    return x[1];\n}\n\
                    fn mine() -> f32 {\n    let x = x[7];\n    return x[0];\n}\n\
                    fn g(max: f32) -> vec4<f32> {\n    return x[1];\n}\n";
        let wide = widened(text).unwrap();
        let body = wide.split_once('\n').unwrap().1;
        assert_eq!(body.matches("unpacked_pairs(x[").count(), 2, "{wide}");
        assert!(body.contains("let x = unpacked_pairs(x[7]);"), "{wide}");
        assert!(body.contains("return unpacked_pairs(x[1]);"), "{wide}");
    }

    #[test]
    fn an_element_may_index_another() {
        let wide = reads_of("a[u32(b[q[1]].x)] + aa[2]", &[("a", 99), ("b", 99)]);
        assert_eq!(wide, "unpacked_pairs(a[u32(unpacked_pairs(b[q[1]]).x)]) + aa[2]");
    }
}
