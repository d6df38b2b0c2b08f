//! Half precision: which temporaries a plan stores so.

use super::tape::{Dispatch, Place, Tape, Value};
use crate::Result;
use crate::tensor::Element;
use std::collections::{HashMap, HashSet};

/// Lets `launches` store in half precision every temporary of floats that only bindings touch that can be, as their
/// shaders say, and that is not kept: maps and their gradients. Returns these.
pub(super) fn halve(tape: &Tape, launches: &mut [Dispatch]) -> Result<HashSet<Value>> {
    let mut allowed = HashMap::new();
    let mut half = HashSet::new();
    let mut others: HashSet<Value> = tape.kept.iter().map(|v| tape.root(*v)).collect();
    for launch in &*launches {
        let shader = launch.kernel.shader;
        let bits = match allowed.get(&std::ptr::from_ref(shader)) {
            Some(bits) => *bits,
            None => *allowed.entry(std::ptr::from_ref(shader)).or_insert(shader.half()?),
        };
        for (binding, (v, _)) in launch.bindings.iter().enumerate() {
            let root = tape.root(*v);
            let info = tape.info(root);
            let fits = info.place == Place::Temporary && info.element == Element::F32;
            if fits && bits >> binding & 1 == 1 {
                half.insert(root)
            } else {
                others.insert(root)
            };
        }
    }
    half.retain(|root| !others.contains(root));
    for launch in launches {
        let of = |(binding, (v, _)): (usize, &(Value, bool))| {
            u32::from(half.contains(&tape.root(*v))) << binding
        };
        launch.kernel.half = launch.bindings.iter().enumerate().map(of).sum();
    }
    Ok(half)
}
