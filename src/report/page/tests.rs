use super::*;
use crate::data::Raster;
use crate::report::chart::{Axis, Series};
use crate::report::heatmap::ScoreMap;
use crate::report::{Evaluator, Metrics};

const ODD: &str = "a<b>&\"c\"'</script><img src=x>";

fn raster(side: usize, channels: usize) -> Picture {
    let bytes = (0..side * side * channels).map(|i| (i * 37 % 251) as u8).collect();
    Picture::of(&Raster { height: side, width: side, channels, bytes }).unwrap()
}

fn scored(name: &str, anomalous: bool, score: f32) -> Scored {
    let kind = if anomalous { ODD } else { "good" };
    Scored { name: name.into(), kind: kind.into(), anomalous, score }
}

fn metrics(scores: &[Scored]) -> Metrics {
    let mut evaluator = Evaluator::new();
    for s in scores {
        let kind = s.anomalous.then_some(s.kind.as_str());
        evaluator.add(kind, s.score).unwrap();
        let values = [s.score, 0.0];
        let map = ScoreMap::new(1, 2, &values).unwrap();
        evaluator.add_map(kind, map, &[u8::from(s.anomalous), 0]).unwrap();
    }
    evaluator.finish()
}

fn tested(scores: Vec<Scored>) -> Tested {
    let shown = |s: &Scored| Shown {
        scored: s.clone(),
        image: raster(40, 3),
        heat: raster(40, 3),
        mask: s.anomalous.then(|| raster(40, 3)),
    };
    let of = |anomalous| scores.iter().filter(move |s| s.anomalous == anomalous).map(shown);
    Tested {
        data: ODD.into(),
        epoch: 3,
        metrics: metrics(&scores),
        threshold: Some(Threshold { score: Some(0.4), rate: 0.1, held_out: 12 }),
        misses: of(true).take(1).collect(),
        alarms: of(false).collect(),
        finds: of(true).skip(1).collect(),
        scores,
    }
}

fn curves(values: &[f64]) -> Curves {
    let points = values.iter().enumerate().map(|(i, v)| [1.0 + i as f64, *v]).collect();
    let chart = Lines {
        title: "Whole loss".into(),
        x: Axis { whole: true, ..Axis::new("epoch") },
        y: Axis::new("loss"),
        series: vec![Series { name: ODD.into(), points }],
        levels: Vec::new(),
        diagonal: None,
        mark: None,
    };
    let (title, text, notes) = ("Training".into(), "text".into(), vec![ODD.into()]);
    Curves { title, text, notes, charts: vec![chart] }
}

fn learned() -> Learned {
    let prototype = Prototype { slot: 7, share: 0.25, patches: vec![raster(9, 1); 2] };
    let memory =
        Patches { stage: 3, slots: 16, used: 4, positions: [4, 5], prototypes: vec![prototype] };
    Learned {
        images: 20,
        anomalies: 0,
        samples: vec![raster(50, 1)],
        views: vec![Views { image: raster(9, 1), views: vec![raster(9, 1); 3] }],
        memories: vec![memory],
        compared: 20,
    }
}

fn whole() -> Page {
    let scores = vec![
        scored("good/0.png", false, 0.1),
        scored(ODD, false, 0.5),
        scored("bad/0.png", true, 0.3),
        scored("bad/1.png", true, 0.9),
    ];
    Page {
        name: ODD.into(),
        facts: vec![("Data".into(), ODD.into())],
        curves: vec![curves(&[3.0, 2.0, 1.5])],
        learned: Some(learned()),
        tested: Some(tested(scores)),
        how_to_test: ODD.into(),
        config: format!("# {ODD}\nseed = 1\n"),
    }
}

/// Every element is closed, in order, and nothing is loaded from elsewhere.
fn check(html: &str) {
    const VOID: [&str; 3] = ["meta", "img", "br"];
    let mut open = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("no end: <{part}"));
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "</{name}>"),
            None if name == "!DOCTYPE" || VOID.contains(&name) => {}
            None => open.push(name),
        }
        assert!(!["script", "link", "iframe", "object", "base"].contains(&name), "<{tag}>");
        for attribute in ["src=\"", "href=\""] {
            for value in tag.split(attribute).skip(1) {
                assert!(value.starts_with("data:image/") || value.starts_with('#'), "<{tag}>");
            }
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    for outside in ["http:", "https:", "url(", "@import", "NaN"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn a_whole_page_holds_everything_and_needs_nothing() {
    let html = whole().to_html();
    check(&html);
    for part in [
        "Image AUROC",
        "AUPRO at 30 %",
        "ROC curve",
        "Precision and recall",
        "Worst misses",
        "Worst false alarms",
        "Clearest finds",
        "Whole loss",
        "Training images",
        "no. 7 · 25.0 %",
        "4 of 16 prototypes",
        "<b>1 of 2</b> anomalous images are found",
        "<b>1 of 2</b> normal ones are called anomalous",
        "seed = 1",
        "a&lt;b&gt;&amp;&quot;c&quot;",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // 4 images in 10 pictures, 1 sample, 1 + 3 views, 2 patches.
    assert_eq!(html.matches("<img").count(), 10 + 1 + 4 + 2);
    assert!(!html.contains("Not tested yet"));
}

#[test]
fn parts_that_are_missing_or_odd_leave_a_page() {
    let empty = Page { how_to_test: "anomem test".into(), ..Page::default() };
    check(&empty.to_html());
    assert!(empty.to_html().contains("Not tested yet. anomem test"));
    let broken = curves(&[f64::NAN, f64::INFINITY]);
    let single = Page { curves: vec![broken, curves(&[2.0])], ..Page::default() };
    check(&single.to_html());
    assert!(single.to_html().contains("Nothing to draw"));

    for scores in [
        vec![],
        vec![scored("one", true, 1.0)],
        vec![scored("one", false, 1.0)],
        vec![scored("a", true, 2.0), scored("b", false, 2.0)],
    ] {
        let mut tested = tested(scores);
        check(&Page { tested: Some(tested.clone()), ..Page::default() }.to_html());
        tested.threshold = Some(Threshold { score: None, rate: 0.01, held_out: 4 });
        let html = Page { tested: Some(tested), ..Page::default() }.to_html();
        check(&html);
        assert!(html.contains("4 held-out normal images cannot back"), "{html}");
    }
}

#[test]
fn parts_read_back_and_damaged_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report/test.json");
    assert_eq!(kept::<Tested>(&path).unwrap(), None);
    let part = whole().tested.unwrap();
    keep(&path, &part).unwrap();
    assert_eq!(kept(&path).unwrap(), Some(part));
    std::fs::write(&path, "{}").unwrap();
    let message = kept::<Tested>(&path).unwrap_err().to_string();
    assert!(message.contains("test.json: not a part of a page"), "{message}");
}
