//! What the paper prints (arXiv 2211.09041), AUROC or accuracy in 0..=1: AnoMem with a ResNet-50.

use super::request::Protocol;
use crate::data::Layout;

/// A set of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Cub200,
    Cifar10,
    Cifar100,
    Wmca,
}

/// Attack kinds of WMCA that the paper prints one by one.
const WMCA: [&str; 4] = ["flexible mask", "paper mask", "paper print", "screen"];

impl Set {
    /// Recognises a set by its layout and the names of all its classes or kinds, in order.
    pub(super) fn of(layout: Layout, classes: &[String]) -> Option<Self> {
        let has = |name: &str| classes.iter().any(|class| spelt(class) == name);
        match layout {
            Layout::Cifar10 => Some(Self::Cifar10),
            // The paper's text speaks of its 100 classes; super-classes are another protocol.
            Layout::Cifar100 if classes.len() == 100 => Some(Self::Cifar100),
            _ if classes.len() == 200 && classes[0].ends_with("Black_footed_Albatross") => {
                Some(Self::Cub200)
            }
            _ if WMCA.iter().all(|name| has(name)) => Some(Self::Wmca),
            _ => None,
        }
    }
}

fn spelt(name: &str) -> String {
    name.replace(['_', '-'], " ").to_lowercase()
}

/// One number: where it stands, of what.
struct Number {
    table: &'static str,
    protocol: Protocol,
    set: Set,
    /// The variant; for WMCA the attack kind that was not taught.
    name: &'static str,
    gamma: f64,
    value: f64,
}

macro_rules! numbers {
    ($($table:literal, $protocol:ident, $set:ident, $name:literal: $($gamma:literal $value:literal),+;)+) => {
        &[$($(Number {
            table: $table,
            protocol: Protocol::$protocol,
            set: Set::$set,
            name: $name,
            gamma: $gamma,
            value: $value,
        }),+),+]
    };
}

/// Means over all classes; gamma > 0: over 10 draws.
const NUMBERS: &[Number] = numbers! {
    "one-vs-all", OneVsAll, Cub200, "": 0.0 0.814, 0.01 0.841, 0.05 0.853, 0.10 0.860;
    "one-vs-all", OneVsAll, Cifar10, "": 0.0 0.915, 0.01 0.925, 0.05 0.971, 0.10 0.976;
    "one-vs-all", OneVsAll, Cifar100, "": 0.0 0.861, 0.01 0.909, 0.05 0.923, 0.10 0.947;
    "face anti-spoofing", CrossType, Wmca, "paper print": 0.0 0.913;
    "face anti-spoofing", CrossType, Wmca, "screen": 0.0 0.898;
    "face anti-spoofing", CrossType, Wmca, "paper mask": 0.0 0.930;
    "face anti-spoofing", CrossType, Wmca, "flexible mask": 0.0 0.927;
    "Table 4", Ablation, Cifar10, "no memory, one scale": 0.0 0.881;
    "Table 4", Ablation, Cifar10, "one scale": 0.0 0.905;
    "Table 4", Ablation, Cifar10, "two scales": 0.0 0.915;
    "Table 4", Ablation, Cifar100, "no memory, one scale": 0.0 0.827;
    "Table 4", Ablation, Cifar100, "one scale": 0.0 0.853;
    "Table 4", Ablation, Cifar100, "two scales": 0.0 0.861;
    "linear evaluation", LinearEval, Cifar10, "no memory, one scale": 0.0 0.882;
    "linear evaluation", LinearEval, Cifar10, "one scale": 0.0 0.914;
    "linear evaluation", LinearEval, Cifar10, "two scales": 0.0 0.919;
    "linear evaluation", LinearEval, Cifar100, "no memory, one scale": 0.0 0.805;
    "linear evaluation", LinearEval, Cifar100, "one scale": 0.0 0.841;
    "linear evaluation", LinearEval, Cifar100, "two scales": 0.0 0.848;
};

/// What the paper has for exactly this: its table's name and the figure.
pub(super) fn published(
    protocol: Protocol,
    set: Set,
    name: &str,
    gamma: f64,
) -> Option<(&'static str, f64)> {
    let number = NUMBERS.iter().find(|n| {
        (n.protocol, n.set, n.gamma) == (protocol, set, gamma) && n.name == spelt(name)
    })?;
    Some((number.table, number.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_for_their_protocol_only() {
        let of = |protocol, set, name, gamma| {
            published(protocol, set, name, gamma).map(|(_, value)| value)
        };
        assert_eq!(of(Protocol::OneVsAll, Set::Cifar10, "", 0.05), Some(0.971));
        assert_eq!(of(Protocol::OneVsAll, Set::Cifar10, "", 0.02), None);
        assert_eq!(of(Protocol::Ood, Set::Cifar10, "", 0.0), None);
        assert_eq!(of(Protocol::Ablation, Set::Cifar100, "one scale", 0.0), Some(0.853));
        assert_eq!(of(Protocol::Ablation, Set::Cifar10, "no memory, one scale", 0.0), Some(0.881));
        assert_eq!(of(Protocol::LinearEval, Set::Cifar100, "two scales", 0.0), Some(0.848));
        // Not in the paper, whose rows add the memory first and the scale then.
        assert_eq!(of(Protocol::Ablation, Set::Cifar10, "no memory, two scales", 0.0), None);
        assert_eq!(of(Protocol::CrossType, Set::Wmca, "Paper_Print", 0.0), Some(0.913));
    }

    #[test]
    fn sets_are_recognised() {
        let names = |n: usize| (0..n).map(|i| format!("class{i}")).collect::<Vec<_>>();
        assert_eq!(Set::of(Layout::Cifar10, &names(10)), Some(Set::Cifar10));
        assert_eq!(Set::of(Layout::Cifar100, &names(20)), None);
        assert_eq!(Set::of(Layout::Cifar100, &names(100)), Some(Set::Cifar100));
        assert_eq!(Set::of(Layout::ClassFolders, &names(200)), None);
        let mut birds = names(200);
        birds[0] = "001.Black_footed_Albatross".into();
        assert_eq!(Set::of(Layout::ClassFolders, &birds), Some(Set::Cub200));
        let kinds = ["flexible_mask", "glasses", "paper_mask", "paper_print", "screen"];
        assert_eq!(Set::of(Layout::MvtecAd, &kinds.map(str::to_owned)), Some(Set::Wmca));
    }
}
