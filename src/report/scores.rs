//! `scores.csv`: one line per image.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use super::verdict::Judgement;
use super::write_atomic;
use crate::{Error, Result};

/// The scores of some images.
///
/// As CSV the columns are `path`, `score`, one `score_s<stage>` per scale, `p_value` and `verdict`
/// (`normal` or `anomalous`) where scores were judged, and `label` (as verdicts) and `kind` where they
/// are known. Scores are written with the fewest digits that
/// read back as the same `f32`.
///
/// ```
/// use anomem::report::{ScoreRow, ScoreTable};
/// let (path, scales) = ("a.png".into(), vec![0.1, 0.2]);
/// let row = ScoreRow { path, score: 0.3, scales, judgement: None, truth: None };
/// let table = ScoreTable { stages: vec![3, 4], rows: vec![row] };
/// assert_eq!(table.to_csv()?, "path,score,score_s3,score_s4\na.png,0.3,0.1,0.2\n");
/// # Ok::<(), anomem::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScoreTable {
    /// The stages of the encoder that the scales come from, such as 3 and 4.
    pub stages: Vec<usize>,
    /// The images.
    pub rows: Vec<ScoreRow>,
}

/// One image.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    /// As it was named.
    pub path: String,
    /// The score; high means anomalous.
    pub score: f32,
    /// The score of each scale, in the order of [`ScoreTable::stages`].
    pub scales: Vec<f32>,
    /// What the score says, where it was judged.
    pub judgement: Option<Judgement>,
    /// What it really is, where that is known.
    pub truth: Option<Truth>,
}

/// What an image really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Whether it is anomalous.
    pub anomalous: bool,
    /// `good`, the kind of defect, or the class.
    pub kind: String,
}

const NORMAL: &str = "normal";
const ANOMALOUS: &str = "anomalous";

impl ScoreTable {
    /// Writes the table to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written; those of [`Self::to_csv`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomic(path, self.to_csv()?.as_bytes())
    }

    /// The table as CSV (RFC 4180, line feeds).
    ///
    /// # Errors
    /// [`Error::Internal`] when a row has not one score per stage.
    pub fn to_csv(&self) -> Result<String> {
        let with = Columns {
            judgement: self.rows.iter().any(|row| row.judgement.is_some()),
            truth: self.rows.iter().any(|row| row.truth.is_some()),
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        let internal = |error: &dyn std::fmt::Display| Error::Internal(format!("scores: {error}"));
        writer.write_record(self.header(with)).map_err(|error| internal(&error))?;
        for row in &self.rows {
            writer.write_record(row.cells(with)).map_err(|error| internal(&error))?;
        }
        let bytes = writer.into_inner().map_err(|error| internal(&error))?;
        String::from_utf8(bytes).map_err(|error| internal(&error))
    }

    fn header(&self, with: Columns) -> Vec<String> {
        let mut header = vec!["path".to_owned(), "score".to_owned()];
        header.extend(self.stages.iter().map(|stage| format!("{SCALE}{stage}")));
        if with.judgement {
            header.extend(["p_value".to_owned(), "verdict".to_owned()]);
        }
        if with.truth {
            header.extend(["label".to_owned(), "kind".to_owned()]);
        }
        header
    }

    /// Reads a table that [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`Error::File`] naming the line and what was expected.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let fail = |message: String| Error::file(path, message);
        let text = fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| Error::file(path, error))?.clone();
        let stage = |name: &str| name.strip_prefix(SCALE).and_then(|stage| stage.parse().ok());
        let stages: Vec<usize> = header.iter().skip(2).map_while(stage).collect();
        let mut table = Self { stages, rows: Vec::new() };
        let has = |name: &str| header.iter().any(|column| column == name);
        let with = Columns { judgement: has("verdict"), truth: has("label") };
        if !header.iter().eq(table.header(with).iter()) {
            let expected =
                "path,score,score_s<stage>... and perhaps p_value,verdict and label,kind";
            return Err(fail(format!("columns {}: expected {expected}", join(&header))));
        }
        for record in reader.records() {
            let record = record.map_err(|error| Error::file(path, error))?;
            let line = record.position().map_or(0, csv::Position::line);
            let row = ScoreRow::parse(&record, table.stages.len(), with);
            table.rows.push(row.map_err(|message| fail(format!("line {line}: {message}")))?);
        }
        Ok(table)
    }
}

/// Which columns a table has beside the scores.
#[derive(Debug, Clone, Copy)]
struct Columns {
    judgement: bool,
    truth: bool,
}

/// What the name of a scale's column starts with.
const SCALE: &str = "score_s";

fn join(record: &csv::StringRecord) -> String {
    record.iter().collect::<Vec<_>>().join(",")
}

impl ScoreRow {
    fn cells(&self, with: Columns) -> Vec<String> {
        let mut cells = vec![self.path.clone(), digits(self.score)];
        cells.extend(self.scales.iter().copied().map(digits));
        let word = |anomalous: bool| if anomalous { ANOMALOUS } else { NORMAL }.to_owned();
        if with.judgement {
            cells.push(self.judgement.map(|j| j.p_value.to_string()).unwrap_or_default());
            cells.push(self.judgement.map(|j| word(j.anomalous)).unwrap_or_default());
        }
        if with.truth {
            let kind = |truth: &Truth| truth.kind.clone();
            cells.push(self.truth.as_ref().map(|truth| word(truth.anomalous)).unwrap_or_default());
            cells.push(self.truth.as_ref().map(kind).unwrap_or_default());
        }
        cells
    }

    /// A line with `scales` scores, as [`Self::cells`] made it.
    fn parse(
        record: &csv::StringRecord,
        scales: usize,
        with: Columns,
    ) -> std::result::Result<Self, String> {
        let cell = |index: usize| record.get(index).unwrap_or_default();
        let anomalous = |index: usize| match cell(index) {
            "" => Ok(None),
            NORMAL => Ok(Some(false)),
            ANOMALOUS => Ok(Some(true)),
            other => Err(format!("'{other}': expected {NORMAL} or {ANOMALOUS}")),
        };
        let behind = 2 + scales;
        let verdict = if with.judgement { anomalous(behind + 1)? } else { None };
        let judgement = match verdict {
            Some(anomalous) => Some(Judgement { p_value: number(cell(behind))?, anomalous }),
            None => None,
        };
        let label = behind + if with.judgement { 2 } else { 0 };
        let truth = if with.truth {
            let kind = cell(label + 1).to_owned();
            anomalous(label)?.map(|anomalous| Truth { anomalous, kind })
        } else {
            None
        };
        Ok(Self {
            path: cell(0).to_owned(),
            score: number(cell(1))?,
            scales: (2..behind)
                .map(|index| number(cell(index)))
                .collect::<std::result::Result<_, String>>()?,
            judgement,
            truth,
        })
    }
}

fn number<T: FromStr>(text: &str) -> std::result::Result<T, String> {
    text.parse().map_err(|_| format!("'{text}': expected a number"))
}

/// The fewest digits that read back as `score`, without a needless `.0`.
fn digits(score: f32) -> String {
    let text = format!("{score:?}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(path: &str, score: f32, scales: &[f32], truth: Option<(bool, &str)>) -> ScoreRow {
        let truth = truth.map(|(anomalous, kind)| Truth { anomalous, kind: kind.into() });
        ScoreRow { path: path.into(), score, scales: scales.to_vec(), judgement: None, truth }
    }

    fn round_trip(table: &ScoreTable) -> ScoreTable {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.csv");
        table.write(&path).unwrap();
        ScoreTable::read(&path).unwrap()
    }

    #[test]
    fn awkward_names_and_unknown_truth_by_hand() {
        let table = ScoreTable {
            stages: vec![3, 4],
            rows: vec![
                row("a, \"b\".png", 1.5, &[0.25, -2.0], Some((true, "hole"))),
                row("ü 画.png", 1e-9, &[1e20, 3.0], Some((false, "good"))),
                row("new.png", 0.1, &[0.2, 0.3], None),
            ],
        };
        let expected = "\
path,score,score_s3,score_s4,label,kind
\"a, \"\"b\"\".png\",1.5,0.25,-2,anomalous,hole
ü 画.png,1e-9,1e20,3,normal,good
new.png,0.1,0.2,0.3,,
";
        assert_eq!(table.to_csv().unwrap(), expected);
        assert_eq!(round_trip(&table), table);
        let mut judged = table;
        judged.rows[1].judgement = Some(Judgement { p_value: 0.125, anomalous: true });
        let line = judged.to_csv().unwrap().lines().nth(2).map(str::to_owned);
        assert_eq!(line.as_deref(), Some("ü 画.png,1e-9,1e20,3,0.125,anomalous,normal,good"));
        assert_eq!(round_trip(&judged), judged);
        judged.rows.iter_mut().for_each(|row| row.truth = None);
        assert_eq!(round_trip(&judged), judged);
        let none = ScoreTable { stages: vec![2], rows: Vec::new() };
        assert_eq!(none.to_csv().unwrap(), "path,score,score_s2\n");
        assert_eq!(round_trip(&none), none);
    }

    proptest! {
        #[test]
        fn every_score_reads_back_to_the_bit(bits: u32) {
            let score = f32::from_bits(bits);
            let table = ScoreTable { stages: vec![1], rows: vec![row("a", score, &[-score], None)] };
            let back = &round_trip(&table).rows[0];
            let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            prop_assert!(same(back.score, score) && same(back.scales[0], -score));
        }
    }

    #[test]
    fn damaged_tables_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.csv");
        for (text, part) in [
            ("", "columns : expected path,score"),
            ("path,score,score_s3,label\n", "expected path,score"),
            ("path,score\na,high\n", "line 2: 'high': expected a number"),
            ("path,score,label,kind\na,1,normal,x\nb,1,bad,x\n", "line 3: 'bad': expected normal"),
            ("path,score\na,1,2\n", "line: 2"),
        ] {
            fs::write(&path, text).unwrap();
            let message = ScoreTable::read(&path).unwrap_err().to_string();
            assert!(message.contains("scores.csv") && message.contains(part), "{message}");
        }
        let uneven = ScoreTable { stages: vec![3], rows: vec![row("a", 1.0, &[], None)] };
        assert!(matches!(uneven.to_csv(), Err(Error::Internal(_))));
    }
}
