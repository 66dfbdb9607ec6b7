//! What a look over all metrics found, as one HTML file that needs nothing else: no script, no network,
//! no font of its own. It is pure, like the floors below it, and asks nobody: what a page says comes in
//! as plain data, and every text of it goes out escaped.

mod band;
mod card;
mod commands;
mod coverage;
mod heat;
mod html;
mod names;
mod page;
mod picture;
mod scale;
mod shared;
mod size;
mod strip;
mod verdict;
mod when;

pub use coverage::{Coverage, ProbeCoverage, Trouble, shortages};
pub use page::{MOST_CARDS, Page, page};
pub use picture::Picture;
pub use size::{amounts, change_text, multiples};
pub use verdict::{Incident, incidents};
