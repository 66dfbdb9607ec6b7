//! What the source of a share can tell apart, by the values at hand. A share of two seconds counted in
//! ticks of ten milliseconds is a multiple of 0.005, and one of nineteen periods of 0.053: where values are
//! that few steps, one step more is chance.

use super::grid::Grid;

/// So many hosts say what a metric's steps are.
const SAMPLED_HOSTS: usize = 64;

/// Fewer values show no pattern.
const LEAST_VALUES: usize = 12;

/// Steps up to this many are looked at; above it, chance is more than a step.
const MOST_STEPS: f64 = 6.0;

/// A window is now a little longer and now a little shorter, so that values lie near their step and not on it.
const TOLERANCE: f64 = 0.08;

/// The share of small values that must do so. Of values without steps some 16 % do.
const ON_STEPS: f64 = 0.8;

/// Levels at which hosts stay are no steps: of hundred values so many must be of another step than the one
/// before.
const LEAST_MOVES: f64 = 0.01;

/// `None` where the values have no steps, or so many that one does not matter.
pub fn step(grid: Grid<'_>) -> Option<f64> {
    let every = grid.hosts().div_ceil(SAMPLED_HOSTS).max(1);
    let rows: Vec<&[f64]> = (0..grid.hosts()).step_by(every).map(|host| grid.host(host)).collect();
    let mut values: Vec<f64> =
        rows.iter().flat_map(|row| row.iter().copied()).filter(|it| it.is_finite() && *it > 0.0).collect();
    if values.len() < LEAST_VALUES {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    // The lowest that is no accident is one step, or two or three where lower ones are seldom.
    let low = values[values.len() / 20];
    let step = [1.0, 2.0, 3.0].into_iter().find_map(|steps| fitted(&values, low / steps))?;
    moves(&rows, step).then_some(step)
}

/// The step near `guess`, when most small values are multiples of it.
fn fitted(sorted: &[f64], guess: f64) -> Option<f64> {
    let small = &sorted[..sorted.partition_point(|value| *value < guess * (MOST_STEPS + 0.5))];
    let mut steps: Vec<f64> = small.iter().map(|value| value / (value / guess).round().max(1.0)).collect();
    let middle = steps.len() / 2;
    let step = *steps.select_nth_unstable_by(middle, f64::total_cmp).1;
    let on = small.iter().filter(|value| off(**value, step) <= TOLERANCE).count();
    (on as f64 >= ON_STEPS * small.len() as f64).then_some(step)
}

/// How far a value lies from the next multiple, in steps.
fn off(value: f64, step: f64) -> f64 {
    (value / step - (value / step).round().max(1.0)).abs()
}

/// Whether hosts go from one step to another, and not one host alone.
fn moves(rows: &[&[f64]], step: f64) -> bool {
    let (mut pairs, mut moves, mut hosts) = (0_usize, 0_usize, 0_usize);
    for row in rows {
        let steps: Vec<f64> =
            row.iter().filter(|value| value.is_finite()).map(|value| (value / step).round()).collect();
        let moved = steps.windows(2).filter(|pair| pair[0] != pair[1]).count();
        pairs += steps.len().saturating_sub(1);
        moves += moved;
        hosts += usize::from(moved > 0);
    }
    hosts > 2 && moves as f64 >= LEAST_MOVES * pairs as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEEPS: usize = 20;

    /// Of twelve hosts, by host and sweep.
    fn of(value: impl Fn(usize, usize) -> f64) -> Option<f64> {
        let values: Vec<f64> = (0..12 * SWEEPS).map(|at| value(at / SWEEPS, at % SWEEPS)).collect();
        step(Grid::new(&values, SWEEPS))
    }

    /// From 0 to `below`, as good as by chance.
    fn chance(host: usize, sweep: usize, below: usize) -> usize {
        (host * 7919 + sweep * 104_729 + host * sweep * 31) % 1009 % below
    }

    #[test]
    fn ticks_in_a_window_are_steps() {
        let near = |found: Option<f64>, expected: f64| {
            assert!(found.is_some_and(|it| (it / expected - 1.0).abs() < 0.02), "{found:?} {expected}");
        };
        let window = |host: usize, sweep: usize| 199.0 + chance(sweep, host, 3) as f64;
        near(of(|host, sweep| chance(host, sweep, 4) as f64 / window(host, sweep)), 1.0 / 200.0);
        near(of(|host, sweep| (2 + chance(host, sweep, 9)) as f64 / window(host, sweep)), 1.0 / 200.0);
        near(of(|host, sweep| (chance(host, sweep, 9) / 8) as f64 / 19.0), 1.0 / 19.0);
        // One host that is far off does not hide them.
        near(of(|host, sweep| if host == 3 { 0.371 } else { chance(host, sweep, 3) as f64 / 20.0 }), 0.05);
    }

    #[test]
    fn other_values_have_none() {
        assert_eq!(of(|_, _| 0.0), None);
        assert_eq!(of(|_, _| f64::NAN), None);
        assert_eq!(of(|_, _| 0.25), None);
        assert_eq!(of(|host, sweep| 0.1 + 0.001 * chance(host, sweep, 500) as f64), None);
        // Hosts of two sizes, each at its own level.
        assert_eq!(
            of(|host, sweep| if host % 2 == 0 { 0.1 } else { 0.2 } + chance(host, sweep, 5) as f64 * 1e-4),
            None
        );
        // One that fails more and more while nobody else does.
        assert_eq!(of(|host, sweep| if host == 3 { (sweep / 2) as f64 * 0.01 } else { 0.0 }), None);
    }
}
