//! Where a response sends its client: `Location` as a reference to the URL that was asked for
//! (RFC 9110 §10.2.2, RFC 3986 §5).
//!
//! What a browser would percent-encode is encoded, since many servers send paths as they are; everything else
//! that is no URL is refused as [`Url::parse`] refuses it. Deliberately not here: whether it is followed.

use std::borrow::Cow;

use super::url::{Url, UrlError};

/// The URL that a request to this authority with this target is for.
pub(crate) fn effective_url(authority: &str, target: &str) -> String {
    match target {
        // RFC 9110 §7.1: the server as a whole.
        "*" => format!("http://{authority}"),
        _ if target.starts_with('/') => format!("http://{authority}{target}"),
        _ => target.to_owned(),
    }
}

/// What `reference` means in a response to a request for `http://authority/target`. Never with a fragment, and
/// without dot segments.
///
/// # Errors
/// Those of [`Url::parse`].
pub(crate) fn resolve(authority: &str, target: &str, reference: &[u8]) -> Result<Url, UrlError> {
    let reference = encoded(reference)?;
    let (reference, _) = cut(&reference, '#');
    let (base_path, base_query) = cut(target, '?');
    let absolute = if has_scheme(reference) {
        Cow::Borrowed(reference)
    } else if reference.starts_with("//") {
        Cow::Owned(format!("http:{reference}"))
    } else if reference.starts_with('/') {
        Cow::Owned(format!("http://{authority}{reference}"))
    } else if reference.is_empty() {
        Cow::Owned(format!("http://{authority}{base_path}{base_query}"))
    } else if reference.starts_with('?') {
        Cow::Owned(format!("http://{authority}{base_path}{reference}"))
    } else {
        // RFC 3986 §5.2.3: all but the last segment of the base goes before it.
        let (folder, _) = base_path.rsplit_once('/').unwrap_or_default();
        Cow::Owned(format!("http://{authority}{folder}/{reference}"))
    };
    let mut url = Url::parse(&absolute)?;
    let (path, query) = cut(&url.target, '?');
    url.target = format!("{}{query}", without_dot_segments(path));
    Ok(url)
}

/// Before a character, and from it on.
fn cut(text: &str, at: char) -> (&str, &str) {
    text.find(at).and_then(|place| text.split_at_checked(place)).unwrap_or((text, ""))
}

/// RFC 3986 §4.2: a colon before any of `/?` ends a scheme.
fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?']);
    end.and_then(|end| reference.get(end..)).is_some_and(|rest| rest.starts_with(':'))
}

/// Percent-encodes what a URL may not have and what browsers encode in its place. In a host it is refused then,
/// as is every control character.
fn encoded(reference: &[u8]) -> Result<String, UrlError> {
    let mut text = String::with_capacity(reference.len());
    for byte in reference {
        match byte {
            0..b' ' | 0x7f => return Err(UrlError::Unescaped),
            b' ' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                text.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                    text.push(digit.to_ascii_uppercase());
                }
            }
            _ => text.push(char::from(*byte)),
        }
    }
    Ok(text)
}

/// RFC 3986 §5.2.4.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_folder = false;
    for segment in path.split('/').skip(1) {
        is_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if is_folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn resolved(target: &str, reference: &str) -> String {
        let url = resolve("a:8080", target, reference.as_bytes()).expect(reference);
        effective_url(&url.authority, &url.target)
    }

    /// The examples of RFC 3986 §5.4, as far as they are http and we take them.
    #[test]
    fn references_are_resolved_as_the_rfc_has_it() {
        for (reference, expected) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("g;x", "/b/c/g;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            (".g", "/b/c/.g"),
            ("g..", "/b/c/g.."),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("g?y:x", "/b/c/g?y:x"),
            ("./a:b", "/b/c/a:b"),
            ("a//b", "/b/c/a//b"),
        ] {
            assert_eq!(
                resolved("/b/c/d;p?q", reference),
                format!("http://a:8080{expected}"),
                "{reference}"
            );
        }
        for (reference, expected) in [
            ("//g", "http://g/"),
            ("//g:81/x", "http://g:81/x"),
            ("http://g", "http://g/"),
            ("HTTP://G/a/../b?c#d", "http://g/b?c"),
        ] {
            assert_eq!(resolved("/b/c", reference), expected, "{reference}");
        }
        assert_eq!(resolved("/b?x/y", "g"), "http://a:8080/g");
        assert_eq!(resolved("/", "g"), "http://a:8080/g");
    }

    #[test]
    fn what_browsers_encode_is_encoded() {
        assert_eq!(resolved("/", "/a b?c d"), "http://a:8080/a%20b?c%20d");
        assert_eq!(resolved("/", "/caf\u{e9}|^"), "http://a:8080/caf%C3%A9%7C%5E");
        let latin = resolve("a", "/", b"/caf\xe9").unwrap();
        assert_eq!(latin.target, "/caf%E9");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (reference, error) in [
            ("https:g", UrlError::Scheme),
            ("mailto:a@b", UrlError::Protocol),
            ("http:///x", UrlError::HostMissing),
            ("http://caf\u{e9}/", UrlError::Host),
            ("/a\\b", UrlError::Backslash),
            ("//u@v@w/", UrlError::Userinfo),
            ("/%zz", UrlError::Escape),
            ("/a\tb", UrlError::Unescaped),
            ("//g:0/", UrlError::Port),
        ] {
            assert_eq!(resolve("a", "/", reference.as_bytes()), Err(error), "{reference}");
        }
        assert!(resolve("a", "/", b"https://g/").unwrap().secure);
        assert!(resolve("a", "/", b"//u:p@g/").unwrap().userinfo.is_some());
    }

    #[test]
    fn targets_of_all_forms_have_a_url() {
        assert_eq!(effective_url("a:1", "/x?y"), "http://a:1/x?y");
        assert_eq!(effective_url("a", "*"), "http://a");
        assert_eq!(effective_url("p:3128", "http://b/"), "http://b/");
        assert_eq!(effective_url("p:3128", "b:443"), "b:443");
    }
}
