//! The benchmark: every row of the table, measured on this machine, against the program as it is released.
//!
//! Run it with `cargo xtask bench`, which builds everything first.

mod bare;
mod baseline;
mod batches;
mod machine;
mod prepare;
mod report;
mod rig;
mod rows;
mod side;
mod stats;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::report::{Line, Outcome};
use crate::rig::Rig;
use crate::rows::{Finding, Row};

/// The allocator of the program, so that the bare halves have it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "bench", about = "Measures Afterclick and writes target/bench/results.json")]
struct Arguments {
    /// Measure this row only; may be given several times.
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Measured time of one side in one round, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Print the names of the rows and end.
    #[arg(long)]
    list: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// Parts that the benchmark starts as processes of their own.
#[derive(Subcommand)]
enum Part {
    #[command(hide = true, name = "bare-server")]
    Server,
    #[command(hide = true, name = "bare-client")]
    Client(bare::Deliveries),
    #[command(hide = true, name = "bare-batches")]
    Batches(bare::Batches),
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match arguments.part {
        Some(Part::Server) => runtime()?.block_on(bare::serve())?,
        Some(Part::Client(deliveries)) => runtime()?.block_on(bare::deliver(deliveries))?,
        Some(Part::Batches(batches)) => runtime()?.block_on(bare::send_batches(batches))?,
        None if arguments.list => rows::ALL.iter().flat_map(|row| row.specs).for_each(|spec| println!("{}", spec.name)),
        None => return measure(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures rows one after another. A row that fails does not keep the others from being measured.
fn measure(arguments: &Arguments) -> Result<ExitCode> {
    let rows = chosen(&arguments.rows)?;
    let rig = Rig::new(arguments.seconds)?;
    eprintln!("{}", machine::describe(rig.dir())?);
    let mut lines = Vec::new();
    for row in rows {
        let names: Vec<_> = row.specs.iter().map(|spec| spec.name).collect();
        eprintln!("==> {}", names.join(", "));
        let outcomes = match (row.run)(&rig) {
            Ok(Finding::Values(values)) => values.into_iter().map(Outcome::Value).collect(),
            Ok(Finding::Skipped(reason)) => vec![Outcome::Skipped(reason); row.specs.len()],
            Err(error) => vec![Outcome::Failed(format!("{error:#}")); row.specs.len()],
        };
        lines.extend(row.specs.iter().zip(outcomes).map(|(spec, outcome)| Line { spec: *spec, outcome }));
    }
    println!("{}", report::table(&lines));
    let results = rig.dir().join("results.json");
    report::write(&results, &lines)?;
    println!("written to {}", results.display());
    let failed = lines.iter().any(|line| matches!(line.outcome, Outcome::Failed(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The rows with these names, or all of them.
fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    let known = || rows::ALL.iter().flat_map(|row| row.specs).map(|spec| spec.name);
    if let Some(unknown) = names.iter().find(|name| !known().any(|known| known == name.as_str())) {
        bail!("`{unknown}` is not a row; there are {}", known().collect::<Vec<_>>().join(", "));
    }
    let wanted =
        |row: &&Row| names.is_empty() || row.specs.iter().any(|spec| names.iter().any(|name| name == spec.name));
    Ok(rows::ALL.iter().filter(wanted).collect())
}
