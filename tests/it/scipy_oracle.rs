//! SciPy is the oracle: what it computes, `compare` computes to a billionth. The tests fail, and do not
//! skip, where the Debian package `python3-scipy` is missing.

use std::io::Write as _;
use std::process::{Command, Stdio};

use dropsonde::compare::{
    Shift, Sorted, Spread, benjamini_hochberg, fisher_exact, holm, paired_shift, quantile_interval, rank_sum,
    shift, signed_rank,
};
use serde_json::{Value, json};

/// Reads a list of [what, argument, ...] and answers each with a line of numbers. One process for all: starting
/// one takes longer than a thousand answers.
const ORACLE: &str = include_str!("scipy_oracle.py");

/// The interpreter that Debian's package installs SciPy for; another may stand first on PATH.
const PYTHON: &str = "/usr/bin/python3";

const CASES: usize = 1_200;

fn ask_oracle(questions: &[Value]) -> Vec<Vec<f64>> {
    let mut child = Command::new(PYTHON)
        .args(["-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start /usr/bin/python3");
    let mut stdin = child.stdin.take().expect("a piped stdin");
    let input = serde_json::to_vec(questions).expect("JSON");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("read the answers");
    assert!(output.status.success(), "the oracle failed: install the package python3-scipy");
    writer.join().expect("no panic").expect("hand over the questions");
    let text = String::from_utf8(output.stdout).expect("UTF-8 answers");
    let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("{word} is no number"));
    let answers: Vec<Vec<f64>> = text.lines().map(|l| l.split(' ').map(number).collect()).collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// Puts the questions, and compares the answers with `ours`. Not-a-number stands for "no answer" on both sides.
fn check<Case: std::fmt::Debug>(
    cases: &[Case],
    question: impl Fn(&Case) -> Value,
    ours: impl Fn(&Case) -> Vec<f64>,
) {
    assert!(cases.len() >= 1_000);
    let questions: Vec<Value> = cases.iter().map(question).collect();
    for (case, expected) in cases.iter().zip(ask_oracle(&questions)) {
        let found = ours(case);
        let same = found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| close(*a, *b));
        assert!(same, "{case:?}: {found:?}, SciPy says {expected:?}");
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// A generator that gives the same cases on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Numbers without ties.
    fn distinct(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| (self.unit() - 0.3) * 10_f64.powf(self.unit() * 6.0)).collect()
    }

    /// Numbers of one of several characters: distinct, with ties, constant, with infinities, tiny and huge.
    fn sample(&mut self, len: usize, character: usize) -> Vec<f64> {
        let mut values = self.distinct(len);
        match character % 6 {
            0 | 1 => {}
            2 => values.iter_mut().for_each(|value| *value = (self.unit() * 5.0).floor()),
            3 => values.fill(2.5),
            4 => values.iter_mut().step_by(3).for_each(|value| *value = f64::INFINITY.copysign(*value)),
            _ => values.iter_mut().for_each(|value| *value *= 1e-300),
        }
        values
    }

    fn samples(&mut self, most: usize) -> Vec<[Vec<f64>; 2]> {
        let pair = |case| {
            [(); 2].map(|()| {
                let len = 1 + self.below(if case % 3 == 0 { 4 } else { most });
                self.sample(len, case)
            })
        };
        (0..CASES).map(pair).collect()
    }
}

fn sorted(values: &[f64]) -> Sorted {
    values.iter().copied().collect()
}

/// JSON has no infinity; Python reads the word.
fn numbers(values: &[f64]) -> Value {
    values
        .iter()
        .map(|value| if value.is_finite() { json!(value) } else { json!(value.to_string()) })
        .collect()
}

#[test]
fn the_scale_of_a_robust_z() {
    let cases = Random(1).samples(60);
    let resolution = |[_, other]: &[Vec<f64>; 2]| other.first().map_or(0.0, |value| value.abs().min(1e6));
    check(
        &cases,
        |case| json!(["spread", numbers(&case[0]), resolution(case)]),
        |case| {
            let Some(spread) = Spread::of(&sorted(&case[0])) else { return vec![f64::NAN; 3] };
            vec![spread.median, spread.mad, spread.robust_z(case[0][0], resolution(case))]
        },
    );
}

#[test]
fn the_rank_sum_test_and_cliffs_delta() {
    let mut cases = Random(2).samples(40);
    // Few against many is counted out, too.
    let mut random = Random(3);
    cases.extend((0..100).map(|_| [random.distinct(3), random.distinct(120)]));
    check(
        &cases,
        |[a, b]| json!(["rank_sum", numbers(a), numbers(b)]),
        |[a, b]| {
            let found = rank_sum(&sorted(a), &sorted(b)).expect("no side is empty");
            vec![found.u, found.p, found.delta]
        },
    );
}

fn shift_numbers(found: Option<Shift>) -> Vec<f64> {
    let interval = found.and_then(|found| found.interval);
    let end = |end: Option<f64>| end.unwrap_or(f64::NAN);
    vec![end(found.map(|it| it.estimate)), end(interval.map(|it| it.lo)), end(interval.map(|it| it.hi))]
}

/// The interval holds the shifts that the test does not reject: SciPy is asked about one between each two
/// neighbouring differences.
#[test]
fn the_shift_and_its_interval() {
    let mut random = Random(4);
    let pair = |_| {
        [(); 2].map(|()| {
            let len = 1 + random.below(13);
            random.distinct(len)
        })
    };
    let cases: Vec<[Vec<f64>; 2]> = (0..CASES).map(pair).collect();
    check(
        &cases,
        |[a, b]| json!(["shift", numbers(a), numbers(b)]),
        |[a, b]| shift_numbers(shift(&sorted(a), &sorted(b), 0.95)),
    );
}

#[test]
fn the_shift_of_numbers_with_ties() {
    let cases = Random(5).samples(40);
    check(
        &cases,
        |[a, b]| json!(["differences", numbers(a), numbers(b)]),
        |[a, b]| shift_numbers(shift(&sorted(a), &sorted(b), 0.95))[..1].to_vec(),
    );
}

#[test]
fn the_signed_rank_test() {
    let mut random = Random(9);
    let case = |case| {
        let len = 1 + random.below([6, 30, 90][case % 3]);
        let mut sample = random.sample(len, case);
        // Some that did not change, and signs that are even.
        sample.iter_mut().step_by(7).for_each(|value| *value = 0.0);
        sample.iter_mut().for_each(|value| *value *= if random.below(3) == 0 { -1.0 } else { 1.0 });
        sample
    };
    let cases: Vec<Vec<f64>> = (0..CASES).map(case).collect();
    check(
        &cases,
        |differences| json!(["signed_rank", numbers(differences)]),
        |differences| {
            let found = signed_rank(&sorted(differences)).expect("some differences");
            vec![found.w, found.p, found.delta]
        },
    );
}

#[test]
fn the_paired_shift_and_its_interval() {
    let mut random = Random(10);
    let case = |case| {
        let len = 1 + random.below(9) + if case % 200 == 0 { 30 } else { 0 };
        random.distinct(len)
    };
    let cases: Vec<Vec<f64>> = (0..CASES).map(case).collect();
    check(
        &cases,
        |differences| json!(["paired_shift", numbers(differences)]),
        |differences| shift_numbers(paired_shift(&sorted(differences), 0.95)),
    );
}

#[test]
fn the_paired_shift_with_ties() {
    let cases = Random(11).samples(60);
    check(
        &cases,
        |[differences, _]| json!(["means", numbers(differences)]),
        |[differences, _]| shift_numbers(paired_shift(&sorted(differences), 0.95))[..1].to_vec(),
    );
}

#[test]
fn fishers_exact_test() {
    let mut random = Random(6);
    let table = |case| {
        let most: usize = [3, 8, 50, 400][case % 4];
        [(); 2].map(|()| [(); 2].map(|()| random.below(most + 1) as u64))
    };
    let cases: Vec<[[u64; 2]; 2]> = (0..CASES).map(table).collect();
    check(&cases, |table| json!(["fisher", table]), |table| vec![fisher_exact(*table)]);
}

#[test]
fn chances_after_many_tests() {
    let mut random = Random(7);
    let chances = |case| -> Vec<f64> {
        let one = |_| match case % 3 {
            0 => random.unit(),
            1 => random.unit().powi(12),
            _ => random.below(4) as f64 / 3.0,
        };
        (0..1 + case % 30).map(one).collect()
    };
    let cases: Vec<Vec<f64>> = (0..CASES).map(chances).collect();
    check(&cases, |p| json!(["holm", p]), |p| holm(p));
    check(&cases, |p| json!(["benjamini_hochberg", p]), |p| benjamini_hochberg(p));
}

#[test]
fn the_interval_of_a_quantile() {
    let mut random = Random(8);
    let case = |case| {
        let len = random.below(if case % 3 == 0 { 8 } else { 300 });
        (random.sample(len, case), random.unit(), [0.8, 0.95, 0.99][random.below(3)])
    };
    let cases: Vec<(Vec<f64>, f64, f64)> = (0..CASES).map(case).collect();
    check(
        &cases,
        |(values, q, confidence)| json!(["quantile", numbers(values), q, confidence]),
        |(values, q, confidence)| {
            let found = quantile_interval(&sorted(values), *q, *confidence);
            found.map_or(vec![f64::NAN; 2], |found| vec![found.lo, found.hi])
        },
    );
}
