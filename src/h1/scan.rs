//! The law about the structure of a head, one byte after the other, and resumable at every byte.
//!
//! This scanner alone decides which structural violation a head has and where it ends; it looks at
//! every byte once, however the bytes arrive, and says no at the first wrong one. Heads that arrive
//! whole take a faster way in `head`, which hands everything that is not plainly right to here. So
//! the answer cannot depend on how the bytes were cut. What fields mean is judged in `meaning`.

use super::read::HeadLimits;
use super::target::check_target;
use super::token::{TARGET, TOKEN, VALUE, class_of, run_of};
use super::violation::Violation;

/// First byte of a TLS record that carries a handshake: RFC 8446 §5.1.
const TLS_HANDSHAKE: u8 = 0x16;

/// Where the reading of one head stands between two calls. The default is the beginning.
#[derive(Default, Clone, Copy, Debug)]
pub(crate) struct HeadProgress {
    /// Bytes of the message that have been looked at.
    scanned: u32,
    /// Where the element being read begins.
    mark: u32,
    fields: FieldScanner,
    state: State,
    empty_lines: u8,
}

#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    EmptyLineLf,
    Method,
    Target,
    Version,
    StatusLine,
    Reason,
    StartLineLf,
    Fields,
}

/// Which start line is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Request,
    Response,
}

impl HeadProgress {
    /// Whether nothing but empty lines has come: the peer has not begun a message.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(self.state, State::Start | State::EmptyLineLf)
    }

    /// Whether no byte has been looked at.
    #[inline]
    pub(super) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// Bytes of skipped empty lines before the start line.
    pub(super) fn skipped(&self) -> usize {
        usize::from(self.empty_lines) * 2
    }

    /// After a refusal, how many bytes of the message came before the one that is wrong or too much; else
    /// how many have been looked at.
    pub(crate) fn position(&self) -> usize {
        self.scanned as usize
    }

    /// Takes note of how far the reading has come.
    pub(super) fn note_position(&mut self, at: usize) {
        self.scanned = u32::try_from(at).unwrap_or(u32::MAX);
    }

    /// Looks at the bytes that have not been looked at. Gives the length of the head, skipped lines
    /// included, once its end is there.
    pub(super) fn scan(
        &mut self,
        input: &[u8],
        limits: &HeadLimits,
        role: Role,
    ) -> Result<Option<usize>, Violation> {
        let window = input.get(..limits.head_bytes()).unwrap_or(input);
        let mut at = self.scanned as usize;
        while let Some(rest @ [byte, ..]) = window.get(at..) {
            self.note_position(at);
            if self.state == State::Fields {
                let scanned = self.fields.scan(rest, limits.fields);
                let (used, ended) = scanned.map_err(|refusal| {
                    self.note_position(at.saturating_add(refusal.at));
                    refusal.violation
                })?;
                at = at.saturating_add(used);
                if ended {
                    return Ok(Some(at));
                }
                continue;
            }
            at = self.start_line(window, at, rest, *byte, limits, role)?;
        }
        self.note_position(at);
        if window.len() == limits.head_bytes() {
            // One more byte at least is needed, and it may not come.
            return Err(Violation::HeadTooLarge);
        }
        Ok(None)
    }

    /// One step through the start line: a single byte, or a run of bytes of the same kind. Gives
    /// the next position.
    fn start_line(
        &mut self,
        window: &[u8],
        at: usize,
        rest: &[u8],
        byte: u8,
        limits: &HeadLimits,
        role: Role,
    ) -> Result<usize, Violation> {
        let next = at.saturating_add(1);
        let offset = at.saturating_sub(self.mark as usize);
        match self.state {
            State::Start if role == Role::Response => {
                // RFC 9112 §4: nothing is skipped before a status line. The byte is looked at again.
                self.state = State::StatusLine;
                return Ok(at);
            }
            State::Start => self.first_byte(at, byte)?,
            State::EmptyLineLf => self.empty_line(byte, limits.empty_lines)?,
            State::Method => {
                let run = run_of(rest, TOKEN);
                let most = usize::from(limits.method_bytes);
                if offset.saturating_add(run) > most {
                    self.note_position((self.mark as usize).saturating_add(most));
                    return Err(Violation::MethodTooLong);
                }
                return self.after_run(at, rest, run, State::Target, |byte| match byte {
                    b' ' => Ok(()),
                    _ => Err(Violation::Method),
                });
            }
            State::Target => {
                let run = run_of(rest, TARGET);
                let length = offset.saturating_add(run);
                if length > limits.target_bytes {
                    self.note_position((self.mark as usize).saturating_add(limits.target_bytes));
                    return Err(Violation::TargetTooLong);
                }
                return self.after_run(at, rest, run, State::Version, |byte| match byte {
                    b' ' if length != 0 => Ok(()),
                    // HTTP/0.9 had no version.
                    b'\r' if length != 0 => Err(Violation::Version),
                    b'\n' => Err(Violation::BareLf),
                    _ => Err(Violation::Target),
                });
            }
            State::Version => self.version_byte(window, offset, byte)?,
            State::StatusLine => self.status_byte(window, offset, byte)?,
            State::Reason => {
                let run = run_of(rest, VALUE);
                return self.after_run(at, rest, run, State::StartLineLf, |byte| match byte {
                    b'\r' => Ok(()),
                    b'\n' => Err(Violation::BareLf),
                    _ => Err(Violation::Reason),
                });
            }
            State::StartLineLf => {
                line_feed(byte)?;
                if role == Role::Request {
                    self.check_request_line(window, at)?;
                }
                self.state = State::Fields;
            }
            State::Fields => {}
        }
        Ok(next)
    }

    /// Steps over a run and, if it is there, over the byte that ends it, which must please `check`.
    fn after_run(
        &mut self,
        at: usize,
        rest: &[u8],
        run: usize,
        state: State,
        check: impl Fn(u8) -> Result<(), Violation>,
    ) -> Result<usize, Violation> {
        let end = at.saturating_add(run);
        let Some(&byte) = rest.get(run) else {
            return Ok(end);
        };
        self.note_position(end);
        check(byte)?;
        self.state = state;
        let next = end.saturating_add(1);
        self.mark = u32::try_from(next).unwrap_or(u32::MAX);
        Ok(next)
    }

    fn first_byte(&mut self, at: usize, byte: u8) -> Result<(), Violation> {
        self.mark = u32::try_from(at).unwrap_or(u32::MAX);
        self.state = match byte {
            b'\r' => State::EmptyLineLf,
            b'\n' => return Err(Violation::BareLf),
            TLS_HANDSHAKE => return Err(Violation::TlsHandshake),
            _ if class_of(byte) & TOKEN != 0 => State::Method,
            _ => return Err(Violation::Method),
        };
        Ok(())
    }

    fn empty_line(&mut self, byte: u8, most: u8) -> Result<(), Violation> {
        line_feed(byte)?;
        self.empty_lines = self.empty_lines.saturating_add(1);
        if self.empty_lines > most {
            return Err(Violation::EmptyLines);
        }
        self.state = State::Start;
        Ok(())
    }

    /// A byte of `HTTP/d.d` CR in a request line: RFC 9112 §2.3.
    fn version_byte(&mut self, window: &[u8], offset: usize, byte: u8) -> Result<(), Violation> {
        match (offset, byte) {
            (0..8, _) if is_version_byte(offset, byte) => {}
            (8, b'\r') => {
                self.major_version(window)?;
                self.state = State::StartLineLf;
            }
            (8, b'\n') => return Err(Violation::BareLf),
            _ => return Err(Violation::Version),
        }
        Ok(())
    }

    /// A byte of `HTTP/d.d SP 3DIGIT` and what follows it: RFC 9112 §4. The reason may be absent,
    /// with or without its space.
    fn status_byte(&mut self, window: &[u8], offset: usize, byte: u8) -> Result<(), Violation> {
        match (offset, byte) {
            (0..8, _) if is_version_byte(offset, byte) => {}
            (8, b' ') => self.major_version(window)?,
            (0..=8, _) => return Err(Violation::StatusLine),
            (9, b'1'..=b'9') | (10 | 11, b'0'..=b'9') => {}
            (12, b' ') => self.state = State::Reason,
            (12, b'\r') => self.state = State::StartLineLf,
            (12, b'\n') => return Err(Violation::BareLf),
            _ => return Err(Violation::Status),
        }
        Ok(())
    }

    /// A higher minor version is served as 1.1 (RFC 9110 §2.5), another major one not at all. Asked
    /// after the last byte of the version, so that malformed versions are told from strange ones.
    fn major_version(&self, window: &[u8]) -> Result<(), Violation> {
        match window.get((self.mark as usize).saturating_add(5)) {
            Some(b'1') => Ok(()),
            _ => Err(Violation::VersionUnsupported),
        }
    }

    /// `line_feed_at` is where the request line's LF is.
    fn check_request_line(&self, window: &[u8], line_feed_at: usize) -> Result<(), Violation> {
        let line = window.get(self.skipped()..line_feed_at).unwrap_or_default();
        let Some((method, target)) = split_request_line(line) else {
            return Err(Violation::Method);
        };
        check_target(method, target)
    }
}

/// Method and target of a request line whose structure has been checked, with its CR or without
/// its line end.
pub(super) fn split_request_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    Some((parts.next()?, parts.next()?))
}

fn is_version_byte(offset: usize, byte: u8) -> bool {
    match offset {
        5 | 7 => byte.is_ascii_digit(),
        _ => b"HTTP/1.1".get(offset) == Some(&byte),
    }
}

#[inline]
fn line_feed(byte: u8) -> Result<(), Violation> {
    if byte == b'\n' { Ok(()) } else { Err(Violation::BareCr) }
}

/// A violation, and how many bytes of the input came before the one that is wrong or too much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) violation: Violation,
    pub(super) at: usize,
}

/// The scanner of field lines up to the empty line: of heads and of trailer sections alike. It needs
/// none of the bytes before those it is given.
#[derive(Default, Clone, Copy, Debug)]
pub(super) struct FieldScanner {
    count: u16,
    state: FieldState,
}

#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
enum FieldState {
    #[default]
    LineStart,
    Name,
    Value,
    ValueLf,
    EndLf,
}

impl FieldScanner {
    /// Lines that have begun.
    pub(super) fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Looks at `bytes`; gives how many were used and whether the section has ended with them.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        fields_max: usize,
    ) -> Result<(usize, bool), Refusal> {
        let mut at = 0usize;
        match self.scan_on(bytes, fields_max, &mut at) {
            Ok(ended) => Ok((at, ended)),
            Err(violation) => Err(Refusal { violation, at }),
        }
    }

    /// The same from `at` on, which is where it stops: at the end or at the wrong byte.
    fn scan_on(
        &mut self,
        bytes: &[u8],
        fields_max: usize,
        at: &mut usize,
    ) -> Result<bool, Violation> {
        while let Some(rest @ [byte, ..]) = bytes.get(*at..) {
            match self.state {
                FieldState::LineStart => self.line_start(*byte, fields_max)?,
                FieldState::Name => {
                    *at = at.saturating_add(run_of(rest, TOKEN));
                    match bytes.get(*at) {
                        None => break,
                        Some(b':') => self.state = FieldState::Value,
                        // RFC 9112 §5.1: such a space was once the way to hide a field.
                        Some(b' ' | b'\t') => return Err(Violation::SpaceBeforeColon),
                        Some(b'\r' | b'\n') => return Err(Violation::ColonMissing),
                        Some(_) => return Err(Violation::FieldName),
                    }
                }
                FieldState::Value => {
                    *at = at.saturating_add(run_of(rest, VALUE));
                    match bytes.get(*at) {
                        None => break,
                        Some(b'\r') => self.state = FieldState::ValueLf,
                        Some(b'\n') => return Err(Violation::BareLf),
                        Some(_) => return Err(Violation::FieldValue),
                    }
                }
                FieldState::ValueLf => {
                    line_feed(*byte)?;
                    self.state = FieldState::LineStart;
                }
                FieldState::EndLf => {
                    line_feed(*byte)?;
                    *at = at.saturating_add(1);
                    return Ok(true);
                }
            }
            *at = at.saturating_add(1);
        }
        Ok(false)
    }

    fn line_start(&mut self, byte: u8, fields_max: usize) -> Result<(), Violation> {
        match byte {
            b'\r' => self.state = FieldState::EndLf,
            b'\n' => return Err(Violation::BareLf),
            // RFC 9112 §2.2 and §5.2.
            b' ' | b'\t' if self.count == 0 => return Err(Violation::SpaceBeforeFields),
            b' ' | b'\t' => return Err(Violation::Fold),
            _ if class_of(byte) & TOKEN == 0 => return Err(Violation::FieldName),
            _ if self.count() >= fields_max => return Err(Violation::TooManyFields),
            _ => {
                self.count = self.count.saturating_add(1);
                self.state = FieldState::Name;
            }
        }
        Ok(())
    }
}
