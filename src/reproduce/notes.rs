//! The head of a table: what was run, and what stands between it and the paper.

use super::cell::CellResult;
use super::request::{Protocol, Request, Size};
use crate::anomem::{Backbone, Pseudo, Stage2Training};

/// Draws of labelled anomalies that the paper's means are over.
const PAPER_DRAWS: usize = 10;

/// What was run, for the table's head.
pub(super) fn run_notes(request: &Request, results: &[CellResult]) -> Vec<String> {
    let Request { config, size, .. } = request;
    let backbone = backbone(config.network.backbone);
    let image = config.image.size;
    let limits = size.limits();
    let mut adapters: Vec<&str> = results.iter().map(|r| r.adapter.as_str()).collect();
    adapters.sort_unstable();
    adapters.dedup();
    let linear = request.protocol == Protocol::LinearEval;
    let images = match (limits.train, limits.test_normal, limits.test_anomalous) {
        (Some(train), Some(test), _) if linear => format!(
            "at most {train} images to train on and {test} to test on, drawn once by a fixed seed"
        ),
        (Some(train), Some(normal), Some(anomalous)) => format!(
            "at most {train} normal images to train on, {normal} normal and {anomalous} anomalous ones \
             to test on, drawn once by a fixed seed"
        ),
        _ => "all images".to_owned(),
    };
    let least = match config.train.least_steps {
        0 => String::new(),
        steps => format!(", at least {steps} steps"),
    };
    let mut notes = vec![
        format!(
            "{} in %, mean ± standard deviation over runs (labelled draws x seeds)",
            request.protocol.measure()
        ),
        format!(
            "size {size}: {backbone} at width {}, {} x {} pixels, {} epochs in batches of {}{least}; \
             {images}",
            config.network.width,
            image.height,
            image.width,
            config.train.epochs,
            config.train.batch
        ),
        format!("adapter: {}", adapters.join("; ")),
    ];
    if linear {
        notes.push(
            "a linear classifier, trained on what the frozen encoder's last stage shows of the training \
             images in the mean, without augmentation; top-1 on the test images"
                .to_owned(),
        );
        notes.push("no memory: stage 1 without one".to_owned());
    }
    if request.protocol == Protocol::Ablation {
        notes.push(
            "no memory: stage 1 without one, then the centroids (k-means) of the trained encoder's \
             features in its place"
                .to_owned(),
        );
    }
    let both = linear || request.protocol == Protocol::Ablation;
    if both && config.stage2.training == Stage2Training::Joint {
        notes.push(
            "stage2.training = \"frozen\" in every row instead of \"joint\", which needs a memory \
             during training"
                .to_owned(),
        );
    }
    notes
}

fn backbone(backbone: Backbone) -> &'static str {
    match backbone {
        Backbone::Resnet18 => "resnet18",
        Backbone::Resnet34 => "resnet34",
        Backbone::Resnet50 => "resnet50",
    }
}

/// Why the paper's numbers are for something else.
pub(super) fn caveats(request: &Request) -> Vec<String> {
    let mut caveats = Vec::new();
    if request.size != Size::Full {
        caveats.push(format!("size {}", request.size));
    }
    if request.config.network.width != 1.0 {
        caveats.push(format!("a network of width {}", request.config.network.width));
    }
    if request.config.anomalies.pseudo != Pseudo::None {
        caveats.push("anomalies made of normal images, which the paper does not have".into());
    }
    caveats
}

/// What else is not as in the paper, as far as its text tells.
fn differences(request: &Request) -> Vec<String> {
    let mut found = Vec::new();
    let used = request.config.network.backbone;
    if used != Backbone::Resnet50 {
        found.push(format!("{}, where the paper has resnet50", backbone(used)));
    }
    let labelled = request.gammas.is_empty() || request.gammas.iter().any(|gamma| *gamma > 0.0);
    let draws = request.draws.unwrap_or(request.size.draws());
    if request.protocol == Protocol::OneVsAll && labelled && draws != PAPER_DRAWS {
        found.push(format!(
            "{draws} draws of labelled anomalies, where the paper has {PAPER_DRAWS}"
        ));
    }
    found.push(
        "batch size, learning rate and epochs of our own, which the paper's text leaves out".into(),
    );
    found
}

/// How far the paper's numbers may be compared, for the table's head.
pub(super) fn paper_notes(request: &Request, table: Option<&str>) -> Vec<String> {
    let caveats = caveats(request).join("; ");
    match table {
        None if caveats.is_empty() => Vec::new(),
        None => vec![format!("not comparable with the paper: {caveats}")],
        Some(table) if caveats.is_empty() => vec![
            format!(
                "paper: arXiv 2211.09041, {table}; unlike it: {}",
                differences(request).join("; ")
            ),
            format!(
                "error reduction, %: the share of the paper's 1 - {} that is gone",
                request.protocol.measure()
            ),
        ],
        Some(table) => vec![format!(
            "not comparable with the paper (arXiv 2211.09041, {table}), whose numbers stand here for \
             orientation only: {caveats}"
        )],
    }
}
