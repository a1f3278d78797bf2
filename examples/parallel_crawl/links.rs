//! Links in a page, and where they lead.
//!
//! This is no parser of HTML: whatever looks like `href="..."` is a link, in a comment, too, and no `<base>` is
//! known. For a crawler that is not an example take a crate that knows what HTML is.

/// What stands in the `href`s of a page, with quotation marks around it.
pub(crate) fn links_of(page: &[u8]) -> Vec<String> {
    let mut links = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.windows(4).position(|word| word.eq_ignore_ascii_case(b"href")) {
        rest = rest[at + 4..].trim_ascii_start();
        let Some((b'=', value)) = rest.split_first() else { continue };
        let Some((quote @ (b'"' | b'\''), value)) = value.trim_ascii_start().split_first() else {
            continue;
        };
        let Some(end) = value.iter().position(|byte| byte == quote) else { break };
        let link = String::from_utf8_lossy(&value[..end]);
        links.push(link.trim().replace("&amp;", "&"));
        rest = &value[end + 1..];
    }
    links
}

/// Scheme and authority of an absolute URL, by which servers are told apart.
pub(crate) fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some(format!("{scheme}://{}", &rest[..end]).to_ascii_lowercase())
}

/// The absolute URL of a link in the page at `base` (RFC 3986 §5.2), without its fragment. `None` for what is
/// not reached by http, as `mailto:`.
pub(crate) fn resolve(base: &str, link: &str) -> Option<String> {
    let link = link.split('#').next().unwrap_or_default();
    let origin = origin_of(base)?;
    if let Some((scheme, rest)) = link.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) {
        let is_http = scheme.eq_ignore_ascii_case("http") && rest.starts_with("//");
        return is_http.then(|| normal(link)).flatten();
    }
    if link.starts_with("//") {
        return normal(&format!("http:{link}"));
    }
    let base = base.split('#').next().unwrap_or_default();
    let target = &base[origin.len()..];
    let path = target.split('?').next().unwrap_or_default();
    let target = match link.chars().next() {
        None => target.to_string(),
        Some('/') => link.to_string(),
        Some('?') => format!("{path}{link}"),
        Some(_) => {
            let directory = path.rfind('/').map_or("/", |end| &path[..=end]);
            format!("{directory}{link}")
        }
    };
    normal(&format!("{origin}{target}"))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// A URL with a path that has no dots in it, so that pages are told apart by their URLs (RFC 3986 §5.2.4).
fn normal(url: &str) -> Option<String> {
    let origin = origin_of(url)?;
    let target = &url[origin.len()..];
    let (path, query) = target.find('?').map_or((target, ""), |at| target.split_at(at));
    let mut segments: Vec<&str> = Vec::new();
    let mut all = path.split('/').skip(1).peekable();
    while let Some(segment) = all.next() {
        let is_last = all.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                if is_last {
                    segments.push("");
                }
            }
            segment => segments.push(segment),
        }
    }
    Some(format!("{origin}/{}{query}", segments.join("/")))
}
