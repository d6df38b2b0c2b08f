//! Curves as SVG: mean line, band of one standard deviation, axes, ticks.

use std::fmt::Write;

/// A diagram of one or more curves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    pub title: String,
    pub x: String,
    /// What the values are, in per cent.
    pub y: String,
    /// Whether equal steps on the x axis are equal factors.
    pub log: bool,
    pub curves: Vec<Curve>,
}

/// A line through points.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    pub name: String,
    pub points: Vec<Point>,
}

/// `mean` and `deviation` are shares in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub mean: f64,
    pub deviation: Option<f64>,
}

impl Point {
    /// One deviation above (`sign` 1) or below (-1) the mean, where a share can lie.
    fn edge(self, sign: f64) -> f64 {
        (self.mean + sign * self.deviation.unwrap_or(0.0)).clamp(0.0, 1.0)
    }
}

/// Size of the picture and of its margins, in SVG units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 56.0;
/// Holds the legend.
const RIGHT: f64 = 170.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 48.0;
/// Colours told apart by the colour-blind (Okabe and Ito 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// Maps an interval of data onto one of the picture.
#[derive(Debug, Clone, Copy)]
struct Scale {
    data: [f64; 2],
    picture: [f64; 2],
}

impl Scale {
    fn at(self, value: f64) -> f64 {
        let ([low, high], [from, to]) = (self.data, self.picture);
        from + (to - from) * (value - low) / (high - low)
    }
}

impl Figure {
    /// The whole picture.
    pub(super) fn to_svg(&self) -> String {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let place = |x: f64| if self.log { x.log2() } else { x };
        let [left, right] = range(points().map(|p| place(p.x)), 1e-6);
        let bands = points().flat_map(|p| [p.edge(-1.0), p.edge(1.0)].map(|v| 100.0 * v));
        let [low, high] = range(bands, 2.0);
        let margin = 0.04 * (high - low);
        let x = Scale { data: [left, right], picture: [LEFT + 12.0, WIDTH - RIGHT - 12.0] };
        let y = Scale { data: [low - margin, high + margin], picture: [HEIGHT - BOTTOM, TOP] };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        text(&mut svg, [WIDTH / 2.0, 20.0], "middle", &self.title);
        text(&mut svg, [WIDTH / 2.0, HEIGHT - 10.0], "middle", &self.x);
        text(&mut svg, [8.0, TOP - 8.0], "start", &self.y);
        for value in ticks(y.data) {
            let at = y.at(value);
            line(&mut svg, [LEFT, at], [WIDTH - RIGHT, at], "#ddd");
            text(&mut svg, [LEFT - 6.0, at + 4.0], "end", &number(value));
        }
        let mut xs: Vec<f64> = points().map(|p| p.x).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        for value in xs {
            let at = x.at(place(value));
            line(&mut svg, [at, HEIGHT - BOTTOM], [at, HEIGHT - BOTTOM + 5.0], "black");
            text(&mut svg, [at, HEIGHT - BOTTOM + 18.0], "middle", &number(value));
        }
        line(&mut svg, [LEFT, HEIGHT - BOTTOM], [WIDTH - RIGHT, HEIGHT - BOTTOM], "black");
        line(&mut svg, [LEFT, TOP], [LEFT, HEIGHT - BOTTOM], "black");
        for (number, curve) in self.curves.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let mut points = curve.points.clone();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            draw(&mut svg, &points, colour, |p, value| [x.at(place(p.x)), y.at(100.0 * value)]);
            let (x, y) = (WIDTH - RIGHT + 10.0, TOP + 16.0 * (number as f64 + 1.0));
            line(&mut svg, [x, y - 4.0], [x + 20.0, y - 4.0], colour);
            text(&mut svg, [x + 26.0, y], "start", &curve.name);
        }
        svg + "</svg>\n"
    }
}

/// Band, line and dots of a curve.
fn draw(svg: &mut String, points: &[Point], colour: &str, at: impl Fn(&Point, f64) -> [f64; 2]) {
    let path = |points: &mut dyn Iterator<Item = [f64; 2]>| {
        points.map(|[x, y]| format!("{x:.2},{y:.2}")).collect::<Vec<_>>().join(" ")
    };
    if points.iter().any(|p| p.deviation.is_some()) {
        let upper = points.iter().map(|p| at(p, p.edge(1.0)));
        let lower = points.iter().rev().map(|p| at(p, p.edge(-1.0)));
        let band = path(&mut upper.chain(lower));
        // Writing to a string cannot fail.
        let _ =
            writeln!(svg, "<polygon points=\"{band}\" fill=\"{colour}\" fill-opacity=\"0.2\"/>");
    }
    let line = path(&mut points.iter().map(|p| at(p, p.mean)));
    let _ = writeln!(svg, "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\"/>");
    for [x, y] in points.iter().map(|p| at(p, p.mean)) {
        let _ = writeln!(svg, "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"3\" fill=\"{colour}\"/>");
    }
}

fn line(svg: &mut String, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], colour: &str) {
    let (from, to) =
        (format!("x1=\"{x1:.2}\" y1=\"{y1:.2}\""), format!("x2=\"{x2:.2}\" y2=\"{y2:.2}\""));
    let _ = writeln!(svg, "<line {from} {to} stroke=\"{colour}\"/>");
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    let words = escape(words);
    let _ =
        writeln!(svg, "<text x=\"{x:.2}\" y=\"{y:.2}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// `words` as XML text; what XML cannot hold becomes U+FFFD.
fn escape(words: &str) -> String {
    words.chars().fold(String::new(), |mut text, c| {
        match c {
            '&' => text += "&amp;",
            '<' => text += "&lt;",
            '>' => text += "&gt;",
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => text.push('\u{fffd}'),
            c => text.push(c),
        }
        text
    })
}

/// Least and greatest of `values`, at least `least` apart.
fn range(values: impl Iterator<Item = f64>, least: f64) -> [f64; 2] {
    let [low, high] =
        values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
    let spread = (high - low).max(0.0);
    match low.is_finite() {
        true if spread < least => {
            let middle = 0.5 * (low + high);
            [middle - 0.5 * least, middle + 0.5 * least]
        }
        true => [low, high],
        false => [0.0, 1.0],
    }
}

/// Round numbers in an interval, 1, 2 or 5 times a power of ten apart; at most about six.
fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..).map(|k| k as f64 * step).take_while(|tick| *tick <= high + 1e-9 * step).collect()
}

/// Without the noise of binary fractions.
fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks([42.0, 61.0]), [45.0, 50.0, 55.0, 60.0]);
        assert_eq!(
            ticks([0.0, 1.0]).iter().map(|t| number(*t)).collect::<Vec<_>>(),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(range([3.0].into_iter(), 2.0), [2.0, 4.0]);
        assert_eq!(range([].into_iter(), 2.0), [0.0, 1.0]);
    }

    fn figure(log: bool) -> Figure {
        let point = |x, mean, deviation| Point { x, mean, deviation };
        let curve = |name: &str, points| Curve { name: name.into(), points };
        Figure {
            title: "slots <of> \"a & b\"\u{7}".into(),
            x: "prototypes".into(),
            y: "AUROC, %".into(),
            log,
            curves: vec![
                curve("stage 3", vec![point(64.0, 0.5, Some(0.02)), point(16.0, 0.4, Some(0.01))]),
                curve("stage 4", vec![point(16.0, 0.45, None)]),
                curve("none", Vec::new()),
            ],
        }
    }

    #[test]
    fn the_picture_is_xml_with_its_parts_in_place() {
        for log in [false, true] {
            let svg = figure(log).to_svg();
            let document = roxmltree::Document::parse(&svg).unwrap();
            let all = |tag: &str| document.descendants().filter(|n| n.has_tag_name(tag)).count();
            assert_eq!((all("polyline"), all("polygon"), all("circle")), (3, 1, 3));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            let title = document.descendants().find(|n| n.has_tag_name("text")).unwrap();
            assert_eq!(title.text(), Some("slots <of> \"a & b\"\u{fffd}"));
            for number in document.descendants().flat_map(|n| n.attributes()) {
                let value: Option<f64> = number.value().parse().ok();
                assert!(value.is_none_or(|v| (0.0..=WIDTH).contains(&v)), "{number:?}");
            }
        }
        // 16 left of 64: curves are drawn from left to right.
        assert!(figure(true).to_svg().contains("<polyline points=\"68.00,"));
    }

    #[test]
    fn an_empty_figure_is_a_picture_too() {
        let svg = Figure { curves: Vec::new(), ..figure(true) }.to_svg();
        assert!(roxmltree::Document::parse(&svg).is_ok() && !svg.contains("NaN"));
    }
}
