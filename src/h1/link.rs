//! The grammar of `Link` values (RFC 8288 §3), for early hints: a browser acts on them before it has the
//! page, so a malformed one is a mistake to hear of and not one to send.

use super::token::is_token;

/// One or more `<uri>` with their `;` parameters, separated by commas.
pub(crate) fn is_link_list(value: &[u8]) -> bool {
    let mut rest = value;
    loop {
        let Some(behind) = link(rest) else {
            return false;
        };
        match behind.split_first() {
            None => return true,
            Some((b',', next)) => rest = next,
            Some(_) => return false,
        }
    }
}

/// Reads one link; what is behind it and behind white space.
fn link(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii_start().strip_prefix(b"<")?;
    let end = value.iter().position(|byte| matches!(byte, b'>' | b'<' | b' ' | b'\t' | b'"'))?;
    let mut rest = value.get(end..)?.strip_prefix(b">")?.trim_ascii_start();
    while let Some(parameter) = rest.strip_prefix(b";") {
        rest = self::parameter(parameter.trim_ascii_start())?.trim_ascii_start();
    }
    Some(rest)
}

/// Reads `name`, `name=token` or `name="text"`, or nothing at all; what is behind it.
fn parameter(value: &[u8]) -> Option<&[u8]> {
    let (name, rest) = word(value);
    if name.is_empty() {
        // RFC 8288 has empty parameters, as in a value that ends with a semicolon.
        return Some(rest);
    }
    if !is_token(name) {
        return None;
    }
    let Some(rest) = rest.trim_ascii_start().strip_prefix(b"=") else {
        return Some(rest);
    };
    let rest = rest.trim_ascii_start();
    match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted_end(quoted),
        None => {
            let (value, rest) = word(rest);
            (!value.is_empty()).then_some(rest)
        }
    }
}

/// Splits behind the bytes that neither end a parameter nor quote.
fn word(value: &[u8]) -> (&[u8], &[u8]) {
    let ends = |byte: &u8| matches!(byte, b';' | b',' | b'=' | b'"' | b'<' | b'>' | b' ' | b'\t');
    let end = value.iter().position(ends).unwrap_or(value.len());
    value.split_at_checked(end).unwrap_or((value, b""))
}

/// What is behind the closing quote.
fn quoted_end(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    loop {
        rest = match rest.split_first()? {
            (b'"', behind) => return Some(behind),
            (b'\\', behind) => behind.split_first()?.1,
            (_, behind) => behind,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_from_what_is_none() {
        for link in [
            "</style.css>; rel=preload; as=style",
            "<https://example.org/a?b=c;d>;rel=\"preload stylesheet\"; crossorigin",
            " </a> ; rel = preload ;",
            "<>",
            "</a>; title=\"a, \\\" > b\"",
            "</a>; rel=preload, </b>; rel=preload",
        ] {
            assert!(is_link_list(link.as_bytes()), "{link}");
        }
        for other in [
            "",
            " ",
            "/style.css",
            "</style.css",
            "</style.css>; rel=\"preload",
            "</style.css>; =preload",
            "</style.css>; rel=",
            "</style.css> rel=preload",
            "bad </style.css>; rel=preload",
            "</a b>; rel=preload",
            "</a>,",
            "</a>, /b",
            "</a>; r<l=x",
            "</a>; rel=preload <b>",
        ] {
            assert!(!is_link_list(other.as_bytes()), "{other}");
        }
    }
}
