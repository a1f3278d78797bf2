//! Redirects: where a response sends its request, and as what it goes there (RFC 9110 §15.4; which methods become
//! GET is what browsers do, as the Fetch standard has it).

use std::borrow::Cow;
use std::sync::Arc;

use crate::engine::Core;
use crate::engine::endpoint::Endpoint;
use crate::engine::event::Event;
use crate::engine::slot::ExchangeId;
use crate::error::{Error, ErrorKind, Limit, Result, Sent};
use crate::h1::{Automatic, Head, Known, Plan, effective_url, names_equal, resolve};

/// Where a request goes next.
#[derive(Debug)]
pub(super) struct Redirect {
    endpoint: Arc<Endpoint>,
    /// It goes there as GET and without its content.
    becomes_get: bool,
    /// That is another origin: it is not told what was meant for the first.
    crosses: bool,
}

/// What an origin is told of its user, or of how to reach it, and no other.
const CREDENTIALS: [&[u8]; 3] = [b"authorization", b"cookie", b"host"];

/// What is said of content, besides `Content-*`, and has no meaning without it.
const OF_CONTENT: [&[u8]; 6] =
    [b"transfer-encoding", b"trailer", b"expect", b"digest", b"last-modified", b"etag"];

impl Core {
    /// Where an answer sends the request, if it does and the request follows.
    pub(super) fn redirect_by(&mut self, key: u32, head: &Head) -> Result<Option<Redirect>> {
        let status = head.status();
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let active = self.active(key);
        let upgrades = active.outgoing.fields.known().contains(Known::UPGRADE);
        let (has_left, is_at_hand) = (active.head_has_left(), active.output.is_kept());
        let Some(client) = active.client.as_deref() else {
            return Ok(None);
        };
        let (Some(journey), Some(from)) = (client.journey.as_deref(), client.endpoint.as_deref())
        else {
            return Ok(None);
        };
        let follows = journey.options.redirects_max > 0
            && has_left
            && !upgrades
            && client.method != "CONNECT"
            && from.target_asked_for().starts_with('/');
        let mut locations = head.find_all("location").filter(|location| !location.is_empty());
        let Some(location) = locations.next().filter(|_| follows) else {
            return Ok(None);
        };
        if locations.any(|other| other != location) {
            return Err(refused("ERR_INVALID_URL", location, "there are several locations"));
        }
        if journey.redirects >= journey.options.redirects_max {
            let message = "more redirects than `redirects` allows: the next one was to";
            return Err(Error::new(
                ErrorKind::Limit(Limit::Redirects),
                "ERR_TOO_MANY_REDIRECTS",
                format!("{message} {:?}", String::from_utf8_lossy(location)),
            ));
        }
        let endpoint = endpoint(from, location)?;
        let becomes_get = match status {
            303 => !matches!(&*client.method, "GET" | "HEAD"),
            301 | 302 => client.method == "POST",
            _ => false,
        };
        if !becomes_get && !is_at_hand {
            let why = "the content that was to go there is not at hand any more: 64 KiB are kept";
            return Err(refused("ERR_REDIRECT_CONTENT", location, why));
        }
        let crosses =
            endpoint.host != from.host_asked_for() || endpoint.port != from.port_asked_for();
        Ok(Some(Redirect { endpoint: Arc::new(endpoint), becomes_get, crosses }))
    }

    /// The request leaves for where it was sent.
    pub(super) fn follow(&mut self, key: u32, redirect: Redirect, reusable: bool) -> Event {
        let Redirect { endpoint, becomes_get, crosses } = redirect;
        log::debug!(
            target: "onloop::client",
            "request {key}: redirected to {}",
            effective_url(&endpoint.authority, endpoint.target_asked_for())
        );
        if becomes_get {
            self.drop_content(key);
        }
        let agent = self.journey(key).and_then(|journey| journey.agent);
        let endpoint = self.agents.way_to(agent, endpoint);
        let was_told = self.client(key).endpoint.as_deref().is_some_and(Endpoint::is_told_to_proxy);
        // The loop's own agent, and its proxy with it, may be another one by now.
        let stays_told = was_told && endpoint.is_told_to_proxy() && {
            let before = self.client(key).endpoint.as_deref();
            before.is_some_and(|before| {
                (&before.host, before.port) == (&endpoint.host, endpoint.port)
            })
        };
        self.part(key, reusable);
        let active = self.active(key);
        let fields = &mut active.outgoing.fields;
        if crosses {
            CREDENTIALS.iter().for_each(|name| fields.remove_quietly(name));
        }
        if !stays_told && (crosses || was_told) {
            fields.remove_quietly(b"proxy-authorization");
        }
        if let Some(client) = active.client.as_deref_mut() {
            client.endpoint = Some(endpoint);
            if becomes_get {
                client.method = Cow::Borrowed("GET");
                // The request that the user made was answered.
                client.sent_before = Some(Sent::SentNoReply);
            }
            if let Some(journey) = client.journey.as_deref_mut() {
                journey.redirects += 1;
            }
        }
        if !stays_told {
            self.add_proxy_credentials(key);
        }
        self.send_head_again(key);
        match self.find_connection(key) {
            Ok(()) => Event::Continue,
            Err(error) => {
                let error = error.with_sent(self.sent(key));
                self.drop_connection(key, Some(error))
            }
        }
    }

    /// The content of a request is not wanted where it goes now. What is still written of it is dropped.
    fn drop_content(&mut self, key: u32) {
        self.discard_corked(key);
        let Core { slots, trash, options, .. } = self;
        let Some(active) = slots[key as usize].active.as_deref_mut() else {
            return;
        };
        active.output.recycle(trash);
        active.output.keep(options.limits.max_kept_for_repetition);
        let source = active.piped_from.take();
        active.outgoing.drop_content();
        let fields = &mut active.outgoing.fields;
        let is_of_content = |name: &[u8]| {
            name.get(..8).is_some_and(|start| names_equal(start, b"content-"))
                || OF_CONTENT.iter().any(|other| names_equal(other, name))
        };
        fields.remove_all_quietly(is_of_content);
        if let Some(source) = source {
            self.pipe_target_gone(source);
        }
        if let Some(journey) = self.journey(key) {
            journey.without_content = true;
            journey.head = Some((Plan::Whole(0), 0));
        }
    }

    /// Renders the head anew, in the place of the one that was sent.
    fn send_head_again(&mut self, key: u32) {
        let active = self.active(key);
        let Some(client) = active.client.as_deref_mut() else {
            return;
        };
        let Some((plan, before)) = client.journey.as_deref().and_then(|journey| journey.head)
        else {
            return;
        };
        let automatic =
            Automatic { date: b"", keep_alive: b"", persistent_block: b"", closing: false };
        let mut head = Vec::new();
        active.outgoing.send_head_again(client.start_line(), &automatic, plan, &mut head);
        if let Some(journey) = client.journey.as_deref_mut() {
            journey.head = Some((plan, head.len()));
        }
        active.message_start = active.output.taken();
        active.output.replace_first(before, &head);
        active.move_written(before, head.len());
    }

    // ---- what is told of it

    /// The URL of an exchange that is going on: the one that it was redirected to last.
    pub(crate) fn url(&mut self, id: ExchangeId) -> Option<String> {
        let endpoint = self.exchange(id)?.client.as_deref()?.endpoint.as_deref()?;
        Some(effective_url(&endpoint.authority, endpoint.target_asked_for()))
    }

    /// How many redirects were followed.
    pub(crate) fn redirects(&mut self, id: ExchangeId) -> u32 {
        let client = self.exchange(id).and_then(|active| active.client.as_deref());
        client.and_then(|client| client.journey.as_deref()).map_or(0, |journey| journey.redirects)
    }
}

/// Where a location is, as seen from where it was told. What was said of how to connect stays said.
fn endpoint(from: &Endpoint, location: &[u8]) -> Result<Endpoint> {
    let url = match resolve(&from.authority, from.target_asked_for(), location) {
        Ok(url) => url,
        Err(error) => return Err(refused(error.code(), location, error.message())),
    };
    if url.secure {
        let why = "https is not supported in this build";
        return Err(refused("ERR_INVALID_PROTOCOL", location, why));
    }
    if url.userinfo.is_some() {
        // A server has nobody's credentials to give away, and who reads such a URL is easily misled.
        let why = "user and password are not taken from a server";
        return Err(refused("ERR_INVALID_URL", location, why));
    }
    Ok(Endpoint {
        host: url.host,
        port: url.port,
        authority: url.authority,
        target: url.target,
        has_path: false,
        authorization: None,
        tunnel: None,
        proxied: None,
        ..from.clone()
    })
}

/// A redirect that is not followed.
fn refused(code: &'static str, location: &[u8], why: &str) -> Error {
    let location = String::from_utf8_lossy(location);
    let message = format!("the server redirects to {location:?}: {why}");
    Error::new(ErrorKind::Peer, code, message)
}
