//! An application server of the laboratory.

use anyhow::{Context, Result, bail};
use testkit::origin;
use tokio::net::TcpListener;

fn main() -> Result<()> {
    let mut name = String::from("origin");
    let mut listen = String::from("127.0.0.1:8080");
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--name" => name = value,
            "--listen" => listen = value,
            _ => bail!("unknown flag {flag}; usage: lab-origin --name NAME --listen ADDRESS:PORT"),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(&listen).await.with_context(|| format!("cannot listen at {listen}"))?;
        origin::serve(listener, name).await.context("cannot accept")
    })
}
