//! A keep-alive conversation of three requests, whose server goes at every byte of what it receives and of what
//! it sends, and while it is idle with the client's next request on its way. Whatever it does: nothing that may
//! be repeated fails, nothing that must not be repeated is sent again, and what an error says of how much was
//! sent is what the network took.

mod server;
mod shape;
mod stage;

use onloop::Sent;
use server::{How, WAYS, When};
use shape::{LARGE, SMALL, Shape};
use stage::{CROWD, Next, Outcome, REQUESTS, Script, Stage};

/// Counts over many conversations: a sweep that struck nothing would prove nothing.
#[derive(Debug, Default)]
struct Tally {
    conversations: usize,
    fine: usize,
    repetitions: u64,
    nothing: usize,
    partly: usize,
    all: usize,
    without: usize,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.conversations += 1;
        self.fine += outcome.fine;
        self.repetitions += outcome.repetitions;
        for (_, sent) in outcome.told.iter().filter(|(fine, _)| !fine) {
            match sent {
                Some(Sent::NothingSent) => self.nothing += 1,
                Some(Sent::PartlySent) => self.partly += 1,
                Some(Sent::SentNoReply) => self.all += 1,
                None => self.without += 1,
            }
        }
    }
}

/// How long the requests of this shape are on the wire.
fn request_length(stage: &mut Stage, shape: Shape) -> usize {
    let outcome = stage.play(&Script::new(shape));
    assert_eq!((outcome.fine, outcome.connections), (REQUESTS, 1), "{shape:?}");
    assert!(outcome.lengths.iter().all(|length| *length == outcome.lengths[0]), "{outcome:?}");
    outcome.lengths[0]
}

/// Each shape plays on a stage of its own; `play` is given that, and how long a request is.
fn sweep(shapes: &[Shape], mut play: impl FnMut(&mut Stage, Shape, usize, &mut Tally)) -> Tally {
    let mut tally = Tally::default();
    for shape in shapes {
        let mut stage = Stage::new();
        let length = request_length(&mut stage, *shape);
        play(&mut stage, *shape, length, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.repetitions > 0, "nothing was repeated: {tally:?}");
    tally
}

/// Some places of a long stretch: its ends, what lies about the bounds of buffers, and a few between.
fn places(length: usize) -> Vec<usize> {
    let bounds = [1, 70, 150, 4_096, 16_384, 65_000, 65_535, 65_536, 65_537, 100_000, 131_072];
    let mut places: Vec<usize> = bounds.into_iter().filter(|place| *place < length).collect();
    places.extend([0, length / 2, length - 1, length]);
    places
}

#[test]
fn a_server_that_goes_at_any_byte_of_a_request() {
    let tally = sweep(&SMALL, |stage, shape, length, tally| {
        for (request, count) in pairs(0..REQUESTS, 0..=length) {
            for how in WAYS {
                // The network holds no more than what is read, so that this is all that was sent.
                let read = Script::new(shape).fault((0, request), When::Read(count), how);
                tally.add(&stage.play(&read.clone().narrow(count)));
                if request == 1 {
                    tally.add(&stage.play(&read));
                }
                // A server that reads nothing asks for nothing.
                if request == 1 && shape.interim().is_empty() {
                    let come = Script::new(shape).fault((0, request), When::Come(count), how);
                    tally.add(&stage.play(&come.narrow(count)));
                }
            }
        }
    });
    assert!(tally.partly > 0 && tally.all > 0, "{tally:?}");
}

#[test]
fn a_first_request_on_a_connection_is_not_repeated() {
    let mut tally = Tally::default();
    for shape in SMALL {
        let mut stage = Stage::new();
        for (when, how) in pairs([When::Accepted, When::Read(1), When::Sent(0)], WAYS) {
            let outcome = stage.play(&Script::new(shape).fault((0, 0), when, how));
            assert!(!outcome.told[0].0 && outcome.repetitions == 0, "{shape:?}: {outcome:?}");
            tally.add(&outcome);
        }
    }
    // Where a request was only begun nothing of it was sent; and it was not repeated.
    assert!(tally.nothing > 0 && tally.all > 0, "{tally:?}");
}

#[test]
fn a_server_that_goes_in_the_middle_of_a_large_request() {
    let tally = sweep(&LARGE, |stage, shape, length, tally| {
        for (request, count) in pairs(0..REQUESTS, places(length)) {
            for how in WAYS {
                let read = Script::new(shape).fault((0, request), When::Read(count), how);
                tally.add(&stage.play(&read));
                tally.add(&stage.play(&read.narrow(1_000)));
            }
        }
    });
    assert!(tally.partly > 0 && tally.all > 0, "{tally:?}");
}

#[test]
fn a_server_that_goes_at_any_byte_of_an_answer() {
    let tally = sweep(&SMALL, |stage, shape, _length, tally| {
        let answer = shape.interim().len() + shape.answer(0).len();
        for (request, count) in pairs(0..REQUESTS, 0..=answer) {
            for how in WAYS {
                let mut script = Script::new(shape).fault((0, request), When::Sent(count), how);
                tally.add(&stage.play(&script));
                // The next one begins when this one ends: it is that moment which counts.
                let is_near = count == 0 || count + 2 > answer;
                for next in [Next::InOnClose, Next::InOnEnd].into_iter().filter(|_| is_near) {
                    script.next = next;
                    tally.add(&stage.play(&script));
                }
                script.discards = true;
                tally.add(&stage.play(&script));
            }
        }
    });
    assert!(tally.all > 0, "{tally:?}");
}

#[test]
fn a_server_that_goes_while_idle_with_the_next_request_on_its_way() {
    sweep(&SMALL, |stage, shape, _length, tally| {
        // As long as the network takes both ways, to either side.
        for (behind, delay) in pairs(0..REQUESTS - 1, -120_i64..=120) {
            for how in WAYS.into_iter().filter(|_| delay % 10 == 0 || delay.abs() % 50 < 3) {
                let mut script = Script::new(shape);
                script.idle = Some((behind, how, delay));
                for turns in [true, false] {
                    script.turns = turns;
                    let outcome = stage.play(&script);
                    // Whatever the method: it must not have been sent on what was known to be closed.
                    let is_known = delay > 50;
                    assert!(!is_known || outcome.fine == REQUESTS, "{script:?}: {outcome:?}");
                    tally.add(&outcome);
                }
            }
        }
    });
}

#[test]
fn a_repetition_is_not_repeated() {
    let mut failures = 0;
    sweep(&SMALL, |stage, shape, length, tally| {
        let answer = shape.interim().len() + shape.answer(0).len();
        let mut seconds = vec![When::Accepted];
        seconds.extend((0..=length).map(When::Read));
        seconds.extend((0..answer).map(When::Sent));
        for (second, how) in pairs(seconds, WAYS) {
            // The first end tells what was sent before: a part, or all.
            let all = failures % 2 == 0;
            let first = When::Read(if all { length.min(80) } else { 1 });
            let mut script = Script::new(shape).fault((0, 1), first, How::Reset);
            script = script.narrow(if all { length } else { 1 });
            script = script.fault((1, 0), second, how);
            if let When::Read(count) = second {
                script = script.narrow(count);
            }
            let outcome = stage.play(&script);
            assert!(outcome.connections <= 3, "{script:?}: {outcome:?}");
            failures += usize::from(!outcome.told[1].0);
            tally.add(&outcome);
        }
    });
    assert!(failures > 0);
}

#[test]
fn a_repetition_that_finds_nobody_says_what_was_sent_before() {
    let tally = sweep(&SMALL, |stage, shape, length, tally| {
        for (count, how) in pairs(0..=length, WAYS) {
            let mut script = Script::new(shape).fault((0, 1), When::Read(count), how).narrow(count);
            script.refuses = true;
            for named in [false, true] {
                script.named = named;
                let outcome = stage.play(&script);
                assert!(!outcome.told[1].0, "{script:?}: {outcome:?}");
                tally.add(&outcome);
            }
        }
    });
    assert!(tally.partly > 0 && tally.all > 0, "{tally:?}");
}

#[test]
fn every_free_connection_may_be_dead() {
    sweep(&SMALL, |stage, shape, _length, tally| {
        for (delay, how) in pairs((-60..=60).step_by(10), WAYS) {
            for newcomers in [1, CROWD] {
                let outcome = stage.crowd(shape, newcomers, how, delay);
                // One that is made again does not take the next dead one.
                assert!(outcome.repetitions <= newcomers as u64, "{shape:?}: {outcome:?}");
                tally.add(&outcome);
            }
        }
    });
}

fn pairs<A: Clone, B: Clone>(
    outer: impl IntoIterator<Item = A>,
    middle: impl IntoIterator<Item = B> + Clone,
) -> Vec<(A, B)> {
    let outer = outer.into_iter();
    outer.flat_map(|a| middle.clone().into_iter().map(move |b| (a.clone(), b))).collect()
}
