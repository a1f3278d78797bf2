//! The queue of what waits to be sent, by itself: whatever is put in comes out in order.

use super::*;

fn drain(output: &mut Output, step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut trash = Trash::default();
    while !output.is_empty() {
        let before = output.len();
        let written = match output.single() {
            Some(bytes) => {
                let n = bytes.len().min(step);
                out.extend_from_slice(&bytes[..n]);
                n
            }
            None => output.with_slices(usize::MAX, |slices| {
                let n = slices.iter().map(|s| s.len()).sum::<usize>().min(step);
                let all: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
                out.extend_from_slice(&all[..n]);
                n
            }),
        };
        output.advance(written, &mut trash);
        assert_eq!(output.len(), before - written);
    }
    out
}

#[test]
fn what_is_appended_comes_behind_in_order() {
    let mut output = Output::default();
    let mut expected = Vec::new();
    for (index, size) in [2, 0, PIECE_BYTES_MIN + 2].into_iter().enumerate() {
        let mut other = Output::default();
        for (place, size) in [size, PIECE_BYTES_MIN, 7].into_iter().enumerate() {
            let bytes = vec![b'a' + (index * 3 + place) as u8; size];
            expected.extend_from_slice(&bytes);
            match place {
                1 => other.push(Chunk::Owned(bytes), &mut Trash::default()),
                _ => other.push(Chunk::Borrowed(&bytes), &mut Trash::default()),
            }
        }
        output.append(other);
        output.tail().bytes.extend_from_slice(b"|");
        expected.push(b'|');
    }
    assert_eq!(output.end(), expected.len() as u64);
    assert_eq!(drain(&mut output, 1000), expected);
    assert_eq!((output.taken(), output.end()), (expected.len() as u64, expected.len() as u64));
}

#[test]
fn what_is_kept_can_be_written_again() {
    for written in [0, 1, 5, 6, PIECE_BYTES_MIN + 4, PIECE_BYTES_MIN + 11, PIECE_BYTES_MIN + 12] {
        let mut output = Output::default();
        let mut trash = Trash::default();
        let mut expected = b"before".to_vec();
        output.push(Chunk::Borrowed(b"before"), &mut trash);
        let mut rest = output.len();
        output.advance(rest, &mut trash);
        expected.clear();
        output.keep(usize::MAX);
        for (index, size) in [5, PIECE_BYTES_MIN, 7].into_iter().enumerate() {
            let bytes = vec![b'a' + index as u8; size];
            expected.extend_from_slice(&bytes);
            output.push(Chunk::Owned(bytes), &mut trash);
        }
        output.advance(written, &mut trash);
        rest = expected.len() - written;
        assert_eq!((output.len(), output.is_empty()), (rest, rest == 0));
        output.rewind();
        assert_eq!(output.taken(), 6);
        output.advance(written, &mut trash);
        output.push(Chunk::Borrowed(b"more"), &mut trash);
        expected.extend_from_slice(b"more");
        output.release(&mut trash);
        assert_eq!(drain(&mut output, 1000), expected[written..], "{written}");
        assert!(output.is_empty() && output.position == 0 && output.pieces_bytes == 0);
    }
}

#[test]
fn no_more_is_kept_than_is_allowed() {
    let mut output = Output::default();
    let mut trash = Trash::default();
    output.keep(1000);
    output.push(Chunk::Borrowed(&[0; 1001]), &mut trash);
    output.advance(1000, &mut trash);
    assert!(output.is_kept());
    output.advance(1, &mut trash);
    assert!(!output.is_kept() && output.buffer.is_empty() && output.position == 0);
}

#[test]
fn what_waits_can_be_cut_off_anywhere() {
    let sizes = [5, PIECE_BYTES_MIN, 7, PIECE_BYTES_MIN + 3, PIECE_BYTES_MIN, 2];
    let total: usize = sizes.iter().sum();
    let places = [0, 3, 5, 6, PIECE_BYTES_MIN, PIECE_BYTES_MIN + 5, PIECE_BYTES_MIN + 9];
    let places = places.into_iter().chain([total - 3, total - 2, total - 1, total, total + 1]);
    for (written, cut) in places.clone().flat_map(|a| places.clone().map(move |b| (a, b))) {
        let mut output = Output::default();
        let mut trash = Trash::default();
        let mut expected = Vec::new();
        for (index, size) in sizes.into_iter().enumerate() {
            let bytes = vec![b'a' + index as u8; size];
            expected.extend_from_slice(&bytes);
            output.push(Chunk::Owned(bytes), &mut trash);
        }
        let written = written.min(total);
        output.advance(written, &mut trash);
        output.cut_at(cut as u64, &mut trash);
        let kept = cut.clamp(written, total);
        assert_eq!(output.len(), kept - written, "{written} {cut}");
        assert_eq!(drain(&mut output, 1000), expected[written..kept], "{written} {cut}");
        assert!(output.is_empty() && output.position == 0 && output.pieces_bytes == 0);
    }
}

#[test]
fn bytes_keep_their_order_whatever_the_writes_take() {
    for step in [1, 7, 1000, PIECE_BYTES_MIN, 1 << 20] {
        let mut output = Output::default();
        let mut expected = Vec::new();
        for (index, size) in [3, PIECE_BYTES_MIN, 5, 0, PIECE_BYTES_MIN + 1, 9].iter().enumerate() {
            let bytes = vec![b'a' + index as u8; *size];
            expected.extend_from_slice(&bytes);
            match index % 2 {
                0 => output.push(Chunk::Borrowed(&bytes), &mut Trash::default()),
                _ => output.push(Chunk::Owned(bytes), &mut Trash::default()),
            }
        }
        assert_eq!(output.len(), expected.len());
        assert_eq!(drain(&mut output, step), expected);
        assert!(output.is_empty() && output.position == 0 && output.pieces_bytes == 0);
    }
}
