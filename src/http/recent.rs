//! The URLs that were read last on this thread: who asks for the same few again and again, as nearly everybody
//! does, has them read once.

use std::cell::RefCell;
use std::sync::Arc;

use crate::engine::endpoint::Endpoint;
use crate::error::Result;

/// How many are remembered; each has one place where it can be.
const PLACES: usize = 16;

/// Longer ones are not.
const URL_BYTES_MAX: usize = 256;

type Places = [Option<(Box<str>, Arc<Endpoint>)>; PLACES];

thread_local! {
    static RECENT: RefCell<Places> = const { RefCell::new([const { None }; PLACES]) };
}

/// What `read` makes of a URL, or has made of it not long ago. Credentials are not remembered.
#[inline]
pub(super) fn endpoint_of(
    url: &str,
    read: impl FnOnce(&str) -> Result<Arc<Endpoint>>,
) -> Result<Arc<Endpoint>> {
    if url.len() > URL_BYTES_MAX {
        return read(url);
    }
    let place = place_of(url.as_bytes());
    let known = RECENT.try_with(|recent| match recent.try_borrow().ok()?.get(place)? {
        Some((known, endpoint)) if **known == *url => Some(Arc::clone(endpoint)),
        _ => None,
    });
    if let Ok(Some(endpoint)) = known {
        return Ok(endpoint);
    }
    let endpoint = read(url)?;
    if endpoint.authorization.is_none() {
        let entry = Some((url.into(), Arc::clone(&endpoint)));
        // What was there is dropped when nothing is borrowed: it may be the last of its kind.
        let _displaced = RECENT.try_with(|recent| {
            let mut recent = recent.try_borrow_mut().ok()?;
            std::mem::replace(recent.get_mut(place)?, entry)
        });
    }
    Ok(endpoint)
}

/// URLs of one server differ at their ends, those of several in the middle.
fn place_of(url: &[u8]) -> usize {
    let middle = url.len() / 2;
    let sample = [
        url.len(),
        usize::from(*url.last().unwrap_or(&0)),
        usize::from(*url.get(middle).unwrap_or(&0)),
    ];
    let mixed =
        sample.iter().fold(0usize, |mixed, part| mixed.wrapping_mul(31).wrapping_add(*part));
    mixed % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn made(authorization: Option<&str>) -> Result<Arc<Endpoint>> {
        let authorization = authorization.map(str::to_owned);
        Ok(Arc::new(Endpoint { authorization, ..Endpoint::default() }))
    }

    #[test]
    fn what_was_read_is_not_read_again() {
        let first = endpoint_of("http://a/", |_| made(None)).unwrap();
        let again = endpoint_of("http://a/", |_| panic!("it is known")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = endpoint_of("http://b/", |_| made(None)).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn neither_errors_nor_credentials_nor_long_ones_are_remembered() {
        let long = format!("http://a/{}", "x".repeat(URL_BYTES_MAX));
        for url in ["http://u:p@a/", long.as_str()] {
            let first = endpoint_of(url, |_| made(Some("Basic dTpw"))).unwrap();
            let second = endpoint_of(url, |_| made(Some("Basic dTpw"))).unwrap();
            assert!(!Arc::ptr_eq(&first, &second), "{url}");
        }
        let refused = |_: &str| Err(Error::other("refused"));
        assert!(endpoint_of("x", refused).is_err());
        assert!(endpoint_of("x", |_| made(None)).is_ok());
    }

    #[test]
    fn the_last_one_has_the_place() {
        for number in 0..1_000 {
            let url = format!("http://a/{number}");
            endpoint_of(&url, |_| made(None)).unwrap();
            endpoint_of(&url, |_| panic!("it was read just now")).unwrap();
        }
    }
}
