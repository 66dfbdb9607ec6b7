//! The HTML page: what it says, that nothing in it runs, and how a browser lays it out.

mod browser;
mod chromium;
mod sample;
mod text;
mod verb;
