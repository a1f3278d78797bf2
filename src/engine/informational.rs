//! Informational responses (RFC 9110 §15.2): sent at once, before the final one.

use crate::engine::Core;
use crate::engine::fields::{gone, headers_sent};
use crate::engine::slot::ExchangeId;
use crate::error::{Error, Limit, Result};
use crate::h1::{FieldList, Known, is_link_list, names_equal, push_status_line, reason_phrase};

impl Core {
    /// Sends an informational response, as long as the final one has not begun. 100 is sent once, and only to
    /// a client that waits for it. `list` goes back to the pool.
    pub(crate) fn write_information(
        &mut self,
        id: ExchangeId,
        status: u16,
        list: FieldList,
    ) -> Result<()> {
        let result = self.send_information(id, status, &list);
        self.pool.recycle_fields(list);
        result
    }

    fn send_information(&mut self, id: ExchangeId, status: u16, list: &FieldList) -> Result<()> {
        let Some(active) = self.exchange(id) else {
            return Err(gone());
        };
        if active.outgoing.head_is_sealed() {
            return Err(headers_sent("an informational response"));
        }
        check_information(status, list)?;
        if active.incoming.minor == 0 {
            // RFC 9110 §15.2: never to a client of HTTP/1.0, which would take it for the answer.
            return Ok(());
        }
        if status == 100 && !active.incoming.continue_owed {
            return Ok(());
        }
        let slot = &self.slots[id.key as usize];
        let (_, buffered_max) = self.marks(slot.kind, slot.owner);
        let active = self.active(id.key);
        if active.output.len() > buffered_max {
            return Err(Core::limit_error(
                Limit::Buffered,
                "ERR_BUFFER_OUT_OF_BOUNDS",
                "the client reads nothing of what waits for it: no informational response was sent",
            ));
        }
        active.incoming.continue_owed &= status != 100;
        let tail = active.output.tail();
        push_status_line(tail.bytes, status, reason_phrase(status));
        tail.bytes.extend_from_slice(list.wire());
        tail.bytes.extend_from_slice(b"\r\n");
        drop(tail);
        self.mark_dirty(id.key);
        Ok(())
    }

    /// `write_early_hints`: all links on one line, which comes first; without any, nothing is sent.
    pub(crate) fn write_early_hints(&mut self, id: ExchangeId, list: FieldList) -> Result<()> {
        let mut hints = FieldList::default();
        let links: Vec<&[u8]> = list.all(b"link").filter(|link| !link.is_empty()).collect();
        let result = match early_hints(&links, &list, &mut hints) {
            Ok(()) if links.is_empty() => Ok(()),
            Ok(()) => self.write_information(id, 103, hints),
            Err(error) => Err(error),
        };
        drop(links);
        self.pool.recycle_fields(list);
        result
    }
}

fn early_hints(links: &[&[u8]], list: &FieldList, hints: &mut FieldList) -> Result<()> {
    if !links.iter().all(|link| is_link_list(link)) {
        let message =
            "a Link must be \"<uri>; parameter=value\", such as \"</style.css>; rel=preload\"";
        return Err(Error::local("ERR_INVALID_ARG_VALUE", message));
    }
    let refused = |error| super::fields::field_error(error, "Link");
    hints.append(b"Link", &links.join(&b", "[..])).map_err(refused)?;
    for (name, value) in list.iter().filter(|(name, _)| !names_equal(name, b"link")) {
        hints.append(name, value).map_err(refused)?;
    }
    Ok(())
}

/// What cannot be sent as an informational response.
fn check_information(status: u16, list: &FieldList) -> Result<()> {
    if status == 101 {
        let message = "101 is the answer of `on_upgrade`, which writes it to the socket";
        return Err(Error::local("ERR_HTTP_INVALID_STATUS_CODE", message));
    }
    if !(100..=199).contains(&status) {
        let message = format!("{status} is not informational: 100 to 199 are");
        return Err(Error::local("ERR_OUT_OF_RANGE", message));
    }
    if list.known().intersects(Known::CONTENT_LENGTH.and(Known::TRANSFER_ENCODING)) {
        // RFC 9110 §8.6, RFC 9112 §6.1: a client that believed them would lose the framing.
        let message = "an informational response has no content: nothing can be said of its length";
        return Err(Error::local("ERR_HTTP_INVALID_HEADER_VALUE", message));
    }
    Ok(())
}
