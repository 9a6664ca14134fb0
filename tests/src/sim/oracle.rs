//! All that looks on while a history runs.

use std::sync::Arc;

use super::book::Book;
use super::findings::Findings;
use super::invariants::appenders::Appenders;
use super::invariants::cursors::Cursors;
use super::invariants::leases::Leases;
use super::plan::Plan;
use super::sometimes::Sometimes;
use super::trace::Trace;

/// Clones are the same oracle.
#[derive(Clone)]
pub struct Oracle {
    pub trace: Arc<Trace>,
    pub book: Arc<Book>,
    pub findings: Findings,
    pub sometimes: Sometimes,
    pub appenders: Arc<Appenders>,
    pub cursors: Arc<Cursors>,
    pub leases: Arc<Leases>,
}

impl Oracle {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let (findings, sometimes) = (Findings::default(), Sometimes::default());
        let read = findings.under("timelines");
        let book = Book::new(plan.people, read, sometimes.clone());
        let book = Arc::new(book);
        Self {
            trace: Arc::new(Trace::new()),
            appenders: Arc::new(Appenders::new(
                findings.under("appenders"),
                sometimes.clone(),
                Arc::clone(&book),
            )),
            cursors: Arc::new(Cursors::new(findings.under("cursors"))),
            leases: Arc::new(Leases::new(
                plan,
                findings.under("leases"),
                sometimes.clone(),
            )),
            book,
            findings,
            sometimes,
        }
    }
}
