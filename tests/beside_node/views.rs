//! Fields and bytes as Node's JSON has them: a character for each byte.

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

pub(crate) fn quoted(bytes: &[u8]) -> String {
    serde_json::Value::from(text(bytes)).to_string()
}

pub(crate) fn raw(fields: impl Iterator<Item = (String, Vec<u8>)>) -> String {
    let words = fields.flat_map(|(name, value)| [quoted(name.as_bytes()), quoted(&value)]);
    format!("[{}]", words.collect::<Vec<_>>().join(","))
}

pub(crate) fn distinct(fields: Vec<(String, Vec<Vec<u8>>)>) -> String {
    let members = fields.into_iter().map(|(name, values)| {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        format!("{}:[{}]", quoted(name.as_bytes()), values.join(","))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Only `set-cookie` is an array.
pub(crate) fn joined(fields: Vec<(String, Vec<u8>)>) -> String {
    let mut members: Vec<String> = Vec::new();
    let cookies: Vec<String> = fields
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| quoted(value))
        .collect();
    let mut told = false;
    for (name, value) in &fields {
        let is_cookie = name == "set-cookie";
        if is_cookie && std::mem::replace(&mut told, true) {
            continue;
        }
        let value = if is_cookie { format!("[{}]", cookies.join(",")) } else { quoted(value) };
        members.push(format!("{}:{value}", quoted(name.as_bytes())));
    }
    format!("{{{}}}", members.join(","))
}
