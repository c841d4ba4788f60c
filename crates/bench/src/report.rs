//! The table that is printed and the file that is written.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// What a row measures and what it should reach.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) floor: f64,
    pub(crate) aim: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// What came of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Value(f64),
    /// Something that the row needs is not on this machine.
    Skipped(String),
    /// The row could not be measured as it must be. There is no value.
    Failed(String),
}

/// One line of the report.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) spec: Spec,
    pub(crate) outcome: Outcome,
}

impl Line {
    fn verdict(&self) -> &'static str {
        match &self.outcome {
            Outcome::Value(value) if self.spec.reaches(*value, self.spec.aim) => "aim reached",
            Outcome::Value(value) if self.spec.reaches(*value, self.spec.floor) => "floor met",
            Outcome::Value(_) => "BELOW THE FLOOR",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed(_) => "FAILED",
        }
    }

    fn entry(&self) -> Entry<'_> {
        match &self.outcome {
            Outcome::Value(value) => Entry::Value {
                name: self.spec.name,
                value: *value,
                unit: self.spec.unit,
                better: self.spec.better,
                floor: self.spec.floor,
                aim: self.spec.aim,
            },
            Outcome::Skipped(reason) => Entry::Skipped { name: self.spec.name, skipped: reason.clone() },
            Outcome::Failed(reason) => Entry::Skipped { name: self.spec.name, skipped: format!("failed: {reason}") },
        }
    }
}

impl Spec {
    fn reaches(&self, value: f64, mark: f64) -> bool {
        match self.better {
            Better::Higher => value >= mark,
            Better::Lower => value <= mark,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Value { name: &'a str, value: f64, unit: &'a str, better: Better, floor: f64, aim: f64 },
    Skipped { name: &'a str, skipped: String },
}

/// The table for a person.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut table = format!("{:<20} {:>9} {:<6} {:>7} {:>7}\n", "row", "value", "unit", "floor", "aim");
    for line in lines {
        let Spec { name, unit, floor, aim, .. } = line.spec;
        let value = match &line.outcome {
            Outcome::Value(value) => format!("{value:.3}"),
            Outcome::Skipped(_) | Outcome::Failed(_) => "-".to_owned(),
        };
        let _ = write!(table, "{name:<20} {value:>9} {unit:<6} {floor:>7} {aim:>7}  {}", line.verdict());
        if let Outcome::Skipped(reason) | Outcome::Failed(reason) = &line.outcome {
            let _ = write!(table, ": {reason}");
        }
        table.push('\n');
    }
    table
}

/// Writes the list for a machine.
pub(crate) fn write(path: &Path, lines: &[Line]) -> Result<()> {
    std::fs::write(path, json(lines)?)?;
    Ok(())
}

fn json(lines: &[Line]) -> Result<String> {
    let entries: Vec<_> = lines.iter().map(Line::entry).collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const INGEST: Spec = Spec { name: "ingest", unit: "ratio", better: Better::Higher, floor: 0.45, aim: 0.65 };
    const READY: Spec = Spec { name: "ready", unit: "s", better: Better::Lower, floor: 5.0, aim: 1.0 };

    fn line(spec: Spec, value: f64) -> Line {
        Line { spec, outcome: Outcome::Value(value) }
    }

    #[test]
    fn floors_and_aims_are_judged_in_the_better_direction() {
        assert_eq!(line(INGEST, 0.65).verdict(), "aim reached");
        assert_eq!(line(INGEST, 0.45).verdict(), "floor met");
        assert_eq!(line(INGEST, 0.44).verdict(), "BELOW THE FLOOR");
        assert_eq!(line(READY, 0.9).verdict(), "aim reached");
        assert_eq!(line(READY, 5.0).verdict(), "floor met");
        assert_eq!(line(READY, 5.1).verdict(), "BELOW THE FLOOR");
    }

    #[test]
    fn results_have_exactly_the_agreed_members() {
        let lines = [
            line(INGEST, 0.5),
            Line { spec: READY, outcome: Outcome::Skipped("no node here".to_owned()) },
            Line { spec: READY, outcome: Outcome::Failed("it broke".to_owned()) },
        ];
        let value: serde_json::Value = serde_json::from_str(&json(&lines).unwrap()).unwrap();
        assert_eq!(
            value,
            serde_json::json!([
                {"name": "ingest", "value": 0.5, "unit": "ratio", "better": "higher", "floor": 0.45, "aim": 0.65},
                {"name": "ready", "skipped": "no node here"},
                {"name": "ready", "skipped": "failed: it broke"},
            ])
        );
    }
}
