//! `static_files` as a program: what it serves, what it does not, and what it says of it.

mod program;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use program::{Answer, Program, Wire, run};

/// When all files of the tests were written: a Sunday.
const WRITTEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn written() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

/// A directory to be served, `site`, in one of its own that must not be.
struct Site {
    base: PathBuf,
    program: Program,
}

impl Site {
    fn new() -> Site {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("onloop-static-files-{}-{count}", std::process::id());
        let base = std::env::temp_dir().join(name);
        fs::create_dir_all(base.join("site/sub/empty")).expect("a directory can be made");
        write(&base.join("secret.txt"), b"secret");
        let site = base.join("site");
        write(&site.join("index.html"), b"<h1>root</h1>");
        write(&site.join("digits.txt"), b"0123456789");
        write(&site.join("empty.txt"), b"");
        write(&site.join(".hidden"), b"secret");
        write(&site.join("with space & \u{e4}.txt"), b"odd");
        write(&site.join("sub/index.html"), b"<h1>sub</h1>");
        let program = Program::start("static_files", &[text_of(&site), "127.0.0.1:0"]);
        Site { base, program }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.join("site").join(name)
    }

    fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    /// With these header lines, each ended by CRLF.
    fn get_with(&self, path: &str, fields: &str) -> Answer {
        self.program.connect().ask_with(&format!("GET {path}"), fields, "")
    }

    fn etag(&self, path: &str) -> String {
        self.get(path).field("etag").expect("it has a tag").to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What stays behind does no harm.
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("the names are ours")
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
    let file = File::options().write(true).open(path).expect("it is there");
    file.set_modified(written()).expect("its time can be set");
}

#[test]
fn a_file_comes_with_all_that_is_to_be_known_of_it() {
    let site = Site::new();
    let answer = site.get("/digits.txt");
    assert_eq!((answer.status, answer.text()), (200, "0123456789"));
    assert_eq!(answer.field("content-length"), Some("10"));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.field("last-modified"), Some(WRITTEN));
    assert_eq!(answer.field("accept-ranges"), Some("bytes"));
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    let etag = answer.field("etag").expect("a tag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    assert_eq!(site.etag("/digits.txt"), etag);
    // Another time, or another length, is another tag.
    fs::write(site.path("digits.txt"), "0123456789").expect("it can be written");
    let later = site.etag("/digits.txt");
    assert_ne!(later, etag);
    write(&site.path("digits.txt"), b"012345678");
    assert!(![etag, later].contains(&site.etag("/digits.txt")));
}

#[test]
fn head_says_what_get_would_have_said() {
    let site = Site::new();
    for path in ["/digits.txt", "/", "/empty.txt", "/none", "/sub"] {
        let got = site.get(path);
        let mut wire = site.program.connect();
        let told = wire.ask(&format!("HEAD {path}"));
        let lasting = |answer: &Answer| {
            let fields = answer.fields.iter().filter(|(name, _)| name != "date");
            // Their order means nothing.
            fields.cloned().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!((told.status, lasting(&told)), (got.status, lasting(&got)), "{path}");
        // Nothing came behind it.
        assert_eq!(wire.ask("GET /digits.txt").text(), "0123456789");
    }
}

#[test]
fn directories_have_an_index_or_nothing() {
    let site = Site::new();
    for (path, content) in
        [("/", "<h1>root</h1>"), ("/sub/", "<h1>sub</h1>"), ("/?q", "<h1>root</h1>")]
    {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.text()), (200, content), "{path}");
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    }
    for (path, location) in [("/sub", "/sub/"), ("/sub?a=/b", "/sub/?a=/b"), ("/s%75b", "/s%75b/")]
    {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.field("location")), (301, Some(location)), "{path}");
    }
    assert_eq!(site.get("/sub/empty/").status, 404);
    assert_eq!(site.get("/digits.txt/").status, 404);
    assert_eq!(site.get("http://elsewhere/digits.txt").text(), "0123456789");
}

#[test]
fn names_are_decoded_and_nothing_more() {
    let site = Site::new();
    assert_eq!(site.get("/with%20space%20&%20%C3%a4.txt").text(), "odd");
    assert_eq!(site.get("/d%69gits%2Etxt").text(), "0123456789");
    for path in [
        "/none",
        "/digits.txt%",
        "/digits.tx%7",
        "/digits.tx%zz",
        "/digits.tx%+7",
        "/digits%2etxt%00",
    ] {
        // Some of them the library refuses before.
        assert!(matches!(site.get(path).status, 400 | 404), "{path}");
    }
    let (long, deep) = ("a".repeat(300), "a/".repeat(1000));
    assert_eq!(site.get(&format!("/{long}")).status, 404);
    assert_eq!(site.get(&format!("/{deep}")).status, 404);
}

#[test]
fn nothing_outside_of_the_directory_is_served() {
    let site = Site::new();
    symlink(site.base.join("secret.txt"), site.path("link.txt")).expect("a link");
    symlink(&site.base, site.path("up")).expect("a link");
    symlink("../../secret.txt", site.path("sub/relative.txt")).expect("a link");
    fs::create_dir(site.path("linked")).expect("a directory");
    symlink(site.base.join("secret.txt"), site.path("linked/index.html")).expect("a link");
    // A neighbour whose name begins as the directory's does.
    fs::create_dir(site.base.join("site2")).expect("a directory");
    write(&site.base.join("site2/secret.txt"), b"secret");
    symlink(site.base.join("site2"), site.path("neighbour")).expect("a link");
    // Within it links are fine.
    symlink("digits.txt", site.path("inside.txt")).expect("a link");
    assert_eq!(site.get("/inside.txt").text(), "0123456789");
    let absolute = site.base.join("secret.txt");
    let absolute = text_of(&absolute);
    let paths = [
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/.%2E/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/sub/..%2f..%2fsecret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/sub%5c..%5c..%5csecret.txt",
        "/digits.txt%00.html",
        "/%00",
        "/link.txt",
        "/up/secret.txt",
        "/sub/relative.txt",
        "/linked/",
        "/neighbour/secret.txt",
        "/.hidden",
        "/%2ehidden",
        "/./digits.txt",
        "/sub/../digits.txt",
        "//digits.txt",
        "/sub//index.html",
        "/%2fetc/passwd",
        &format!("/{absolute}"),
        &format!("/{}", absolute.replace('/', "%2f")),
        &format!("/{}", absolute.replace('/', "%2F")),
    ];
    for path in paths {
        let answer = site.get(path);
        // What no target may have in it, the library refuses before.
        assert!(matches!(answer.status, 400 | 404), "{path}");
        assert!(!answer.text().contains("secret"), "{path}");
    }
    // Twice encoded is a name with a percent sign.
    assert_eq!(site.get("/%252e%252e/secret.txt").status, 404);
}

#[test]
fn what_is_no_file_is_not_served() {
    let site = Site::new();
    let fifo = site.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("a program");
    assert!(made.success());
    symlink("/dev/zero", site.path("zero")).expect("a link");
    assert_eq!(site.get("/fifo").status, 404);
    assert_eq!(site.get("/zero").status, 404);
    // The thread that looks did not get stuck.
    assert_eq!(site.get("/digits.txt").status, 200);
}

#[test]
fn other_methods_are_told_what_there_is() {
    let site = Site::new();
    let mut wire = site.program.connect();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        let answer = wire.ask_with(&format!("{method} /digits.txt"), "", "content");
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let answer = wire.ask("OPTIONS *");
    assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")));
    assert_eq!(wire.ask("GET /digits.txt").status, 200);
}

#[test]
fn who_has_the_file_does_not_get_it_again() {
    let site = Site::new();
    let etag = site.etag("/digits.txt");
    let fresh = [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-None-Match: W/{etag}\r\n"),
        format!("If-None-Match: \"a,b\", W/\"c\" ,{etag}\r\n"),
        format!("If-None-Match: \"a\"\r\nIf-None-Match: {etag}\r\n"),
        "If-None-Match: *\r\n".to_string(),
        format!("If-Modified-Since: {WRITTEN}\r\n"),
        format!("If-Modified-Since: {AFTER}\r\n"),
        "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n".to_string(),
        format!("If-None-Match: {etag}\r\nIf-Modified-Since: {BEFORE}\r\n"),
        format!("If-None-Match: {etag}\r\nRange: bytes=0-1\r\n"),
    ];
    for fields in &fresh {
        let mut wire = site.program.connect();
        for method in ["GET", "HEAD"] {
            let answer = wire.ask_with(&format!("{method} /digits.txt"), fields, "");
            assert_eq!(answer.status, 304, "{fields}");
            assert_eq!(answer.field("etag"), Some(&*etag));
            assert_eq!(answer.field("last-modified"), Some(WRITTEN));
            assert_eq!(answer.field("content-type"), None);
        }
        assert_eq!(wire.ask("GET /digits.txt").text(), "0123456789");
    }
    let stale = [
        "If-None-Match: \"other\"\r\n".to_string(),
        "If-None-Match: nonsense\r\n".to_string(),
        format!("If-Modified-Since: {BEFORE}\r\n"),
        "If-Modified-Since: nonsense\r\n".to_string(),
        format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {AFTER}\r\n"),
    ];
    for fields in &stale {
        assert_eq!(site.get_with("/digits.txt", fields).text(), "0123456789", "{fields}");
    }
}

#[test]
fn who_means_another_file_is_told_so() {
    let site = Site::new();
    let etag = site.etag("/digits.txt");
    let failed = [
        "If-Match: \"other\"\r\n".to_string(),
        format!("If-Match: W/{etag}\r\n"),
        format!("If-Unmodified-Since: {BEFORE}\r\n"),
        format!("If-Match: \"other\"\r\nIf-None-Match: {etag}\r\n"),
    ];
    for fields in &failed {
        assert_eq!(site.get_with("/digits.txt", fields).status, 412, "{fields}");
    }
    let passed = [
        format!("If-Match: {etag}\r\n"),
        format!("If-Match: \"other\", {etag}\r\n"),
        "If-Match: *\r\n".to_string(),
        format!("If-Match: {etag}\r\nIf-Unmodified-Since: {BEFORE}\r\n"),
        format!("If-Unmodified-Since: {WRITTEN}\r\n"),
        "If-Unmodified-Since: nonsense\r\n".to_string(),
    ];
    for fields in &passed {
        assert_eq!(site.get_with("/digits.txt", fields).status, 200, "{fields}");
    }
    // There is no file that it could be.
    assert_eq!(site.get_with("/none", "If-Match: *\r\n").status, 404);
}

#[test]
fn a_range_gets_its_part() {
    let site = Site::new();
    let parts = [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
        ("bytes=5-99999999999999999999999", "56789", "bytes 5-9/10"),
        ("Bytes=9-9", "9", "bytes 9-9/10"),
    ];
    let mut wire = site.program.connect();
    for (range, content, told) in parts {
        let answer = wire.ask_with("GET /digits.txt", &format!("Range: {range}\r\n"), "");
        assert_eq!((answer.status, answer.text()), (206, content), "{range}");
        assert_eq!(answer.field("content-range"), Some(told));
        assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
        let answer = wire.ask_with("GET /digits.txt", &format!("Range: {range}\r\n"), "");
        assert_eq!(
            (answer.status, answer.field("content-range")),
            (416, Some("bytes */10")),
            "{range}"
        );
    }
    let answer = wire.ask_with("GET /empty.txt", "Range: bytes=0-\r\n", "");
    assert_eq!((answer.status, answer.field("content-range")), (416, Some("bytes */0")));
    // No range, or several: the whole file.
    let others = [
        "bytes=4-2",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes",
        "lines=1-2",
        "bytes=0-1,3-4",
        "bytes=1-2-3",
    ];
    for range in others {
        let answer = wire.ask_with("GET /digits.txt", &format!("Range: {range}\r\n"), "");
        assert_eq!((answer.status, answer.text()), (200, "0123456789"), "{range}");
        assert_eq!(answer.field("content-range"), None);
    }
    // Ranges are of GET.
    let answer = wire.ask_with("HEAD /digits.txt", "Range: bytes=0-1\r\n", "");
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("10")));
}

#[test]
fn a_range_of_another_file_gets_the_whole_of_this_one() {
    let site = Site::new();
    let etag = site.etag("/digits.txt");
    let cases = [
        (etag.clone(), 206),
        (WRITTEN.to_string(), 206),
        (format!("W/{etag}"), 200),
        ("\"other\"".to_string(), 200),
        (BEFORE.to_string(), 200),
        (AFTER.to_string(), 200),
        ("nonsense".to_string(), 200),
    ];
    for (condition, status) in cases {
        let fields = format!("Range: bytes=1-2\r\nIf-Range: {condition}\r\n");
        assert_eq!(site.get_with("/digits.txt", &fields).status, status, "{condition}");
    }
}

#[test]
fn types_follow_from_names() {
    let site = Site::new();
    let types = [
        ("page.HTM", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.jpeg", "image/jpeg"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("a.mp4", "video/mp4"),
        ("a.tar.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
        ("none", "application/octet-stream"),
    ];
    let mut wire = site.program.connect();
    for (name, expected) in types {
        write(&site.path(name), b"x");
        let answer = wire.ask(&format!("GET /{name}"));
        assert_eq!(answer.field("content-type"), Some(expected), "{name}");
    }
}

#[test]
fn large_files_come_whole_and_in_order() {
    let site = Site::new();
    let bytes: Vec<u8> =
        (0..3_000_000_u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
    write(&site.path("large.bin"), &bytes);
    let mut wires: Vec<Wire> = (0..8).map(|_| site.program.connect()).collect();
    for wire in &mut wires {
        let request = "GET /large.bin HTTP/1.1\r\nHost: h\r\n";
        wire.send(format!("{request}\r\n{request}Range: bytes=1000000-1999999\r\n\r\n"));
        wire.send("GET /digits.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    for wire in &mut wires {
        assert!(wire.answer(false).body == bytes);
        assert!(wire.answer(false).body == bytes[1_000_000..2_000_000]);
        assert_eq!(wire.answer(false).text(), "0123456789");
    }
}

#[test]
fn it_ends_politely_and_says_why_it_cannot_begin() {
    let mut site = Site::new();
    site.program.signal("TERM");
    assert_eq!(site.program.wait().code(), Some(0));
    let output = run("static_files", &["/no/such/directory", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ENOENT"));
}
