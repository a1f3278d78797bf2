//! Responses by everything that a response can do, in any combination: corks, strict lengths, files, pieces,
//! collected requests, timers, timeouts, callbacks of writes.

use std::fs::File;
use std::sync::OnceLock;
use std::time::Duration;

use onloop::http::{Request, Response};

use crate::plan::{LARGE, content};
use crate::random::Random;
use crate::server::Site;

const CORKED: u32 = 1;
const STRICT: u32 = 1 << 1;
/// The end of the content comes from a file.
const FILE: u32 = 1 << 2;
/// A piece is written before the end.
const PIECE: u32 = 1 << 3;
/// When the request was collected.
const COLLECTED: u32 = 1 << 4;
/// When a timer has run.
const LATE: u32 = 1 << 5;
const TIMEOUT: u32 = 1 << 6;
const AWAITED: u32 = 1 << 7;
const FLUSHED: u32 = 1 << 8;
/// Uncorked by the handler, where the end would have done it.
const UNCORKED: u32 = 1 << 9;
const WAYS: u32 = 1 << 10;

/// What the request carries where it is collected.
const COLLECTED_BYTES: usize = 700;

/// How a response is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mix {
    pub(crate) length: usize,
    ways: u32,
}

impl Mix {
    pub(crate) fn draw(random: &mut Random) -> Mix {
        let ways = random.below(WAYS as usize) as u32;
        // Large enough, now and then, for a file to wait for its reader.
        let length = if random.below(40) == 0 { LARGE / 2 } else { random.below(40_000) };
        Mix { length, ways }
    }

    fn does(self, way: u32) -> bool {
        self.ways & way != 0
    }

    pub(crate) fn target(self) -> String {
        format!("/mixed/{}/{}", self.length, self.ways)
    }

    /// What is sent to be collected.
    pub(crate) fn request_content(self) -> Option<&'static [u8]> {
        self.does(COLLECTED).then(|| content(0, COLLECTED_BYTES))
    }

    fn of_target(rest: &str) -> Mix {
        let (length, ways) = rest.split_once('/').expect("made by `target`");
        Mix { length: length.parse().expect("a length"), ways: ways.parse().expect("bits") }
    }
}

/// All content in one file, which has no name any more.
fn file() -> File {
    static ALL: OnceLock<File> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let name = format!("onloop-simulation-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content(0, LARGE)).expect("a place for a file");
        let file = File::open(&path).expect("it was written");
        std::fs::remove_file(&path).expect("it was written");
        file
    });
    all.try_clone().expect("a descriptor")
}

/// `rest` is of the target, behind `/mixed/`.
pub(crate) fn handle(
    site: Site,
    req: &Request,
    res: Response,
    number: usize,
    rest: &str,
) -> onloop::Result<()> {
    let mix = Mix::of_target(rest);
    let piece = if mix.does(PIECE) { mix.length / 3 } else { 0 };
    if mix.does(STRICT) {
        res.set_strict_content_length(true);
        res.set_header("Content-Length", mix.length)?;
    }
    if mix.does(TIMEOUT) {
        // It tells, and nothing ends for it.
        res.set_timeout(Duration::from_millis(100));
        res.on_timeout(move || assert!(!res.is_destroyed(), "told of what is over"));
    }
    if mix.does(CORKED) {
        res.cork();
    }
    if mix.does(FLUSHED) {
        res.flush_headers();
    }
    if piece > 0 {
        res.try_write(content(0, piece))?;
        if mix.does(AWAITED) {
            site.await_written(res, number);
        }
    }
    if mix.does(STRICT) && mix.length > 0 {
        let too_much = res.try_write(content(0, mix.length - piece + 1));
        let code = too_much.expect_err("it does not fit").code();
        assert_eq!(code, "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
    }
    let finish = move || finish(site, res, number, mix, piece);
    if mix.does(COLLECTED) {
        site.collects(number);
        req.collect(COLLECTED_BYTES, move |collected| {
            site.collected(number);
            assert_eq!(collected?, content(0, COLLECTED_BYTES));
            finish()
        });
    } else if mix.does(LATE) {
        site.lp.set_timeout(Duration::from_millis(5), move || {
            // It may be over.
            let result = finish();
            assert!(result.is_ok() || !res.is_open(), "{mix:?}: {result:?}");
        });
    } else {
        finish()?;
    }
    Ok(())
}

fn finish(site: Site, res: Response, number: usize, mix: Mix, piece: usize) -> onloop::Result<()> {
    if mix.does(CORKED) && mix.does(UNCORKED) {
        res.uncork();
    }
    if mix.does(FILE) {
        res.send_file(file(), piece as u64..mix.length as u64)?;
        assert!(res.try_write("more").is_err(), "nothing comes behind a file");
    } else {
        res.try_end(content(piece, mix.length - piece))?;
    }
    if mix.does(AWAITED) {
        site.await_written(res, number);
    }
    Ok(())
}
