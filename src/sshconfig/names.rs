//! The hosts that an ssh_config names outright: what is no pattern in its `Host` lines.

use super::file::{File, What};
use super::world::{Source, World};
use crate::model::Written;

/// Files that include files that include files; ssh has the same limit.
const MAX_DEPTH: usize = 16;

/// Each name with the line that has it first, in the order of the files. `Err` is a file that cannot be read,
/// with the reason.
pub fn names(sources: &[Source], world: &dyn World) -> Result<Vec<(String, Written)>, (Written, String)> {
    let mut found: Vec<(String, Written)> = Vec::new();
    for source in sources {
        walk(source, world, 0, &mut found)?;
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|(name, _)| seen.insert(name.clone()));
    Ok(found)
}

fn walk(
    source: &Source,
    world: &dyn World,
    depth: usize,
    found: &mut Vec<(String, Written)>,
) -> Result<(), (Written, String)> {
    let File { name, lines } = &*source.file;
    for line in lines {
        let at = Written { file: name.clone(), line: line.number };
        match &line.what {
            What::Host(patterns) => {
                let literal = patterns.iter().filter(|it| !it.negated && !it.text.contains(['*', '?']));
                found.extend(literal.map(|pattern| (pattern.text.clone(), at.clone())));
            }
            What::Include(_) if depth >= MAX_DEPTH => return Err((at, "included too deeply".to_owned())),
            What::Include(paths) => {
                for path in paths {
                    let files = world.include(path, source.is_user).map_err(|why| (at.clone(), why))?;
                    for file in files {
                        walk(&Source { file, ..*source }, world, depth + 1, found)?;
                    }
                }
            }
            What::Fault(fault) => return Err((at, fault.clone())),
            What::Match(_) | What::Set(_) | What::Unknown(_) => {}
        }
    }
    Ok(())
}
