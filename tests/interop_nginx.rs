//! Our client and our proxy against nginx. Where it is not installed that is said; with
//! `ONLOOP_REQUIRE_INTEROP=1` it is a failure.

mod program;

use program::nginx::Nginx;
use program::others::{curl, fetch, field, has};
use program::{Program, run, text_of};
use serde_json::{Value, json};

fn nginx() -> Nginx {
    let server = "
        location = /told { return 200 \"$request_method $http_host $http_connection\"; }
        location = /chunked { ssi on; ssi_types *; alias ROOT/file; }
        location = /short { keepalive_timeout 0; return 200 short; }";
    Nginx::start(|folder| drop(folder.write("file", &vec![b'x'; 3_000_000])), "", server)
}

#[test]
fn our_client_talks_to_nginx() {
    if !has("nginx") {
        return;
    }
    let nginx = nginx();
    let output = text_of(&run("client", &[&nginx.url("/told")]), 0);
    assert_eq!(output, format!("POST 127.0.0.1:{} keep-alive\n", nginx.port));

    let report = fetch(&nginx.url("/file"));
    assert_eq!((&report["status"], &report["error"]), (&json!(200), &Value::Null), "{report}");
    assert_eq!(
        (&report["body_len"], field(&report, "content-length")),
        (&json!(3_000_000), Some("3000000"))
    );
    let whole = report["body_sha256"].clone();

    let report = fetch(&nginx.url("/chunked"));
    assert_eq!(field(&report, "transfer-encoding"), Some("chunked"), "{report}");
    assert_eq!((&report["body_sha256"], &report["error"]), (&whole, &Value::Null));

    let report = fetch(&nginx.url("/short"));
    assert_eq!((&report["body_len"], field(&report, "connection")), (&json!(5), Some("close")));
    assert_eq!(fetch(&nginx.url("/nothing"))["status"], 404);

    let url = nginx.url("/told");
    for options in [&[][..], &["--post", "1000"][..], &["--fresh"][..]] {
        let text = text_of(&run("load", &[&[url.as_str(), "4", "0.3"], options].concat()), 0);
        let report: Value = serde_json::from_str(&text).expect("it prints JSON");
        assert_eq!(report["errors"], 0, "{options:?}: {report}");
        assert!(report["requests"].as_u64() > Some(20), "{options:?}: {report}");
    }
}

#[test]
fn our_proxy_stands_between_curl_and_nginx() {
    if !has("curl") || !has("nginx") {
        return;
    }
    let nginx = nginx();
    let proxy = Program::start("proxy", &["0", &format!("127.0.0.1:{}", nginx.port)]);
    assert_eq!(
        curl(&["-H", "Host: example.test", &proxy.url("/told")]),
        "GET example.test keep-alive"
    );
    assert_eq!(curl(&[&proxy.url("/file")]).len(), 3_000_000);
    assert_eq!(curl(&[&proxy.url("/chunked")]).len(), 3_000_000);
    assert_eq!(curl(&[&proxy.url("/short"), &proxy.url("/short")]), "shortshort");
}
