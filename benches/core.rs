//! The HTTP/1.1 core alone: no socket, no callback, no clock. What a head, a chunked body and a response head cost.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use onloop::internals::{HeadReader, HeadWriter, read_chunked};

mod messages;
use messages::{
    BROWSER_REQUEST, SMALL_REQUEST, chunked_content, request_of_fields, response_of_fields,
};

fn request_heads(c: &mut Criterion) {
    let mut group = c.benchmark_group("request_head");
    let hundred = request_of_fields(100);
    let cases =
        [("small", SMALL_REQUEST), ("browser", BROWSER_REQUEST), ("100_fields", hundred.as_str())];
    for (name, text) in cases {
        let mut reader = HeadReader::default();
        assert_eq!(reader.request(text.as_bytes()), Some(text.len()), "{name}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| reader.request(black_box(text.as_bytes()))));
    }
    group.finish();
}

fn response_heads_read(c: &mut Criterion) {
    let mut group = c.benchmark_group("response_head_read");
    for (name, count) in [("small", 3), ("15_fields", 15)] {
        let text = response_of_fields(count);
        let mut reader = HeadReader::default();
        assert_eq!(reader.response(text.as_bytes()), Some(text.len()), "{name}");
        assert_eq!(reader.field_count(), count);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| reader.response(black_box(text.as_bytes()))));
    }
    group.finish();
}

fn chunked(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunked");
    for (name, count, size) in [("1000_of_16_bytes", 1000, 16), ("16_of_16_kib", 16, 16 * 1024)] {
        let content = chunked_content(count, size);
        assert_eq!(read_chunked(&content), Some(count * size), "{name}");
        group.throughput(Throughput::Bytes(content.len() as u64));
        group.bench_function(name, |b| b.iter(|| read_chunked(black_box(&content))));
    }
    group.finish();
}

fn response_heads_written(c: &mut Criterion) {
    let mut group = c.benchmark_group("response_head_write");
    let plain: &[(&str, &str)] = &[("Content-Type", "text/plain")];
    let many: &[(&str, &str)] = &[
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "private, max-age=0, must-revalidate"),
        ("ETag", "\"5f3c-1a2b3c4d5e6f\""),
        ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("Set-Cookie", "session=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax"),
        ("Strict-Transport-Security", "max-age=31536000"),
        ("Vary", "Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
    ];
    let cases = [
        ("plain", 200, plain, Some(13)),
        ("8_fields", 200, many, Some(48_211)),
        ("chunked", 200, plain, None),
        ("not_found", 404, plain, Some(9)),
    ];
    for (name, status, fields, length) in cases {
        let mut writer = HeadWriter::default();
        let mut out = Vec::new();
        writer.response(status, fields, length, &mut out);
        assert!(out.ends_with(b"\r\n\r\n"), "{name}");
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                writer.response(status, black_box(fields), length, &mut out);
                out.len()
            });
        });
    }
    group.finish();
}

fn main() {
    // Short: the whole of `cargo bench` is meant to be waited for.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .configure_from_args();
    request_heads(&mut criterion);
    response_heads_read(&mut criterion);
    chunked(&mut criterion);
    response_heads_written(&mut criterion);
    criterion.final_summary();
}
